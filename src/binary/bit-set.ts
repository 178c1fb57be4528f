/** Bits that are set or not, one an index from 0 on; those that were never set are not. */
export class BitSet {
  readonly #bytes: Uint8Array

  /** @param length how many there are. */
  constructor(length: number) {
    this.#bytes = new Uint8Array(Math.ceil(length / 8))
  }

  has(index: number): boolean {
    return ((this.#bytes[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  /** Whether all from `from` up to `to` are set. */
  isFull(from: number, to: number): boolean {
    for (let index = from; index < to;) {
      if ((index & 7) === 0 && index + 8 <= to) {
        if (this.#bytes[index >>> 3] !== 0xff) return false
        index += 8
      } else if (!this.has(index++)) return false
    }
    return true
  }

  set(index: number): void {
    this.#bytes[index >>> 3] = (this.#bytes[index >>> 3] ?? 0) | (1 << (index & 7))
  }

  clear(index: number): void {
    this.#bytes[index >>> 3] = (this.#bytes[index >>> 3] ?? 0) & ~(1 << (index & 7))
  }

  /** The first index after `index` whose bit is another; at most `end`. */
  runEnd(index: number, end: number): number {
    const value = this.has(index)
    const same = value ? 0xff : 0
    let at = index + 1
    while (at < end) {
      if ((at & 7) === 0 && at + 8 <= end && this.#bytes[at >>> 3] === same) at += 8
      else if (this.has(at) === value) at++
      else return at
    }
    return end
  }
}
