/** Bits and checksums of partclone, as machines store them. */

/** The words of 32 bits that a page of the bitmap has; those past its end are zero. */
export const wordsPerPage = 2048

/** Bits that are set: bit i of byte i / 8, from the low bit. `bits`: how many of them count. */
export function wordsOfBits(bytes: Uint8Array, bits: number): Uint32Array {
  const words = new Uint32Array(wordsPerPage)
  for (let at = 0; at < bytes.length; at++)
    words[at >>> 2] = (words[at >>> 2] ?? 0) | ((bytes[at] ?? 0) << ((at & 3) * 8))
  // Bits behind the last block say nothing.
  const last = bits >>> 5
  if (last < words.length) {
    words[last] = (words[last] ?? 0) & lowBits(bits & 31)
    words.fill(0, last + 1)
  }
  return words
}

/** The same of a byte a block, of which only 1 says that it is stored. */
export function wordsOfBytes(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(wordsPerPage)
  for (let at = 0; at < bytes.length; at++)
    if (bytes[at] === 1) words[at >>> 5] = (words[at >>> 5] ?? 0) | (1 << (at & 31))
  return words
}

export function isSet(words: Uint32Array, bit: number): boolean {
  return (((words[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) === 1
}

/** Bits set in words [start, end). */
export function countOnes(words: Uint32Array, start: number, end: number): number {
  let count = 0
  for (let at = start; at < end; at++) count += ones(words[at] ?? 0)
  return count
}

/** Bits set before this one in its word. */
export function onesBefore(words: Uint32Array, bit: number): number {
  return ones((words[bit >>> 5] ?? 0) & lowBits(bit & 31))
}

/** The first bit from `start` on that differs from the one there, at most `end`. */
export function sameUntil(words: Uint32Array, start: number, end: number): number {
  const flip = isSet(words, start) ? 0xffffffff : 0
  let at = start
  while (at < end) {
    const differing = (((words[at >>> 5] ?? 0) ^ flip) >>> (at & 31)) >>> 0
    if (differing !== 0) return Math.min(end, at + 31 - Math.clz32(differing & -differing))
    at = ((at >>> 5) + 1) * 32
  }
  return end
}

/** A CRC-32 without its last inversion, which is how partclone stores it. */
export function withoutInversion(crc: number): number {
  return ~crc >>> 0
}

function ones(word: number): number {
  let value = word - ((word >>> 1) & 0x55555555)
  value = (value & 0x33333333) + ((value >>> 2) & 0x33333333)
  return Math.imul((value + (value >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

/** @param count 0 to 31. */
function lowBits(count: number): number {
  return (1 << count) - 1
}
