/** An L2 table, and who leads to it. */
export interface TableReference {
  readonly position: number
  /** How many L1 entries of all L1 tables. */
  readonly times: number
  /** The first of them: its index in its L1 table, and whether that is the active one. */
  readonly index: number
  readonly active: boolean
}

/** A table that many snapshots share is walked once; this many are remembered at a time. */
const mostTables = 262144

/**
 * The distinct L2 tables that L1 entries lead to. When they are too many, those with the higher positions are let go,
 * and the set is
 * complete up to `limit` only: what lies beyond is for another round.
 */
export class TableSet {
  readonly #slots = new Map<number, number>()
  readonly #times = new Float64Array(mostTables)
  readonly #indexes = new Float64Array(mostTables)
  readonly #start: number
  #limit = Infinity

  /** @param start tables below this position were seen in an earlier round. */
  constructor(start: number) {
    this.#start = start
  }

  get limit(): number {
    return this.#limit
  }

  get size(): number {
    return this.#slots.size
  }

  add(position: number, times: number, index: number, active: boolean): void {
    if (position < this.#start || position >= this.#limit) return
    let slot = this.#slots.get(position)
    if (slot === undefined) {
      if (this.#slots.size === mostTables) this.#halve()
      if (position >= this.#limit) return
      slot = this.#slots.size
      this.#slots.set(position, slot)
      this.#times[slot] = 0
      // The active tables come first; an index below zero is one of a snapshot's.
      this.#indexes[slot] = active ? index : -1 - index
    }
    this.#times[slot] = (this.#times[slot] ?? 0) + times
  }

  /** In ascending order of position. */
  *[Symbol.iterator](): Generator<TableReference> {
    for (const position of Float64Array.from(this.#slots.keys()).sort()) {
      const slot = this.#slots.get(position) ?? 0
      const index = this.#indexes[slot] ?? 0
      yield { position, times: this.#times[slot] ?? 0, index: index < 0 ? -1 - index : index, active: index >= 0 }
    }
  }

  #halve(): void {
    const kept = [...this].slice(0, mostTables / 2)
    this.#limit = (kept.at(-1)?.position ?? 0) + 1
    this.#slots.clear()
    for (const { position, times, index, active } of kept) {
      const slot = this.#slots.size
      this.#slots.set(position, slot)
      this.#times[slot] = times
      this.#indexes[slot] = active ? index : -1 - index
    }
  }
}
