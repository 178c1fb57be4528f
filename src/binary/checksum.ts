import zlib from 'node:zlib'

function table(polynomial: number): Uint32Array {
  const entries = new Uint32Array(256)
  for (let index = 0; index < 256; index++) {
    let value = index
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ polynomial : value >>> 1
    entries[index] = value >>> 0
  }
  return entries
}

/** Eight tables, so that one step takes eight bytes ("slicing by 8"): a log of 1 MiB must not be felt. */
function slices(polynomial: number): Uint32Array[] {
  const tables = [table(polynomial)]
  for (let slice = 1; slice < 8; slice++) {
    const previous = tables[slice - 1] ?? new Uint32Array(256)
    const first = tables[0] ?? previous
    tables.push(previous.map((value) => (value >>> 8) ^ (first[value & 0xff] ?? 0)))
  }
  return tables
}

let castagnoli: Uint32Array[] | undefined

/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, initial value and final xor 0xFFFFFFFF), as VHDX uses it.
 * @param seed the result for the bytes before these, to continue over several pieces; 0 to start.
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  castagnoli ??= slices(0x82f63b78)
  const [t0, t1, t2, t3, t4, t5, t6, t7] = castagnoli as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ]
  let crc = ~seed
  let at = 0
  const end = bytes.length
  /* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is in range by construction */
  for (; at + 8 <= end; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      t7[low & 0xff]! ^
      t6[(low >>> 8) & 0xff]! ^
      t5[(low >>> 16) & 0xff]! ^
      t4[low >>> 24]! ^
      t3[bytes[at + 4]!]! ^
      t2[bytes[at + 5]!]! ^
      t1[bytes[at + 6]!]! ^
      t0[bytes[at + 7]!]!
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at]!) & 0xff]!
  /* eslint-enable @typescript-eslint/no-non-null-assertion */
  return ~crc >>> 0
}

let ieee: Uint32Array | undefined

/** CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320), as GPT uses it. `seed` continues an earlier result. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  // node:zlib has it from 22.2 and 20.15 on; the types of Node 20 do not say so.
  const native = (zlib as { crc32?: (data: Uint8Array, value?: number) => number }).crc32
  if (native !== undefined) return native(bytes, seed)
  ieee ??= table(0xedb88320)
  let crc = ~seed
  for (const byte of bytes) crc = (crc >>> 8) ^ (ieee[(crc ^ byte) & 0xff] ?? 0)
  return ~crc >>> 0
}

/**
 * The one's complement of the sum of all bytes, 32 bits wide: VHD footers and headers (VHD specification, "Checksum").
 */
export function onesComplementSum(bytes: Uint8Array): number {
  let sum = 0
  for (const byte of bytes) sum += byte
  return ~sum >>> 0
}

let ansi: Uint32Array | undefined

/**
 * CRC-16 (reflected polynomial 0xA001, no final xor), as the group descriptors of ext4 use it. `seed` is the register
 * to begin with.
 */
export function crc16(bytes: Uint8Array, seed: number): number {
  ansi ??= table(0xa001)
  let crc = seed
  for (const byte of bytes) crc = (crc >>> 8) ^ (ansi[(crc ^ byte) & 0xff] ?? 0)
  return crc
}

/** The exclusive or of all little-endian 16-bit words (BSD disklabel); a last odd byte is left out. */
export function xorOfWords(bytes: Uint8Array): number {
  let result = 0
  for (let at = 0; at + 1 < bytes.length; at += 2) result ^= (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
  return result
}

const crc32Polynomial = 0xedb88320

/** The product of two polynomials modulo that of CRC-32; bits reflected, so 2^31 is 1. */
function product(left: number, right: number): number {
  let sum = 0
  for (let bit = 31, shifted = right; bit >= 0; bit--) {
    if ((left >>> bit) & 1) sum ^= shifted
    shifted = shifted & 1 ? (shifted >>> 1) ^ crc32Polynomial : shifted >>> 1
  }
  return sum >>> 0
}

/**
 * CRC-32 (that of zlib) of zeros behind other bytes, without a loop over them: a disk may have many TiB of them.
 * @param length how many zeros, in bytes. @param seed the result for the bytes before.
 */
export function crc32Zeros(length: number, seed = 0): number {
  // The register is multiplied by x^8 for each zero byte; 2^(31 - 8) is x^8.
  let power = 2 ** 23
  let register = ~seed >>> 0
  for (let left = length; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) register = product(power, register)
    power = product(power, power)
  }
  return ~register >>> 0
}
