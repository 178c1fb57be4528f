import { SparseBits } from '../binary/sparse-bits.js'

/** Bytes that may be mapped again before an image is refused: damage of a few tables is warned of, and still read. */
const toleratedBytes = 512 * 1024 * 1024
/** What is remembered takes 64 MiB at most: that is 32 TiB of a file in units of 64 KiB. */
const mostPages = 8192

/**
 * Which units of a file (clusters, blocks, tables) the tables of an image lead to. Each can be mapped once only: an
 * image that maps the same units again and again claims more than its file holds, and walking it would take as long as
 * what it claims.
 */
export class MappedUnits {
  readonly #unitLength: number
  readonly #tolerated: number
  #bits = new SparseBits()
  #distinct = 0
  #repeated = 0

  /** @param unitLength bytes; no two units that are apart begin in the same multiple of it. */
  constructor(unitLength: number, tolerated = Math.max(16, toleratedBytes / unitLength)) {
    this.#unitLength = unitLength
    this.#tolerated = tolerated
  }

  /**
   * Counts the unit that begins at a byte of the file. @returns false when most of what is mapped was mapped before.
   */
  add(position: number): boolean {
    const index = Math.floor(position / this.#unitLength)
    if (this.#bits.add(index)) this.#distinct++
    else this.#repeated++
    // What was seen so far is forgotten rather than that memory grows with what a table claims.
    if (this.#bits.pages > mostPages) this.#bits = new SparseBits()
    return this.#repeated <= this.#distinct + this.#tolerated
  }
}
