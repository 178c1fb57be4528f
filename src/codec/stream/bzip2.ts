/* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is checked against the length of its table */
import { streamLibraries, type OpenLibraryStream } from '../../sys/stream-libraries.js'
import type { Input } from './input.js'
import { decodedBy, decodedPieceLength } from './library-stream.js'
import type { StreamCodec } from './types.js'

/** bzip2: streams of blocks, one stream behind the other, then zeros or nothing. */
export const bzip2Stream: StreamCodec = { id: 'bzip2', decode: (input) => decodeBzip2(input) }

const blockMagic = { high: 0x314159, low: 0x265359 } as const
const endMagic = { high: 0x177245, low: 0x385090 } as const
/** Symbols between two changes of the Huffman table. */
const groupLength = 50
const longestCode = 20

/**
 * @param library decodes whole streams; null: JavaScript does. @param piece memory of the pieces.
 */
export function* decodeBzip2(
  input: Input,
  library: OpenLibraryStream | null = streamLibraries().bzip2 ?? null,
  piece: Uint8Array = new Uint8Array(decodedPieceLength),
): Generator<Uint8Array> {
  for (let streams = 0; ; streams++) {
    if (streams > 0) {
      if (input.remaining === 0 || input.onlyZeros()) return
      const next = Buffer.from(input.peek(3)).toString('latin1')
      if (!'BZh'.startsWith(next)) throw input.trailing('bzip2')
    }
    const start = input.position
    const header = Buffer.from(input.take(4, 'a bzip2 header')).toString('latin1')
    if (!/^BZh[1-9]$/.test(header)) throw input.damaged('no bzip2 stream begins here', start)
    if (library !== null) {
      input.position = start
      yield* decodedBy(library, input, 'a bzip2 stream', piece)
      continue
    }
    const bits = new Bits(input)
    const block = new Block(bits, Number(header[3]) * 100000, piece)
    let combined = 0
    for (;;) {
      const high = bits.take(24)
      const low = bits.take(24)
      if (high === endMagic.high && low === endMagic.low) break
      if (high !== blockMagic.high || low !== blockMagic.low) throw bits.damaged('no bzip2 block begins here')
      const crc = bits.word()
      block.read()
      yield* block.content()
      if (block.crc !== crc) throw bits.damaged('the checksum of a bzip2 block is not that of its content')
      combined = ((combined << 1) | (combined >>> 31)) ^ crc
    }
    if (bits.word() !== combined >>> 0) throw bits.damaged('the checksum of a bzip2 stream is wrong')
    bits.finish()
  }
}

/** Bits, the most significant of a byte first. */
class Bits {
  readonly #input: Input
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #held = 0
  #count = 0

  constructor(input: Input) {
    this.#input = input
  }

  /** Up to 24 bits. */
  take(count: number): number {
    while (this.#count < count) this.#more()
    this.#count -= count
    return (this.#held >>> this.#count) & ((1 << count) - 1)
  }

  one(): number {
    if (this.#count === 0) this.#more()
    this.#count--
    return (this.#held >>> this.#count) & 1
  }

  word(): number {
    const high = this.take(16)
    return ((high << 16) | this.take(16)) >>> 0
  }

  /** Leaves the input behind the last byte of which a bit was taken. */
  finish(): void {
    this.#input.position -= this.#bytes.length - this.#at + (this.#count >> 3)
  }

  damaged(why: string): Error {
    return this.#input.damaged(why, this.#input.position - (this.#bytes.length - this.#at) - (this.#count >> 3))
  }

  /** One more byte: never more than 32 bits are held, and those above are pushed out. */
  #more(): void {
    if (this.#at === this.#bytes.length) {
      this.#bytes = Uint8Array.from(this.#input.some(65536))
      this.#at = 0
      if (this.#bytes.length === 0) throw this.#input.cut('its compressed data')
    }
    this.#held = (this.#held << 8) | this.#bytes[this.#at++]!
    this.#count += 8
  }
}

/** A Huffman code (canonical, lengths 1 to 20). */
class Code {
  readonly #limit = new Int32Array(longestCode + 2)
  readonly #base = new Int32Array(longestCode + 2)
  readonly #symbols: Uint16Array
  readonly #shortest: number

  constructor(lengths: Uint8Array) {
    const counts = new Int32Array(longestCode + 2)
    for (const length of lengths) counts[length]!++
    this.#symbols = new Uint16Array(lengths.length)
    let filled = 0
    for (let length = 1; length <= longestCode; length++)
      for (let symbol = 0; symbol < lengths.length; symbol++)
        if (lengths[symbol] === length) this.#symbols[filled++] = symbol
    let code = 0
    let index = 0
    this.#shortest = longestCode
    for (let length = 1; length <= longestCode; length++) {
      const count = counts[length]!
      if (count > 0 && length < this.#shortest) this.#shortest = length
      this.#base[length] = index - code
      code += count
      index += count
      this.#limit[length] = code - 1
      code <<= 1
    }
  }

  /** The next symbol, or -1 where no code is. */
  next(bits: Bits): number {
    let length = this.#shortest
    let code = bits.take(length)
    while (code > this.#limit[length]!) {
      if (++length > longestCode) return -1
      code = (code << 1) | bits.one()
    }
    const index = code + this.#base[length]!
    return index < 0 || index >= this.#symbols.length ? -1 : this.#symbols[index]!
  }
}

/** CRC-32 with the polynomial 04C11DB7, the most significant bit first. */
const makeCrcTable = (): Int32Array =>
  Int32Array.from({ length: 256 }, (_, index) => {
    let crc = index << 24
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1
    return crc
  })
/** The table, once it was needed. */
let kept: Int32Array | undefined

/** One block at a time, in memory that all share. */
class Block {
  crc = 0
  readonly #bits: Bits
  readonly #size: number
  readonly #vector: Uint32Array
  readonly #starts = new Uint32Array(256)
  readonly #piece: Uint8Array
  #length = 0
  #origin = 0
  #randomised = false

  constructor(bits: Bits, size: number, piece: Uint8Array) {
    this.#bits = bits
    this.#piece = piece
    this.#size = size
    this.#vector = new Uint32Array(size)
  }

  /** Reads a block behind its magic and checksum: Huffman, move to front, runs; then the vector of the transform. */
  read(): void {
    const bits = this.#bits
    this.#randomised = bits.one() === 1
    if (this.#randomised)
      throw bits.damaged('a bzip2 block is of the old randomised kind, which nothing writes any more')
    this.#origin = bits.take(24)
    const used = this.#usedBytes()
    const symbols = used.length + 2
    const tables = bits.take(3)
    if (tables < 2 || tables > 6) throw bits.damaged(`a bzip2 block has ${tables} Huffman tables`)
    const selectors = this.#selectors(tables)
    const codes = Array.from({ length: tables }, () => this.#code(symbols))
    this.#symbols(used, selectors, codes)
    if (this.#origin >= this.#length) throw bits.damaged('a bzip2 block begins outside itself')
    this.#transform()
  }

  #usedBytes(): Uint8Array {
    const bits = this.#bits
    const groups = bits.take(16)
    const used: number[] = []
    for (let group = 0; group < 16; group++) {
      if ((groups & (0x8000 >> group)) === 0) continue
      const members = bits.take(16)
      for (let member = 0; member < 16; member++)
        if ((members & (0x8000 >> member)) !== 0) used.push(group * 16 + member)
    }
    if (used.length === 0) throw bits.damaged('a bzip2 block has no byte in it')
    return Uint8Array.from(used)
  }

  #selectors(tables: number): Uint8Array {
    const bits = this.#bits
    const count = bits.take(15)
    if (count === 0) throw bits.damaged('a bzip2 block has no selectors')
    const order = Array.from({ length: tables }, (_, index) => index)
    const selectors = new Uint8Array(count)
    for (let index = 0; index < count; index++) {
      let place = 0
      while (bits.one() === 1)
        if (++place >= tables) throw bits.damaged('a bzip2 block selects a table that is not there')
      const [table = 0] = order.splice(place, 1)
      order.unshift(table)
      selectors[index] = table
    }
    return selectors
  }

  #code(symbols: number): Code {
    const bits = this.#bits
    const lengths = new Uint8Array(symbols)
    let length = bits.take(5)
    for (let symbol = 0; symbol < symbols; symbol++) {
      for (;;) {
        if (length < 1 || length > longestCode) throw bits.damaged(`a bzip2 code has a length of ${length}`)
        if (bits.one() === 0) break
        length += bits.one() === 0 ? 1 : -1
      }
      lengths[symbol] = length
    }
    return new Code(lengths)
  }

  #symbols(used: Uint8Array, selectors: Uint8Array, codes: readonly Code[]): void {
    const bits = this.#bits
    const front = Uint8Array.from(used)
    const end = used.length + 1
    const counts = this.#starts.fill(0)
    let length = 0
    let group = 0
    let left = 0
    let code: Code | undefined
    let run = 0
    let weight = 1
    for (;;) {
      if (left === 0) {
        code = codes[selectors[group++] ?? -1]
        if (code === undefined) throw bits.damaged('a bzip2 block has too few selectors')
        left = groupLength
      }
      left--
      const symbol = code!.next(bits)
      if (symbol < 0) throw bits.damaged('a bzip2 block has a code that means nothing')
      if (symbol <= 1) {
        // A run in bijective base 2: the digits are 1 and 2.
        run += weight << symbol
        weight *= 2
        if (run > this.#size) throw bits.damaged('a bzip2 block holds more than it may')
        continue
      }
      if (run > 0) {
        const byte = front[0]!
        if (length + run > this.#size) throw bits.damaged('a bzip2 block holds more than it may')
        this.#vector.fill(byte, length, length + run)
        counts[byte]! += run
        length += run
        run = 0
        weight = 1
      }
      if (symbol === end) break
      if (length >= this.#size) throw bits.damaged('a bzip2 block holds more than it may')
      const place = symbol - 1
      const byte = front[place]!
      front.copyWithin(1, 0, place)
      front[0] = byte
      this.#vector[length++] = byte
      counts[byte]!++
    }
    this.#length = length
  }

  /** The inverse of the Burrows-Wheeler transform: the upper 24 bits of an entry lead to the next byte. */
  #transform(): void {
    const vector = this.#vector
    const starts = this.#starts
    let sum = 0
    for (let byte = 0; byte < 256; byte++) {
      const count = starts[byte]!
      starts[byte] = sum
      sum += count
    }
    for (let index = 0; index < this.#length; index++) {
      const byte = vector[index]! & 0xff
      const place = starts[byte]!
      starts[byte] = place + 1
      vector[place] = vector[place]! | (index << 8)
    }
  }

  /** The content of the block, the first run length coding taken back: four equal bytes and a count. */
  *content(): Generator<Uint8Array> {
    const vector = this.#vector
    const piece = this.#piece
    let crc = -1
    let entry = vector[this.#origin]!
    let equal = 0
    let last = -1
    let out = 0
    const crcTable = (kept ??= makeCrcTable())
    for (let index = 0; index < this.#length; index++) {
      entry = vector[entry >>> 8]!
      const byte = entry & 0xff
      let times = 1
      if (equal === 4) {
        times = byte
        equal = 0
      } else {
        equal = byte === last ? equal + 1 : 1
        last = byte
      }
      if (out + times > piece.length) {
        yield piece.subarray(0, out)
        out = 0
      }
      for (; times > 0; times--) {
        piece[out++] = last
        crc = (crc << 8) ^ crcTable[(crc >>> 24) ^ last]!
      }
    }
    this.crc = ~crc >>> 0
    if (out > 0) yield piece.subarray(0, out)
  }
}
