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

/** What one of several pieces holds of a disk that is striped over them. Closing it leaves the disk open. */
export class StripeShare implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #whole: BlockSource
  readonly #stripe: number
  readonly #pieces: number
  readonly #piece: number
  readonly #reader = new ExtentReader(this)

  /**
   * @param stripe bytes; the size of the disk is a multiple of so many for each of the pieces.
   * @param piece which of them, from 0.
   */
  constructor(whole: BlockSource, stripe: number, pieces: number, piece: number) {
    if (!(stripe > 0) || whole.capacity % (stripe * pieces) !== 0 || piece >= pieces)
      throw new RangeError(`${whole.capacity} bytes are not striped over ${pieces} pieces by ${stripe}`)
    this.capacity = whole.capacity / pieces
    this.sectorSize = whole.sectorSize
    this.grain = Math.min(stripe, whole.grain)
    this.#whole = whole
    this.#stripe = stripe
    this.#pieces = pieces
    this.#piece = piece
  }

  extentAt(offset: number, limit: number): Extent {
    const within = offset % this.#stripe
    const at = ((offset - within) / this.#stripe) * this.#pieces * this.#stripe + this.#piece * this.#stripe + within
    const length = Math.min(limit, this.#stripe - within, this.capacity - offset)
    return movedExtent(this.#whole.extentAt(at, length), offset, offset - at)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The disk belongs to the caller.
  }
}
