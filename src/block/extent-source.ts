import { ExtentReader } from './read.js'
import type { BlockSource, ByteStore, Extent } from './types.js'

/** The common part of disks that are only read: `read` over `extentAt`. Closing it closes the store. */
export abstract class ExtentSource implements BlockSource {
  readonly sectorSize: 512 | 4096 = 512
  abstract readonly capacity: number
  abstract readonly grain: number
  protected readonly store: ByteStore
  readonly #reader: ExtentReader

  constructor(store: ByteStore) {
    this.store = store
    this.#reader = new ExtentReader({
      extentAt: (offset, limit) => this.extentAt(offset, limit),
      // The disk is known when the first byte is read.
      capacity: Number.MAX_SAFE_INTEGER,
    })
  }

  /** The run at an offset inside the disk; `end` is at most the disk's. */
  protected abstract runAt(offset: number, end: number): Extent

  extentAt(offset: number, limit: number): Extent {
    if (offset < 0 || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    return this.runAt(offset, Math.min(offset + limit, this.capacity))
  }

  read(offset: number, target: Uint8Array): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.length > this.capacity)
      throw new RangeError(
        `read of ${target.length} bytes at offset ${offset} leaves the disk of ${this.capacity} bytes`,
      )
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    this.store[Symbol.dispose]()
  }
}
