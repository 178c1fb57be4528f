import { moveNumbers } from '../binary/move-numbers.js'
/** 64 MiB of them. */
const maximumRuns = 4 * 1024 * 1024

/**
 * Ascending, disjoint runs of bytes in bounded memory: sixteen bytes a run. Runs that touch are joined; where there are
 * too many, those
 * with the smallest gaps between them are joined too.
 */
export class RunMap {
  #starts = new Float64Array(64)
  #ends = new Float64Array(64)
  #count = 0
  #gap = 0
  readonly #limit: number

  /** @param limit most runs that are kept. */
  constructor(limit = maximumRuns) {
    this.#limit = limit
  }

  /** Gaps up to this many bytes were filled to save memory; 0: none was. */
  get filledGaps(): number {
    return this.#gap
  }

  /** Bytes in all runs. */
  get total(): number {
    let sum = 0
    for (let index = 0; index < this.#count; index++) sum += (this.#ends[index] ?? 0) - (this.#starts[index] ?? 0)
    return sum
  }

  /** @throws RangeError when a run begins before the end of the last one. */
  add(offset: number, length: number): void {
    if (length === 0) return
    const last = this.#count - 1
    const end = last < 0 ? 0 : (this.#ends[last] ?? 0)
    if (offset < end || length < 0)
      throw new RangeError(`a run of ${length} bytes at ${offset} follows one that ends at ${end}`)
    if (last >= 0 && offset - end <= this.#gap) {
      this.#ends[last] = offset + length
      return
    }
    if (this.#count === this.#starts.length) this.#makeRoom()
    this.#starts[this.#count] = offset
    this.#ends[this.#count++] = offset + length
  }

  /** What lies at an offset: whether it is in a run, and where that ends; the end is Infinity behind the last run. */
  at(offset: number): { readonly inRun: boolean; readonly end: number } {
    let low = 0
    let high = this.#count
    // The first run that ends behind the offset.
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if ((this.#ends[middle] ?? 0) > offset) high = middle
      else low = middle + 1
    }
    if (low === this.#count) return { inRun: false, end: Infinity }
    const start = this.#starts[low] ?? 0
    return start <= offset ? { inRun: true, end: this.#ends[low] ?? 0 } : { inRun: false, end: start }
  }

  #makeRoom(): void {
    while (this.#count >= this.#limit) this.#fillGaps(this.#gap === 0 ? 65536 : this.#gap * 4)
    if (this.#count < this.#starts.length) return
    const room = Math.min(this.#limit, this.#count * 2)
    this.#starts = moveNumbers(this.#starts, new Float64Array(room))
    this.#ends = moveNumbers(this.#ends, new Float64Array(room))
  }

  #fillGaps(gap: number): void {
    this.#gap = gap
    let last = 0
    for (let index = 1; index < this.#count; index++) {
      const start = this.#starts[index] ?? 0
      const end = this.#ends[index] ?? 0
      if (start - (this.#ends[last] ?? 0) > gap) this.#starts[++last] = start
      this.#ends[last] = end
    }
    this.#count = last + 1
  }
}
