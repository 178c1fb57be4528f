import type { Work } from '../../block/work.js'
import type { ReadBytes } from './input.js'

/** What of a bzip2 file is found without decoding it. Positions are bits of the range that was scanned. */
export interface Bzip2Blocks {
  /** Where each block begins, by the first bit of its magic. */
  readonly starts: Float64Array
  /** And where it ends: the first bit of the magic that follows. */
  readonly ends: Float64Array
  /** How large it may be, in units of 100000 bytes: 1 to 9, as the header of its stream says. */
  readonly levels: Uint8Array
}

/** Begins a block; ends a stream. Both stand at any bit. */
export const blockMagic = Uint8Array.of(0x31, 0x41, 0x59, 0x26, 0x53, 0x59)
export const endMagic = Uint8Array.of(0x17, 0x72, 0x45, 0x38, 0x50, 0x90)
export const magicBits = 48
const windowLength = 1048576
/** A magic takes seven bytes where it does not begin with a byte. */
const longestMagic = 7

/**
 * Finds the blocks of streams that follow each other to the end of the range, or to zeros behind them, by their magics:
 * blocks decode on their own. A magic can stand inside a block too (once in 2^48 bits), which shows when that does not
 * decode. Undefined where the structure is not a sound one: reading from the start says what is wrong.
 */
export function* scanBzip2(read: ReadBytes, size: number): Work<Bzip2Blocks | undefined> {
  const streams = new Streams(read, size)
  const window = new Uint8Array(Math.min(windowLength, size))
  for (let start = 0; start < size;) {
    const bytes = window.subarray(0, Math.min(window.length, size - start))
    read(start, bytes)
    // A magic that may be cut off by the window's end is found in the next one.
    const found = start + bytes.length === size ? bytes.length : bytes.length - longestMagic + 1
    for (let at = nextMagic(bytes, 0, found); at >= 0; at = nextMagic(bytes, at + 1, found)) {
      for (let shift = 0; shift < 8; shift++) {
        const isBlock = standsAt(bytes, at, shift, blockMagic)
        if (!isBlock && !standsAt(bytes, at, shift, endMagic)) continue
        if (!streams.take((start + at) * 8 + shift, isBlock)) return undefined
      }
    }
    start += found
    yield { done: start, total: size }
  }
  return streams.blocks()
}

/** Puts magics together to streams, and compares what is recorded around blocks. */
class Streams {
  readonly #read: ReadBytes
  readonly #size: number
  readonly #starts: number[] = []
  readonly #ends: number[] = []
  readonly #levels: number[] = []
  #level = 0
  /** Where the block ends that began last; undefined: a stream ended, or none began. */
  #open: number | undefined
  /** Where the next magic must stand when no block is open. */
  #expected: number | undefined
  #combined = 0

  constructor(read: ReadBytes, size: number) {
    this.#read = read
    this.#size = size
    this.#begin(0)
  }

  /** False where the magic does not belong there. */
  take(bit: number, isBlock: boolean): boolean {
    if (this.#open === undefined) {
      // What looks like a magic in the checksum of a stream, or before the next, is none.
      if (this.#expected === undefined || bit !== this.#expected) return false
    } else this.#close(bit)
    if (!isBlock) return this.#endStream(bit)
    const crc = this.#word(bit + magicBits)
    if (crc === undefined) return false
    this.#combined = ((this.#combined << 1) | (this.#combined >>> 31)) ^ crc
    this.#open = bit
    return true
  }

  blocks(): Bzip2Blocks | undefined {
    if (this.#open !== undefined || this.#expected !== undefined) return undefined
    return {
      starts: Float64Array.from(this.#starts),
      ends: Float64Array.from(this.#ends),
      levels: Uint8Array.from(this.#levels),
    }
  }

  #close(bit: number): void {
    this.#starts.push(this.#open ?? 0)
    this.#ends.push(bit)
    this.#levels.push(this.#level)
    this.#open = undefined
  }

  #endStream(bit: number): boolean {
    if (this.#word(bit + magicBits) !== this.#combined >>> 0) return false
    this.#expected = undefined
    const next = Math.ceil((bit + magicBits + 32) / 8)
    return this.#begin(next) || this.#isPadding(next)
  }

  /** Whether the header of a stream is there. */
  #begin(position: number): boolean {
    const header = new Uint8Array(4)
    if (position + header.length > this.#size) return false
    this.#read(position, header)
    const level = (header[3] ?? 0) - 0x30
    if (header[0] !== 0x42 || header[1] !== 0x5a || header[2] !== 0x68 || level < 1 || level > 9) return false
    this.#level = level
    this.#combined = 0
    this.#expected = (position + header.length) * 8
    return true
  }

  #isPadding(position: number): boolean {
    const bytes = new Uint8Array(65536)
    for (let at = position; at < this.#size; at += bytes.length) {
      const piece = bytes.subarray(0, Math.min(bytes.length, this.#size - at))
      this.#read(at, piece)
      if (piece.some((byte) => byte !== 0)) return false
    }
    return true
  }

  /** The 32 bits at a place. */
  #word(bit: number): number | undefined {
    const position = Math.floor(bit / 8)
    const bytes = new Uint8Array(5)
    const there = Math.min(bytes.length, this.#size - position)
    if ((there - 1) * 8 < 32 - 8 + (bit % 8 === 0 ? 0 : 8)) return undefined
    this.#read(position, bytes.subarray(0, there))
    return new DataView(bitsFrom(bytes, bit % 8, 4).buffer).getUint32(0)
  }
}

/** `length` bytes that begin `shift` bits behind the start of others. */
export function bitsFrom(bytes: Uint8Array, shift: number, length: number): Uint8Array {
  const shifted = new Uint8Array(length)
  if (shift === 0) shifted.set(bytes.subarray(0, length))
  else
    for (let index = 0; index < length; index++)
      shifted[index] = ((bytes[index] ?? 0) << shift) | ((bytes[index + 1] ?? 0) >>> (8 - shift))
  return shifted
}

/** Whether a magic begins `shift` bits behind a byte. */
export function standsAt(bytes: Uint8Array, at: number, shift: number, magic: Uint8Array): boolean {
  if (at + magic.length + (shift === 0 ? 0 : 1) > bytes.length) return false
  for (let index = 0; index < magic.length; index++) {
    const byte = ((bytes[at + index] ?? 0) << shift) | ((bytes[at + index + 1] ?? 0) >>> (8 - shift))
    if ((byte & 0xff) !== magic[index]) return false
  }
  return true
}

/**
 * How far to go on by the sixth byte of a place: the magics' second to sixth bytes are known for each of the eight
 * shifts, so most bytes say that none begins at the next five places (Boyer, Moore and Horspool's search).
 */
const makeSteps = (): Uint8Array => {
  const steps = new Uint8Array(256).fill(5)
  for (const magic of [blockMagic, endMagic]) {
    for (let shift = 0; shift < 8; shift++) {
      for (let index = 1; index <= 5; index++) {
        const byte = (((magic[index - 1] ?? 0) << (8 - shift)) | ((magic[index] ?? 0) >>> shift)) & 0xff
        steps[byte] = Math.min(steps[byte] ?? 5, 5 - index)
      }
    }
  }
  return steps
}
/** The table, once it was needed. */
let kept: Uint8Array | undefined

/** The next byte, from a place on and before another, in which a magic begins; -1: none does. */
function nextMagic(bytes: Uint8Array, from: number, before: number): number {
  const steps = (kept ??= makeSteps())
  for (let at = from; at < before;) {
    const step = steps[bytes[at + 5] ?? 0] ?? 0
    if (step > 0) at += step
    else if (begins(bytes, at)) return at
    else at++
  }
  return -1
}

/** Whether a magic begins at some bit of a byte. */
function begins(bytes: Uint8Array, at: number): boolean {
  for (let shift = 0; shift < 8; shift++)
    if (standsAt(bytes, at, shift, blockMagic) || standsAt(bytes, at, shift, endMagic)) return true
  return false
}
