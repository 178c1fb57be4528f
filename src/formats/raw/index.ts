import { ExtentReader } from '../../block/read.js'
import type { ByteStore, Extent, Section } from '../../block/types.js'
import type { DiskImage, FormatDriver } from '../driver.js'

class RawImage implements DiskImage {
  readonly format = 'raw'
  readonly subformat = 'flat'
  readonly notes = []
  readonly sectorSize = 512
  readonly grain = 512
  readonly capacity: number
  readonly #store: ByteStore
  readonly #reader = new ExtentReader(this)

  constructor(store: ByteStore) {
    this.#store = store
    this.capacity = store.size
  }

  extentAt(offset: number, limit: number): Extent {
    return { kind: 'data', offset, length: Math.min(limit, this.capacity - offset), store: this.#store, position: offset }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    return []
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
  }
}

export const raw: FormatDriver = {
  apiVersion: 1,
  id: 'raw',
  title: 'Raw disk image',
  extensions: ['raw', 'img', 'bin', 'dd'],
  subformats: [{ id: 'flat', summary: 'every byte of the disk in order; zeros become holes' }],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512, 4096] },
  options: [],
  probe: () => 'possible',
  open: (store) => new RawImage(store),
}
