/** Units of a page. */
const pageUnits = 65536
/** The most that a byte counts; a page where that is not enough counts in numbers. */
const byteLimit = 255

interface Page {
  readonly first: number
  counts: Uint8Array | Float64Array
  readonly kinds: Uint8Array
}

/**
 * How often each unit of a file is used, and by what kinds of owner (0 to 7). Only pages that something uses take
 * memory; when they
 * are too many, the highest are let go, and the map is complete up to `limit` only: what lies beyond is for another
 * round.
 */
export class ReferenceMap {
  readonly #budget: number
  readonly #pages = new Map<number, Page>()
  #bytes = 0
  #start = 0
  #limit = Infinity
  #last: Page | undefined

  /**
   * @param budget bytes of memory; a page of 65,536 units takes 128 KiB, or 576 KiB where units are used more than 255
   * times.
   */
  constructor(budget: number) {
    this.#budget = budget
  }

  /** The first unit that is counted. */
  get start(): number {
    return this.#start
  }

  /** Units from `start` up to here are counted. */
  get limit(): number {
    return this.#limit
  }

  /** Forgets all and counts from `start` on, a multiple of 65,536. */
  begin(start: number): void {
    if (start % pageUnits !== 0) throw new RangeError(`unit ${start} begins no page`)
    this.#pages.clear()
    this.#bytes = 0
    this.#last = undefined
    this.#start = start
    this.#limit = Infinity
  }

  add(unit: number, kind: number, times = 1): void {
    if (unit < this.#start || unit >= this.#limit) return
    const page = this.#pageFor(unit)
    if (page === undefined) return
    const at = unit - page.first
    const count = (page.counts[at] ?? 0) + times
    if (count > byteLimit && page.counts instanceof Uint8Array) {
      page.counts = Float64Array.from(page.counts)
      this.#grow(pageUnits * 7)
    }
    page.counts[at] = count
    page.kinds[at] = (page.kinds[at] ?? 0) | (1 << kind)
  }

  /** How often a unit is used. */
  uses(unit: number): number {
    const page = this.#find(unit)
    return page?.counts[unit - page.first] ?? 0
  }

  /** By what kinds of owner a unit is used. */
  kinds(unit: number): number[] {
    const page = this.#find(unit)
    const mask = page?.kinds[unit - page.first] ?? 0
    return mask === 0 ? [] : [0, 1, 2, 3, 4, 5, 6, 7].filter((kind) => mask & (1 << kind))
  }

  /** Whether more than one kind of owner uses a unit. */
  isMixed(unit: number): boolean {
    const page = this.#find(unit)
    const mask = page?.kinds[unit - page.first] ?? 0
    return (mask & (mask - 1)) !== 0
  }

  /** The first unit from `unit` on that may be used: one of a page that is there; Infinity when none is. */
  next(unit: number): number {
    if (this.#find(unit) !== undefined) return unit
    let next = Infinity
    for (const { first } of this.#pages.values()) if (first > unit && first < next) next = first
    return next
  }

  #find(unit: number): Page | undefined {
    const last = this.#last
    if (last !== undefined && unit >= last.first && unit < last.first + pageUnits) return last
    const page = this.#pages.get(Math.floor(unit / pageUnits))
    if (page !== undefined) this.#last = page
    return page
  }

  #pageFor(unit: number): Page | undefined {
    const found = this.#find(unit)
    if (found !== undefined) return found
    const number = Math.floor(unit / pageUnits)
    const page = { first: number * pageUnits, counts: new Uint8Array(pageUnits), kinds: new Uint8Array(pageUnits) }
    this.#pages.set(number, page)
    this.#grow(2 * pageUnits)
    return this.#pages.get(number)
  }

  #grow(bytes: number): void {
    this.#bytes += bytes
    while (this.#bytes > this.#budget && this.#pages.size > 1) {
      let highest = -1
      for (const number of this.#pages.keys()) highest = Math.max(highest, number)
      const page = this.#pages.get(highest)
      this.#bytes -= page?.counts instanceof Float64Array ? 9 * pageUnits : 2 * pageUnits
      this.#pages.delete(highest)
      this.#limit = highest * pageUnits
      this.#last = undefined
    }
  }
}
