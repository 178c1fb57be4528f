/** Pages that are kept are of this many bytes. */
export const pageLength = 65536

/** Pages of a file, by number; those that were not used for the longest time go first. */
export class KeptPages {
  readonly #pages: Map<number, Uint8Array>
  readonly #most: number

  /** @param most how many there are at most. @param pages those that are there already. */
  constructor(most = Infinity, pages: ReadonlyMap<number, Uint8Array> = new Map()) {
    this.#pages = new Map(pages)
    this.#most = most
  }

  /** Those that begin in a range of bytes, or hold its start. */
  within(start: number, end: number): ReadonlyMap<number, Uint8Array> {
    const first = Math.floor(start / pageLength)
    return new Map([...this.#pages].filter(([number]) => number >= first && number * pageLength < end))
  }

  has(number: number): boolean {
    return this.#pages.has(number)
  }

  /** @returns how many bytes of `target` were filled, from one page; 0: that at `position` is not kept. */
  copy(position: number, target: Uint8Array): number {
    const number = Math.floor(position / pageLength)
    const page = this.#pages.get(number)
    const from = position - number * pageLength
    if (page === undefined || from >= page.length) return 0
    this.#pages.delete(number)
    this.#pages.set(number, page)
    const bytes = page.subarray(from, from + target.length)
    target.set(bytes)
    return bytes.length
  }

  /** @param first the number of the page that `bytes` begin with. */
  keep(first: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += pageLength)
      this.#pages.set(first + at / pageLength, bytes.slice(at, at + pageLength))
    for (const number of this.#pages.keys()) {
      if (this.#pages.size <= this.#most) break
      this.#pages.delete(number)
    }
  }

  /** The first byte from `position` on that is in no page. */
  past(position: number): number {
    let at = position
    while (this.#pages.has(Math.floor(at / pageLength))) at = (Math.floor(at / pageLength) + 1) * pageLength
    return at
  }

  /** Where the first page behind `start` begins; `end`, where none does before it. */
  next(start: number, end: number): number {
    let at = start + 1
    while (at < end && !this.#pages.has(Math.floor(at / pageLength)))
      at = (Math.floor(at / pageLength) + 1) * pageLength
    return Math.min(at, end)
  }
}
