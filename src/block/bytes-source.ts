import { linearExtent } from './linear-extent.js'
import { MemoryStore } from './memory-store.js'
import type { BlockSource, ByteStore, Extent } from './types.js'

/** A few bytes in memory as a disk: a partition table that goes before a partition. */
export class BytesSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain = 512
  readonly #store: ByteStore

  /** @param name what messages call it. */
  constructor(bytes: Uint8Array, name: string, sectorSize: 512 | 4096 = 512) {
    this.#store = new MemoryStore(bytes, name, Math.max(512, Math.min(bytes.length, 65536)))
    this.capacity = bytes.length
    this.sectorSize = sectorSize
  }

  extentAt(offset: number, limit: number): Extent {
    return linearExtent(this.#store, this.capacity, offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#store.read(offset, target)
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
  }
}
