import { movedExtent } from './moved-extent.js'
import { ExtentReader } from './read.js'
import type { BlockSource, Extent } from './types.js'

/** A part of a disk as a disk of its own: a partition. Closing it leaves the whole open. */
export class SliceSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #whole: BlockSource
  readonly #start: number
  readonly #reader = new ExtentReader(this)

  /** Bytes [start, start + length) of `whole`, which must contain them. */
  constructor(whole: BlockSource, start: number, length: number) {
    if (start < 0 || length < 0 || start + length > whole.capacity)
      throw new RangeError(`slice ${start}+${length} leaves the disk of ${whole.capacity} bytes`)
    this.#whole = whole
    this.#start = start
    this.capacity = length
    this.sectorSize = whole.sectorSize
    this.grain = whole.grain
  }

  extentAt(offset: number, limit: number): Extent {
    const start = this.#start
    return movedExtent(this.#whole.extentAt(start + offset, Math.min(limit, this.capacity - offset)), offset, -start)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The whole disk belongs to the caller.
  }
}
