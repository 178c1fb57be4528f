/** Bits of a page: 8 KiB. */
const pageBits = 65536

/** Bits at indexes up to 2^53, none set at first. Only pages in which one was set take memory. */
export class SparseBits {
  readonly #pages = new Map<number, Uint8Array>()

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

  clear(index: number): void {
    const within = index % pageBits
    const page = this.#pages.get((index - within) / pageBits)
    if (page !== undefined) page[within >>> 3] = (page[within >>> 3] ?? 0) & ~(1 << (within & 7))
  }
}
