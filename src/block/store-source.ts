import type { BlockSource, ByteStore, Extent } from './types.js'

/** The bytes of a store as a disk, as they are: a physical disk or partition. Closing it leaves the store open. */
export class StoreSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #store: ByteStore

  /** @param capacity bytes from the store's start; all of it when left out. */
  constructor(store: ByteStore, sectorSize: 512 | 4096, capacity = store.size) {
    if (capacity > store.size) throw new RangeError(`a disk of ${capacity} bytes is more than the ${store.size} of its store`)
    this.#store = store
    this.capacity = capacity
    this.sectorSize = sectorSize
    this.grain = sectorSize
  }

  extentAt(offset: number, limit: number): Extent {
    if (offset < 0 || offset >= this.capacity) throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    return { kind: 'data', offset, length: Math.min(limit, this.capacity - offset), store: this.#store, position: offset }
  }

  read(offset: number, target: Uint8Array): void {
    this.#store.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The store belongs to whoever opened it.
  }
}
