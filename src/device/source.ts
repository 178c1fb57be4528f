import { roundDown } from '../binary/integers.js'
import { ExtentReader } from '../block/read.js'
import type { BlockSource, ByteStore, Extent } from '../block/types.js'
import type { DiskStore } from './disk-store.js'

/**
 * A block device as a readable disk. What is asked for in whole sectors can be read by descriptor, past the page cache; the ends that are
 * no whole sectors go through the store. Closing it closes the store.
 */
export class DeviceSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #store: DiskStore
  /** The same store without its descriptor: takes any position and length. */
  readonly #bounced: ByteStore
  readonly #reader = new ExtentReader(this)

  constructor(store: DiskStore) {
    this.#store = store
    this.capacity = store.size
    this.sectorSize = store.sectorSize === 4096 ? 4096 : 512
    this.grain = store.sectorSize
    this.#bounced = {
      name: store.name, size: store.size, growable: false, alignment: 1, zeroed: false,
      read: (position, target) => store.read(position, target),
      write: (position, bytes) => store.write(position, bytes),
      truncate: (size) => store.truncate(size),
      flush: () => store.flush(),
      [Symbol.dispose]: () => undefined,
    }
  }

  get name(): string {
    return this.#store.name
  }

  extentAt(offset: number, limit: number): Extent {
    if (offset < 0 || offset >= this.capacity) throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    const available = Math.min(limit, this.capacity - offset)
    const sector = this.#store.sectorSize
    const before = offset % sector
    if (before > 0) return { kind: 'data', offset, length: Math.min(available, sector - before), store: this.#bounced, position: offset }
    const whole = roundDown(available, sector)
    return { kind: 'data', offset, length: whole > 0 ? whole : available, store: whole > 0 ? this.#store : this.#bounced, position: offset }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
  }
}
