import { linearExtent } from '../block/linear-extent.js'
import type { BlockSource, ByteStore, Extent } from '../block/types.js'

/** What a device is read from: any position and length by its methods, whole sectors by its descriptor. */
type DeviceBytes = ByteStore & { readonly sectorSize: number }

/** A block device as a readable disk, past the page cache. Closing it closes the store. */
export class DeviceSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #store: DeviceBytes

  constructor(store: DeviceBytes) {
    this.#store = store
    this.capacity = store.size
    this.sectorSize = store.sectorSize === 4096 ? 4096 : 512
    this.grain = store.sectorSize
  }

  get name(): string {
    return this.#store.name
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
