import { ExtentReader } from '../../block/read.js'
import type { BlockSource, ByteStore, Extent } from '../../block/types.js'
import { corrupt, printable } from '../../errors.js'
import type { NumberedPlaces } from '../../binary/numbered-places.js'
import type { Device } from './header.js'
import { isStored, storedBefore } from './entries.js'
import { vmaBlockLength, clusterLength } from './structs.js'

const longestRun = 64 * 1024 * 1024

/** One disk of a VMA archive: blocks that are stored, or zero. The store stays the caller's. */
export class VmaDisk implements BlockSource {
  readonly sectorSize = 512
  readonly grain = vmaBlockLength
  readonly capacity: number
  readonly #store: ByteStore
  readonly #name: string
  readonly #clusters: NumberedPlaces
  readonly #reader: ExtentReader

  constructor(store: ByteStore, { name, size }: Device, clusters: NumberedPlaces) {
    this.#store = store
    this.#name = name
    this.#clusters = clusters
    this.capacity = size
    this.#reader = new ExtentReader(this)
  }

  extentAt(offset: number, limit: number): Extent {
    if (offset < 0 || offset >= this.capacity) throw new RangeError(`offset ${offset} of ${this.capacity} bytes`)
    const end = Math.min(offset + Math.min(limit, longestRun), this.capacity)
    const first = this.#blockAt(offset)
    const within = offset % vmaBlockLength
    let next = offset - within + vmaBlockLength
    for (let position = first; next < end; next += vmaBlockLength) {
      if (first >= 0) position += vmaBlockLength
      if (this.#blockAt(next) !== position) break
    }
    const length = Math.min(next, end) - offset
    if (first < 0) return { kind: 'zero', offset, length }
    return { kind: 'data', offset, length, store: this.#store, position: first + within }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }

  /** Where the block at an offset is stored; −1: it is zero. @throws ImageError corrupt E_MAP where it is missing. */
  #blockAt(offset: number): number {
    const cluster = Math.floor(offset / clusterLength)
    const index = this.#clusters.find(cluster)
    if (index < 0)
      throw corrupt(
        'E_MAP',
        `${this.#store.name}: cluster ${cluster} of ${printable(this.#name)} is missing in the archive`,
        {
          details: { cluster, offset },
          hint: 'The backup was interrupted. Nothing is read in place of what is missing.',
        },
      )
    const mask = this.#clusters.word(index)
    const block = Math.floor((offset % clusterLength) / vmaBlockLength)
    if (!isStored(mask, block)) return -1
    return this.#clusters.position(index) + storedBefore(mask, block) * vmaBlockLength
  }
}
