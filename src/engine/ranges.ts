/** A run of guest bytes. */
export interface Range {
  readonly offset: number
  readonly length: number
}

/** Ranges that were found, counted without bound and listed up to one. */
export interface RangeSummary {
  /** How many ranges there are, neighbours joined. */
  readonly count: number
  /** Bytes in all of them. */
  readonly bytes: number
  /** The first ones; fewer than `count` when the list was full. */
  readonly ranges: readonly Range[]
}

/** Collects ranges in ascending order; those that touch become one. Memory is bounded by the limit. */
export class RangeList {
  readonly #limit: number
  readonly #ranges: Range[] = []
  #count = 0
  #bytes = 0
  #end = -1

  /** @param limit how many ranges are listed at most. */
  constructor(limit: number) {
    this.#limit = limit
  }

  add(offset: number, length: number): void {
    const last = this.#ranges.at(-1)
    if (offset !== this.#end) {
      this.#count++
      if (this.#ranges.length < this.#limit) this.#ranges.push({ offset, length })
    } else if (last !== undefined && this.#count === this.#ranges.length) {
      this.#ranges[this.#ranges.length - 1] = { offset: last.offset, length: last.length + length }
    }
    this.#bytes += length
    this.#end = offset + length
  }

  summary(): RangeSummary {
    return { count: this.#count, bytes: this.#bytes, ranges: [...this.#ranges] }
  }
}
