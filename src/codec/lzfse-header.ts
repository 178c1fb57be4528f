import { viewOf } from '../binary/integers.js'
import { corrupt } from '../errors.js'

/** Header of an LZFSE block. Lengths in bytes, `size` is the header's own. */
export interface LzfseHeader {
  readonly size: number
  readonly rawBytes: number
  readonly literals: number
  readonly matches: number
  readonly literalBytes: number
  readonly lmdBytes: number
  /** Bits of the last byte that are not used, negative. */
  readonly literalBits: number
  readonly lmdBits: number
  readonly literalStates: readonly number[]
  readonly lState: number
  readonly mState: number
  readonly dState: number
  readonly lFrequencies: Uint16Array
  readonly mFrequencies: Uint16Array
  readonly dFrequencies: Uint16Array
  readonly literalFrequencies: Uint16Array
}

const symbols = { l: 20, m: 20, d: 64, literal: 256 } as const
const allSymbols = symbols.l + symbols.m + symbols.d + symbols.literal
const mostLiterals = 40000
const mostMatches = 10000
const size1 = 772
const size2 = 32

function damaged(why: string): Error {
  return corrupt('E_COMPRESSED', `the LZFSE data is damaged: ${why}`)
}

/** The header with tables as they are (lzfse_internal.h, lzfse_compressed_block_header_v1). */
export function readHeader1(bytes: Uint8Array): LzfseHeader {
  if (bytes.length < size1) throw damaged('it ends within a header')
  const view = viewOf(bytes)
  const frequencies = Uint16Array.from({ length: allSymbols }, (_, index) => view.getUint16(50 + index * 2, true))
  return checked({
    size: size1,
    rawBytes: view.getUint32(4, true),
    literals: view.getUint32(12, true),
    matches: view.getUint32(16, true),
    literalBytes: view.getUint32(20, true),
    lmdBytes: view.getUint32(24, true),
    literalBits: view.getInt32(28, true),
    literalStates: [32, 34, 36, 38].map((at) => view.getUint16(at, true)),
    lmdBits: view.getInt32(40, true),
    lState: view.getUint16(44, true),
    mState: view.getUint16(46, true),
    dState: view.getUint16(48, true),
    ...divided(frequencies),
  })
}

/** The header with packed fields and tables (lzfse_compressed_block_header_v2). */
export function readHeader2(bytes: Uint8Array): LzfseHeader {
  if (bytes.length < size2) throw damaged('it ends within a header')
  const view = viewOf(bytes)
  const packed = [8, 16, 24].map((at) => view.getBigUint64(at, true))
  const field = (word: number, shift: number, bits: number): number =>
    Number(((packed[word] ?? 0n) >> BigInt(shift)) & ((1n << BigInt(bits)) - 1n))
  const size = field(2, 0, 32)
  if (size < size2 || size > bytes.length) throw damaged(`a header of ${size} bytes`)
  return checked({
    size,
    rawBytes: view.getUint32(4, true),
    literals: field(0, 0, 20),
    literalBytes: field(0, 20, 20),
    matches: field(0, 40, 20),
    literalBits: field(0, 60, 3) - 7,
    literalStates: [0, 10, 20, 30].map((shift) => field(1, shift, 10)),
    lmdBytes: field(1, 40, 20),
    lmdBits: field(1, 60, 3) - 7,
    lState: field(2, 32, 10),
    mState: field(2, 42, 10),
    dState: field(2, 52, 10),
    ...divided(packedFrequencies(bytes.subarray(size2, size))),
  })
}

function divided(
  all: Uint16Array,
): Pick<LzfseHeader, 'lFrequencies' | 'mFrequencies' | 'dFrequencies' | 'literalFrequencies'> {
  const m = symbols.l
  const d = m + symbols.m
  const literal = d + symbols.d
  return {
    lFrequencies: all.subarray(0, m),
    mFrequencies: all.subarray(m, d),
    dFrequencies: all.subarray(d, literal),
    literalFrequencies: all.subarray(literal),
  }
}

function checked(header: LzfseHeader): LzfseHeader {
  const { literals, matches } = header
  if (literals > mostLiterals || matches > mostMatches)
    throw damaged(`a block of ${literals} literals and ${matches} matches`)
  return header
}

const codeBits = [2, 3, 2, 5, 2, 3, 2, 8, 2, 3, 2, 5, 2, 3, 2, 14] as const
const codeValues = [0, 2, 1, 4, 0, 3, 1, -1, 0, 2, 1, 5, 0, 3, 1, -1, 0, 2, 1, 6, 0, 3, 1, -1, 0, 2, 1, 7, 0, 3, 1, -1]

/** Frequencies of a variable number of bits (lzfse_decode_v1_freq_value); none at all are all zero. */
function packedFrequencies(bytes: Uint8Array): Uint16Array {
  const all = new Uint16Array(allSymbols)
  if (bytes.length === 0) return all
  let held = 0
  let count = 0
  let at = 0
  for (let symbol = 0; symbol < allSymbols; symbol++) {
    while (at < bytes.length && count + 8 <= 32) {
      held = (held | ((bytes[at] ?? 0) << count)) >>> 0
      count += 8
      at++
    }
    const bits = codeBits[held & 15] ?? 0
    all[symbol] =
      bits === 8 ? 8 + ((held >>> 4) & 15) : bits === 14 ? 24 + ((held >>> 4) & 0x3ff) : (codeValues[held & 31] ?? 0)
    if (bits > count) throw damaged('its tables are cut off')
    held >>>= bits
    count -= bits
  }
  if (count >= 8 || at !== bytes.length) throw damaged('bytes follow its tables')
  return all
}
