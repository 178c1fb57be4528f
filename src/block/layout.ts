import { AbsentSource } from './absent.js'
import { ConcatenatedSource } from './concatenated.js'
import type { BlockSource } from './types.js'

/** A disk put together of pieces in their places, of which nothing is said between them and behind them. */
export class Layout {
  /** Where the last piece ends, in bytes. */
  end = 0
  readonly #sectorSize: 512 | 4096
  readonly #pieces: BlockSource[] = []

  constructor(sectorSize: 512 | 4096) {
    this.#sectorSize = sectorSize
  }

  /** @param start of the piece, in bytes: at or behind {@link end}. @throws RangeError where it is before. */
  add(start: number, piece: BlockSource): void {
    if (start < this.end) throw new RangeError(`a piece at byte ${start} begins before ${this.end}`)
    this.#fillTo(start)
    this.#pieces.push(piece)
    this.end += piece.capacity
  }

  /** The disk. @param capacity its bytes: at least as many as the pieces reach to. */
  finish(capacity: number): BlockSource {
    this.#fillTo(capacity)
    return new ConcatenatedSource(this.#pieces, this.#sectorSize)
  }

  #fillTo(offset: number): void {
    if (offset > this.end) this.#pieces.push(new AbsentSource(offset - this.end, this.#sectorSize))
    this.end = Math.max(this.end, offset)
  }
}
