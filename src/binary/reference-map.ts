import { isZero } from './zero.js'

/** Units of a page. */
const pageUnits = 65536
/** The most that a byte counts; a page where that is not enough counts in numbers. */
const byteLimit = 255

interface Page {
  readonly first: number
  /** What uses each unit: its kind and one, 0 where nothing does. Empty when {@link several} counts. */
  owners: Uint8Array
  /** From when on a unit has several owners. */
  several: Counts | undefined
}

const none = new Uint8Array(0)

/** Bytes that a page takes. */
function sizeOf({ several }: Page): number {
  if (several === undefined) return pageUnits
  return several.counts instanceof Float64Array ? 9 * pageUnits : 2 * pageUnits
}

interface Counts {
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
   * @param budget bytes of memory; a page of 65,536 units takes 64 KiB, 128 where units have several owners, or 576
   * where they are used more than 255 times.
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
    if (page.several === undefined && times === 1 && page.owners[at] === 0) {
      page.owners[at] = kind + 1
      return
    }
    const several = page.several ?? this.#count(page)
    const count = (several.counts[at] ?? 0) + times
    if (count > byteLimit && several.counts instanceof Uint8Array) {
      several.counts = Float64Array.from(several.counts)
      this.#grow(pageUnits * 7)
    }
    several.counts[at] = count
    several.kinds[at] = (several.kinds[at] ?? 0) | (1 << kind)
  }

  /** The same for `length` units from `first` on. */
  addRun(first: number, length: number, kind: number, times = 1): void {
    const end = first + length
    // A page that is taken may let others go, and lower the limit.
    for (let unit = Math.max(first, this.#start); unit < Math.min(end, this.#limit);) {
      const page = times === 1 ? this.#pageFor(unit) : undefined
      const last = Math.min(end, (Math.floor(unit / pageUnits) + 1) * pageUnits)
      if (page?.several === undefined && page !== undefined) {
        const [from, to] = [unit - page.first, last - page.first]
        if (isZero(page.owners, from, to - from)) {
          page.owners.fill(kind + 1, from, to)
          unit = last
          continue
        }
      }
      for (; unit < last; unit++) this.add(unit, kind, times)
    }
  }

  /** How often a unit is used. */
  uses(unit: number): number {
    const page = this.#find(unit)
    if (page === undefined) return 0
    const at = unit - page.first
    if (page.several !== undefined) return page.several.counts[at] ?? 0
    return page.owners[at] === 0 ? 0 : 1
  }

  /** By what kinds of owner a unit is used. */
  kinds(unit: number): number[] {
    const mask = this.#mask(unit)
    return mask === 0 ? [] : [0, 1, 2, 3, 4, 5, 6, 7].filter((kind) => mask & (1 << kind))
  }

  /** Whether more than one kind of owner uses a unit. */
  isMixed(unit: number): boolean {
    const mask = this.#mask(unit)
    return (mask & (mask - 1)) !== 0
  }

  /** The kinds of owner that use a unit, a bit each. */
  #mask(unit: number): number {
    const page = this.#find(unit)
    if (page === undefined) return 0
    const at = unit - page.first
    if (page.several !== undefined) return page.several.kinds[at] ?? 0
    const owner = page.owners[at] ?? 0
    return owner === 0 ? 0 : 1 << (owner - 1)
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
    const page = { first: number * pageUnits, owners: new Uint8Array(pageUnits), several: undefined }
    this.#pages.set(number, page)
    this.#grow(pageUnits)
    return this.#pages.get(number)
  }

  /** Begins to count the owners of a page's units. */
  #count(page: Page): Counts {
    const counts = new Uint8Array(pageUnits)
    const kinds = new Uint8Array(pageUnits)
    for (let at = 0; at < pageUnits; at++) {
      const owner = page.owners[at] ?? 0
      if (owner === 0) continue
      counts[at] = 1
      kinds[at] = 1 << (owner - 1)
    }
    page.owners = none
    page.several = { counts, kinds }
    this.#grow(pageUnits)
    return page.several
  }

  #grow(bytes: number): void {
    this.#bytes += bytes
    while (this.#bytes > this.#budget && this.#pages.size > 1) {
      let highest = -1
      for (const number of this.#pages.keys()) highest = Math.max(highest, number)
      const page = this.#pages.get(highest)
      this.#bytes -= page === undefined ? 0 : sizeOf(page)
      this.#pages.delete(highest)
      this.#limit = highest * pageUnits
      this.#last = undefined
    }
  }
}
