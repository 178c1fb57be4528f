/** Bits of a page: 8 KiB. */
const pageBits = 65536

/** Bits at indexes up to 2^53, none set at first. Only pages in which one was set take memory. */
export class SparseBits {
  readonly #pages = new Map<number, Uint8Array>()
  /** The page of the last bit that was added: what follows is mostly in the same. */
  #lastNumber = -1
  #last: Uint8Array = new Uint8Array(0)

  has(index: number): boolean {
    const within = index % pageBits
    return (((this.#pages.get((index - within) / pageBits)?.[within >>> 3] ?? 0) >>> (within & 7)) & 1) === 1
  }

  set(index: number): void {
    const within = index % pageBits
    const number = (index - within) / pageBits
    let page = this.#pages.get(number)
    if (page === undefined) {
      page = new Uint8Array(pageBits / 8)
      this.#pages.set(number, page)
    }
    page[within >>> 3] = (page[within >>> 3] ?? 0) | (1 << (within & 7))
  }

  /** Sets a bit. @returns whether it was clear. */
  add(index: number): boolean {
    const within = index % pageBits
    const number = (index - within) / pageBits
    if (number !== this.#lastNumber) {
      let page = this.#pages.get(number)
      if (page === undefined) {
        page = new Uint8Array(pageBits / 8)
        this.#pages.set(number, page)
      }
      this.#lastNumber = number
      this.#last = page
    }
    const page = this.#last
    const byte = page[within >>> 3] ?? 0
    const bit = 1 << (within & 7)
    if ((byte & bit) !== 0) return false
    page[within >>> 3] = byte | bit
    return true
  }

  /** How many pages of 8 KiB it takes. */
  get pages(): number {
    return this.#pages.size
  }

  clear(index: number): void {
    const within = index % pageBits
    const page = this.#pages.get((index - within) / pageBits)
    if (page !== undefined) page[within >>> 3] = (page[within >>> 3] ?? 0) & ~(1 << (within & 7))
  }
}
