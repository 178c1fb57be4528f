import { ceilDivide } from '../../../binary/integers.js'

/** 64 MiB of owners at a time: with blocks of 2 MiB the whole of the largest file there can be takes 4 MiB. */
const windowBuckets = 2 ** 24

/**
 * Who owns what of the file: all blocks have one length, so a bucket of that length holds the start of at most one
 * block of those that
 * do not overlap. Files with more buckets than memory should hold are gone through window by window.
 */
export class BlockPlaces {
  /** How many times the table must be gone through. */
  readonly passes: number
  readonly #length: number
  readonly #buckets: number
  /** Block number + 1 of the block that begins in each bucket of the window, and in one more bucket on either side. */
  readonly #owners: Uint32Array
  readonly #positionOf: (block: number) => number
  #first = 0

  /**
   * @param length bytes a block takes in the file. @param end no block begins at or after it. @param positionOf the
   * place of a block claimed before.
   */
  constructor(length: number, end: number, positionOf: (block: number) => number) {
    this.#length = length
    this.#buckets = Math.max(1, ceilDivide(end, length))
    this.#positionOf = positionOf
    this.passes = Math.ceil(this.#buckets / windowBuckets)
    this.#owners = new Uint32Array(Math.min(windowBuckets, this.#buckets) + 2)
  }

  /** Begins pass number `pass`, from 0. */
  begin(pass: number): void {
    this.#first = pass * windowBuckets
    this.#owners.fill(0)
  }

  /**
   * Enters a block. Gives the block it shares bytes with, if one was entered before; a conflict is reported in one pass
   * only.
   */
  claim(block: number, position: number): number | undefined {
    const bucket = Math.floor(position / this.#length)
    const slot = bucket - this.#first + 1
    if (slot < 0 || slot >= this.#owners.length) return undefined
    for (const near of [slot, slot - 1, slot + 1]) {
      const owner = this.#owners[near] ?? 0
      if (owner > 0 && Math.abs(this.#positionOf(owner - 1) - position) < this.#length)
        return slot >= 1 && slot <= this.#owners.length - 2 ? owner - 1 : undefined
    }
    this.#owners[slot] = block + 1
    return undefined
  }

  /** The places of the blocks that begin in this pass's part of the file, ascending. */
  *starts(): Generator<number> {
    for (let slot = 1; slot < this.#owners.length - 1; slot++) {
      const owner = this.#owners[slot] ?? 0
      if (owner > 0) yield this.#positionOf(owner - 1)
    }
  }
}
