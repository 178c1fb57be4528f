import type { BlockSource, ByteStore, Extent } from './types.js'

/** A range of bytes of a file as a disk. The store belongs to the caller. */
export class RangeSource implements BlockSource {
  readonly sectorSize: 512 | 4096
  readonly grain = 512
  readonly capacity: number
  readonly #store: ByteStore
  readonly #start: number

  /** Bytes [start, start + length) of the store, which must contain them. */
  constructor(store: ByteStore, start = 0, length = store.size - start, sectorSize: 512 | 4096 = 512) {
    if (start < 0 || length < 0 || start + length > store.size)
      throw new RangeError(`range ${start}+${length} leaves the file of ${store.size} bytes`)
    this.#store = store
    this.#start = start
    this.capacity = length
    this.sectorSize = sectorSize
  }

  extentAt(offset: number, limit: number): Extent {
    const length = Math.min(limit, this.capacity - offset)
    return { kind: 'data', offset, length, store: this.#store, position: this.#start + offset }
  }

  read(offset: number, target: Uint8Array): void {
    this.#store.read(this.#start + offset, target)
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }
}
