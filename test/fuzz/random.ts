/** Numbers that depend on a seed only (SplitMix32): a case is found again by its seed and index. */
export class Random {
  #state: number

  constructor(seed: number, index: number) {
    this.#state = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0
  }

  /** 0 ≤ result < 2^32. */
  word(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    let value = this.#state
    value = Math.imul(value ^ (value >>> 16), 0x21f0aaad)
    value = Math.imul(value ^ (value >>> 15), 0x735a2d97)
    return (value ^ (value >>> 15)) >>> 0
  }

  /** 0 ≤ result < limit ≤ 2^32. */
  below(limit: number): number {
    return Math.floor((this.word() / 4294967296) * limit)
  }

  chance(probability: number): boolean {
    return this.word() < probability * 4294967296
  }

  /** @throws RangeError for an empty list. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }
}
