import { moveNumbers } from './move-numbers.js'
import { lastAtMost } from './search.js'

/**
 * Where numbered pieces lie in a file, with 16 bits about each: added in the order of the file, then looked up by
 * number. 14 bytes for each.
 */
export class NumberedPlaces {
  #count = 0
  #numbers = new Uint32Array(256)
  #positions = new Float64Array(256)
  #words = new Uint16Array(256)
  #sorted = true
  #last = 0
  #largest = -1

  get count(): number {
    return this.#count
  }

  /** @param number below 2^32. @param position in bytes of the file. @param word 16 bits that belong to it. */
  add(number: number, position: number, word: number): void {
    if (this.#count === this.#numbers.length) this.#resize(2 * this.#count)
    const before = this.#count === 0 ? -1 : (this.#numbers[this.#count - 1] ?? 0)
    if (number <= before) this.#sorted = false
    this.#numbers[this.#count] = number
    this.#positions[this.#count] = position
    this.#words[this.#count] = word
    this.#count++
    this.#largest = Math.max(this.#largest, number)
  }

  /** The greatest number, before they are ordered or afterwards; −1 without any. */
  get largest(): number {
    return this.#largest
  }

  /** Another word for the one added last. */
  setLastWord(word: number): void {
    if (this.#count > 0) this.#words[this.#count - 1] = word
  }

  /** Orders them by number. Gives one that is there twice, if there is any. */
  finish(): number | undefined {
    if (!this.#sorted) this.#sort()
    for (let index = 1; index < this.#count; index++)
      if (this.#numbers[index] === this.#numbers[index - 1]) return this.#numbers[index]
    return undefined
  }

  /** The index of a piece; −1 where it is not there. */
  find(number: number): number {
    for (const near of [this.#last, this.#last + 1])
      if (near < this.#count && this.#numbers[near] === number) return (this.#last = near)
    const index = lastAtMost(this.#numbers, this.#count, number)
    if (index < 0 || this.#numbers[index] !== number) return -1
    return (this.#last = index)
  }

  position(index: number): number {
    return this.#positions[index] ?? 0
  }

  word(index: number): number {
    return this.#words[index] ?? 0
  }

  #resize(length: number): void {
    this.#numbers = moveNumbers(this.#numbers, new Uint32Array(length))
    this.#positions = moveNumbers(this.#positions, new Float64Array(length))
    this.#words = moveNumbers(this.#words, new Uint16Array(length))
  }

  /** By the low 16 bits, then by the high ones: archives of many terabytes have millions of them. */
  #sort(): void {
    let order = new Uint32Array(this.#count)
    for (let index = 0; index < this.#count; index++) order[index] = index
    for (const shift of [0, 16]) {
      const starts = new Uint32Array(65537)
      const digit = (index: number): number => ((this.#numbers[index] ?? 0) >>> shift) & 0xffff
      for (const index of order) starts[digit(index) + 1] = (starts[digit(index) + 1] ?? 0) + 1
      for (let value = 1; value <= 65536; value++) starts[value] = (starts[value] ?? 0) + (starts[value - 1] ?? 0)
      const next = new Uint32Array(this.#count)
      for (const index of order) {
        const value = digit(index)
        const place = starts[value] ?? 0
        next[place] = index
        starts[value] = place + 1
      }
      order = next
    }
    this.#numbers = Uint32Array.from(order, (index) => this.#numbers[index] ?? 0)
    this.#positions = Float64Array.from(order, (index) => this.#positions[index] ?? 0)
    this.#words = Uint16Array.from(order, (index) => this.#words[index] ?? 0)
  }
}
