/* eslint-disable @typescript-eslint/no-non-null-assertion -- indexes of probabilities are in range by construction */

/** Where each kind of probability begins in the one array (LZMA specification, "The main loop of decoder"). */
const place = {
  isMatch: 0,
  isRep: 192,
  isRepG0: 204,
  isRepG1: 216,
  isRepG2: 228,
  isRep0Long: 240,
  posSlot: 432,
  posSpecial: 688,
  align: 804,
  matchLength: 820,
  repLength: 1334,
  literal: 1848,
} as const
/** A length coder: two choices, then 16 low and 16 middle trees of 8, and one high tree of 256. */
const lengthLow = 2
const lengthMiddle = 130
const lengthHigh = 258
const half = 1024
/** The most bytes that one symbol takes from the input. */
export const longestSymbol = 24

/** Why data does not decode. */
export class LzmaDamage extends Error {}

/** The same, where more bytes might have helped. */
export class LzmaCut extends LzmaDamage {}

/**
 * LZMA (LZMA specification by Igor Pavlov): the model, the range coder and the dictionary. The caller passes
 * the bytes (`input`, from `at` to `end`) and takes what comes out.
 */
export class LzmaDecoder {
  input: Uint8Array = new Uint8Array(0)
  at = 0
  end = 0
  /** Whether the end mark was met. */
  ended = false
  #probabilities = new Uint16Array(place.literal)
  #range = 0
  #code = 0
  #state = 0
  #rep0 = 0
  #rep1 = 0
  #rep2 = 0
  #rep3 = 0
  #lc = 0
  #lpMask = 0
  #pbMask = 0
  /** Of a match that did not fit in what was asked for. */
  #pending = 0
  readonly #dictionary: Uint8Array
  #position = 0
  #full = 0
  #total = 0

  /** @param size bytes of the dictionary. */
  constructor(size: number) {
    this.#dictionary = new Uint8Array(Math.max(4096, size))
  }

  /** @throws LzmaDamage for a byte of properties that cannot be. */
  setProperties(byte: number, mostLiteralBits: number): void {
    if (byte >= 225) throw new LzmaDamage(`the properties are ${byte}, more than 224`)
    this.#lc = byte % 9
    const lp = Math.floor(byte / 9) % 5
    if (this.#lc + lp > mostLiteralBits) throw new LzmaDamage('the properties ask for too many literal bits')
    this.#lpMask = (1 << lp) - 1
    this.#pbMask = (1 << Math.floor(byte / 45)) - 1
    const length = place.literal + (0x300 << (this.#lc + lp))
    if (this.#probabilities.length !== length) this.#probabilities = new Uint16Array(length)
  }

  resetState(): void {
    this.#probabilities.fill(half)
    this.#state = 0
    this.#rep0 = this.#rep1 = this.#rep2 = this.#rep3 = 0
    this.#pending = 0
  }

  resetDictionary(): void {
    this.#position = this.#full = this.#total = 0
  }

  /** Starts the range coder with the next five bytes. */
  start(): void {
    if (this.input[this.at] !== 0) throw new LzmaDamage('its range coder does not begin with zero')
    this.#code =
      ((this.input[this.at + 1]! << 24) |
        (this.input[this.at + 2]! << 16) |
        (this.input[this.at + 3]! << 8) |
        this.input[this.at + 4]!) >>>
      0
    this.#range = 0xffffffff
    this.at += 5
  }

  /** The same as `ended`, asked after a call that may have changed it. */
  hasEnded(): boolean {
    return this.ended
  }

  /** Whether the range coder stands where a finished stream leaves it. */
  get finished(): boolean {
    return this.#code === 0 && this.#pending === 0
  }

  /** Where the dictionary stands, to be given to {@link produced}. */
  get position(): number {
    return this.#position
  }

  /** Bytes of the dictionary. */
  get capacity(): number {
    return this.#dictionary.length
  }

  /** Puts plain bytes into the dictionary. */
  copy(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const length = Math.min(bytes.length - done, this.#dictionary.length - this.#position)
      this.#dictionary.set(bytes.subarray(done, done + length), this.#position)
      this.#advance(length)
      done += length
    }
  }

  /** What was produced since the dictionary stood at `from`, `length` bytes, in one or two parts. */
  produced(from: number, length: number): Uint8Array[] {
    const first = Math.min(length, this.#dictionary.length - from)
    const parts = [this.#dictionary.subarray(from, from + first)]
    if (first < length) parts.push(this.#dictionary.subarray(0, length - first))
    return parts
  }

  /**
   * Decodes up to `limit` bytes, at most the dictionary's size; fewer when the input may not hold another whole symbol
   * (unless `last`: nothing follows it) or the end mark comes. @returns how many.
   */
  decode(limit: number, last: boolean): number {
    const stop = last ? this.end : this.end - longestSymbol
    let left = limit
    if (this.#pending > 0) left -= this.#repeat(left)
    while (left > 0 && this.at <= stop && !this.ended) {
      left -= this.#symbol(left)
      if (this.at > this.end) throw new LzmaCut('its data ends too early')
    }
    return limit - left
  }

  /** Whether the end mark follows; takes it. */
  endMark(): boolean {
    if (this.#pending > 0 || this.ended) return this.ended
    this.#symbol(0)
    return this.ended
  }

  #symbol(left: number): number {
    const positionState = this.#total & this.#pbMask
    const state = this.#state
    if (this.#bit(place.isMatch + (state << 4) + positionState) === 0) {
      if (left === 0) throw new LzmaDamage('it holds more than it says')
      this.#literal()
      return 1
    }
    let length: number
    if (this.#bit(place.isRep + state) === 0) {
      this.#rep3 = this.#rep2
      this.#rep2 = this.#rep1
      this.#rep1 = this.#rep0
      length = this.#length(place.matchLength, positionState)
      this.#state = state < 7 ? 7 : 10
      this.#rep0 = this.#distance(length)
      if (this.#rep0 === 0xffffffff) {
        this.ended = true
        return 0
      }
    } else {
      if (this.#full === 0) throw new LzmaDamage('it refers to what is before its beginning')
      if (this.#bit(place.isRepG0 + state) === 0) {
        if (this.#bit(place.isRep0Long + (state << 4) + positionState) === 0) {
          this.#state = state < 7 ? 9 : 11
          this.#pending = 1
          return this.#repeat(left)
        }
      } else this.#takeRep(state)
      length = this.#length(place.repLength, positionState)
      this.#state = state < 7 ? 8 : 11
    }
    this.#pending = length + 2
    return this.#repeat(left)
  }

  #takeRep(state: number): void {
    let distance: number
    if (this.#bit(place.isRepG1 + state) === 0) distance = this.#rep1
    else {
      if (this.#bit(place.isRepG2 + state) === 0) distance = this.#rep2
      else {
        distance = this.#rep3
        this.#rep3 = this.#rep2
      }
      this.#rep2 = this.#rep1
    }
    this.#rep1 = this.#rep0
    this.#rep0 = distance
  }

  /** Copies what is pending of a match, at most `left` bytes. */
  #repeat(left: number): number {
    const distance = this.#rep0 + 1
    if (distance > this.#full) throw new LzmaDamage('it refers to what is before its beginning')
    if (left === 0) throw new LzmaDamage('it holds more than it says')
    const length = Math.min(this.#pending, left)
    const dictionary = this.#dictionary
    const size = dictionary.length
    let to = this.#position
    let from = to - distance
    if (from < 0) from += size
    if (from + length <= size && to + length <= size && distance >= length)
      dictionary.copyWithin(to, from, from + length)
    else {
      for (let count = length; count > 0; count--) {
        dictionary[to++] = dictionary[from++]!
        if (to === size) to = 0
        if (from === size) from = 0
      }
    }
    this.#pending -= length
    this.#advance(length)
    return length
  }

  #advance(length: number): void {
    this.#position += length
    if (this.#position >= this.#dictionary.length) this.#position -= this.#dictionary.length
    this.#full = Math.min(this.#full + length, this.#dictionary.length)
    this.#total = (this.#total + length) >>> 0
  }

  #literal(): void {
    const dictionary = this.#dictionary
    const previous = this.#full === 0 ? 0 : dictionary[(this.#position === 0 ? dictionary.length : this.#position) - 1]!
    const table = place.literal + 0x300 * (((this.#total & this.#lpMask) << this.#lc) + (previous >> (8 - this.#lc)))
    let symbol = 1
    if (this.#state >= 7) {
      const distance = this.#rep0 + 1
      if (distance > this.#full) throw new LzmaDamage('it refers to what is before its beginning')
      const from = this.#position - distance
      let match = dictionary[from < 0 ? from + dictionary.length : from]!
      while (symbol < 0x100) {
        const matchBit = (match >> 7) & 1
        match <<= 1
        const bit = this.#bit(table + ((1 + matchBit) << 8) + symbol)
        symbol = (symbol << 1) | bit
        if (matchBit !== bit) break
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(table + symbol)
    dictionary[this.#position] = symbol
    this.#advance(1)
    const state = this.#state
    this.#state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6
  }

  #length(base: number, positionState: number): number {
    if (this.#bit(base) === 0) return this.#tree(base + lengthLow + (positionState << 3), 3)
    if (this.#bit(base + 1) === 0) return 8 + this.#tree(base + lengthMiddle + (positionState << 3), 3)
    return 16 + this.#tree(base + lengthHigh, 8)
  }

  #distance(length: number): number {
    const slot = this.#tree(place.posSlot + (Math.min(length, 3) << 6), 6)
    if (slot < 4) return slot
    const bits = (slot >> 1) - 1
    const base = ((2 | (slot & 1)) << bits) >>> 0
    if (slot < 14) return base + this.#reverse(place.posSpecial + base - slot, bits)
    return (base + this.#direct(bits - 4) * 16 + this.#reverse(place.align, 4)) >>> 0
  }

  #tree(base: number, bits: number): number {
    let symbol = 1
    for (let bit = 0; bit < bits; bit++) symbol = (symbol << 1) | this.#bit(base + symbol)
    return symbol - (1 << bits)
  }

  #reverse(base: number, bits: number): number {
    let symbol = 1
    let result = 0
    for (let index = 0; index < bits; index++) {
      const bit = this.#bit(base + symbol)
      symbol = (symbol << 1) | bit
      result |= bit << index
    }
    return result
  }

  #direct(bits: number): number {
    let result = 0
    for (let bit = 0; bit < bits; bit++) {
      this.#range >>>= 1
      if (this.#code >= this.#range) {
        this.#code -= this.#range
        result = (result << 1) | 1
      } else result <<= 1
      this.#normalise()
    }
    return result >>> 0
  }

  #bit(index: number): number {
    const probability = this.#probabilities[index]!
    const bound = (this.#range >>> 11) * probability
    let bit: number
    if (this.#code < bound) {
      this.#range = bound
      this.#probabilities[index] = probability + ((2048 - probability) >> 5)
      bit = 0
    } else {
      this.#range -= bound
      this.#code -= bound
      this.#probabilities[index] = probability - (probability >> 5)
      bit = 1
    }
    this.#normalise()
    return bit
  }

  #normalise(): void {
    if (this.#range >= 0x1000000) return
    this.#range = (this.#range << 8) >>> 0
    this.#code = ((this.#code << 8) | (this.at < this.end ? this.input[this.at]! : 0)) >>> 0
    this.at++
  }
}
