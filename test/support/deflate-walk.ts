/** What a raw deflate stream (RFC 1951) refers to. */
export interface DeflateWalk {
  /** The furthest distance back that any match has, in bytes; 0 where there is none. */
  readonly furthest: number
  /** Bytes that the stream gives. */
  readonly length: number
}

const lengthBases = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]
const lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const codeOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** Symbols by the length and value of their codes. */
type Codes = ReadonlyMap<string, number>

function codesOf(lengths: readonly number[]): Codes {
  const codes = new Map<string, number>()
  let code = 0
  for (let length = 1; length <= 15; length++) {
    lengths.forEach((own, symbol) => {
      if (own === length) codes.set(`${length}:${code++}`, symbol)
    })
    code *= 2
  }
  return codes
}

/** The bits of a deflate stream, in its order. */
class Bits {
  /** In bits. */
  #at = 0

  constructor(readonly bytes: Uint8Array) {}

  take(count: number): number {
    let value = 0
    for (let index = 0; index < count; index++, this.#at++) {
      const byte = this.bytes[Math.floor(this.#at / 8)]
      if (byte === undefined) throw new Error('the stream ends early')
      value += (Math.floor(byte / 2 ** (this.#at % 8)) % 2) * 2 ** index
    }
    return value
  }

  symbol(codes: Codes): number {
    let code = 0
    for (let length = 1; length <= 15; length++) {
      code = code * 2 + this.take(1)
      const found = codes.get(`${length}:${code}`)
      if (found !== undefined) return found
    }
    throw new Error('no such code')
  }

  /** Passes a stored block. @returns its length in bytes. */
  stored(): number {
    this.#at = Math.ceil(this.#at / 8) * 8
    const length = this.take(16)
    this.take(16)
    this.#at += length * 8
    return length
  }
}

/** The codes of literals and of distances that a block brings along. */
function dynamicCodes(bits: Bits): readonly [Codes, Codes] {
  const [literals, distances, count] = [bits.take(5) + 257, bits.take(5) + 1, bits.take(4) + 4]
  const own = Array.from({ length: 19 }, () => 0)
  for (let index = 0; index < count; index++) own[codeOrder[index] ?? 0] = bits.take(3)
  const codes = codesOf(own)
  const lengths: number[] = []
  while (lengths.length < literals + distances) {
    const value = bits.symbol(codes)
    const [repeated, times] =
      value < 16
        ? [value, 1]
        : value === 16
          ? [lengths.at(-1) ?? 0, 3 + bits.take(2)]
          : [0, value === 17 ? 3 + bits.take(3) : 11 + bits.take(7)]
    for (let index = 0; index < times; index++) lengths.push(repeated)
  }
  return [codesOf(lengths.slice(0, literals)), codesOf(lengths.slice(literals))]
}

const fixedCodes = (): readonly [Codes, Codes] => [
  codesOf(Array.from({ length: 288 }, (_, value) => (value < 144 ? 8 : value < 256 ? 9 : value < 280 ? 7 : 8))),
  codesOf(Array.from({ length: 30 }, () => 5)),
]

/** Walks a raw deflate stream code by code: inflating it would not say how far its matches reach. */
export function walkDeflate(bytes: Uint8Array): DeflateWalk {
  const bits = new Bits(bytes)
  let furthest = 0
  let total = 0
  for (let last = false; !last;) {
    last = bits.take(1) === 1
    const type = bits.take(2)
    if (type === 0) {
      total += bits.stored()
      continue
    }
    const [literals, distances] = type === 1 ? fixedCodes() : dynamicCodes(bits)
    for (let value = bits.symbol(literals); value !== 256; value = bits.symbol(literals)) {
      if (value < 256) {
        total++
        continue
      }
      const length = (lengthBases[value - 257] ?? NaN) + bits.take(lengthBits[value - 257] ?? 0)
      const far = bits.symbol(distances)
      const extra = far < 4 ? 0 : Math.floor(far / 2) - 1
      const distance = (far < 4 ? far + 1 : (2 + (far % 2)) * 2 ** extra + 1) + bits.take(extra)
      if (distance > total) throw new Error('a match begins before the stream')
      furthest = Math.max(furthest, distance)
      total += length
    }
  }
  return { furthest, length: total }
}
