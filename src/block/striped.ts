import { movedExtent } from './moved-extent.js'
import { ExtentReader } from './read.js'
import type { BlockSource, Extent } from './types.js'

/** Disks of one size, of which each has every n-th stripe, as one disk. Closing it leaves them open. */
export class StripedSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #pieces: readonly BlockSource[]
  readonly #stripe: number
  readonly #reader = new ExtentReader(this)

  /** @param stripe bytes; the size of each piece is a multiple of it. */
  constructor(pieces: readonly BlockSource[], stripe: number, sectorSize: 512 | 4096) {
    const size = pieces[0]?.capacity ?? 0
    if (!(stripe > 0) || size % stripe !== 0 || pieces.some(({ capacity }) => capacity !== size))
      throw new RangeError(`stripes of ${stripe} bytes do not fit pieces of ${size}`)
    this.capacity = size * pieces.length
    this.sectorSize = sectorSize
    this.grain = Math.min(stripe, ...pieces.map(({ grain }) => grain))
    this.#pieces = pieces
    this.#stripe = stripe
  }

  extentAt(offset: number, limit: number): Extent {
    const stripe = Math.floor(offset / this.#stripe)
    const within = offset % this.#stripe
    const piece = this.#pieces[stripe % this.#pieces.length]
    if (piece === undefined || offset < 0 || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    const at = Math.floor(stripe / this.#pieces.length) * this.#stripe + within
    return movedExtent(piece.extentAt(at, Math.min(limit, this.#stripe - within)), offset, offset - at)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The pieces belong to the caller.
  }
}
