/** Units of a page, and pages kept: 64 MiB at most. */
const pageLength = 65536
const mostPages = 256

/**
 * Which unit of a disk has each unit of its file, as far as they have been read: two with one place are damage.
 * Memory goes with the units that are met; a file with more than 16 million of them is watched in part.
 */
export class UnitOwners {
  readonly #pages = new Map<number, Uint32Array>()
  #claimed = 0
  #isWhole = true

  /** Units of the file that have an owner; undefined where not all of them were watched. */
  get claimed(): number | undefined {
    return this.#isWhole ? this.#claimed : undefined
  }

  /** Enters a unit. Gives the other one that has this place, if one was entered before. */
  claim(unit: number, index: number): number | undefined {
    const number = Math.floor(index / pageLength)
    let page = this.#pages.get(number)
    if (page === undefined) {
      if (this.#pages.size >= mostPages) {
        this.#isWhole = false
        return undefined
      }
      page = new Uint32Array(pageLength)
      this.#pages.set(number, page)
    }
    const at = index % pageLength
    const owner = page[at] ?? 0
    if (owner === 0) {
      page[at] = unit + 1
      this.#claimed++
    }
    return owner === 0 || owner === unit + 1 ? undefined : owner - 1
  }
}
