import { crc32 } from 'node:zlib'
import { adler32 } from '../binary/adler32.js'
import { viewOf } from '../binary/integers.js'
import type { Codec } from '../block/types.js'
import { corrupt } from '../errors.js'
import { expandLzo } from './lzo.js'

/** Checksums of a block of lzop, before its data: of the content, and of what is stored where that is shorter. */
const lzopSums = { contentAdler: 1, contentCrc: 2, storedAdler: 4, storedCrc: 8 } as const

/** Bits of the flags of a file (lzop's conf.h), and which checksum of a block each means. */
const sumFlags = [
  [1, lzopSums.contentAdler],
  [0x100, lzopSums.contentCrc],
  [2, lzopSums.storedAdler],
  [0x200, lzopSums.storedCrc],
] as const

/** What the flags of a file say. */
export interface LzopFlags {
  /** Which checksums its blocks have. */
  readonly sums: number
  /** The checksum of the header is CRC-32, else Adler-32. */
  readonly headerCrc: boolean
  readonly extraField: boolean
  /** A filter, or a file in parts. */
  readonly unread: boolean
}

export function lzopFlags(flags: number): LzopFlags {
  return {
    sums: sumFlags.reduce((sums, [flag, own]) => sums | ((flags & flag) === 0 ? 0 : own), 0),
    headerCrc: (flags & 0x1000) !== 0,
    extraField: (flags & 0x40) !== 0,
    unread: (flags & 0xc00) !== 0,
  }
}

/** Bytes before the data of a block: two lengths, and the checksums. @param isPacked it is stored in fewer bytes. */
export function lzopBlockHeader(sums: number, isPacked: boolean): number {
  const count = (pair: number): number => (pair & 1) + ((pair >> 1) & 1)
  return 8 + 4 * (count(sums) + (isPacked ? count(sums >> 2) : 0))
}

/** Blocks of lzop with their headers: two lengths, checksums, LZO1X data; the content where it does not get shorter. */
export const lzopBlockCodecs: readonly Codec[] = Array.from({ length: 16 }, (_, sums) => ({
  id: `lzop-${sums}`,
  decode: (stored: Uint8Array, target: Uint8Array) => decodeLzopBlock(stored, target, sums),
}))

/** @param sums which checksums it has. @throws ImageError corrupt E_COMPRESSED. */
export function decodeLzopBlock(stored: Uint8Array, target: Uint8Array, sums: number): void {
  const view = viewOf(stored)
  const length = view.getUint32(4)
  const isPacked = length < target.length
  let at = 8
  const recorded = (flag: number): number | undefined => {
    if ((sums & flag) === 0) return undefined
    at += 4
    return view.getUint32(at - 4)
  }
  const contentAdler = recorded(lzopSums.contentAdler)
  const contentCrc = recorded(lzopSums.contentCrc)
  const storedAdler = isPacked ? recorded(lzopSums.storedAdler) : undefined
  const storedCrc = isPacked ? recorded(lzopSums.storedCrc) : undefined
  const data = stored.subarray(at)
  if (data.length !== length || length > target.length)
    throw corrupt('E_COMPRESSED', `the lzop block has ${data.length} bytes, and ${length} by its header`)
  compare(storedAdler, data, adler32, 'Adler-32')
  compare(storedCrc, data, crc32, 'CRC-32')
  if (isPacked) {
    const done = expandLzo(data, target)
    if (done !== target.length)
      throw corrupt('E_COMPRESSED', `the lzop block gives ${done} bytes instead of ${target.length}`)
  } else target.set(data)
  compare(contentAdler, target, adler32, 'Adler-32')
  compare(contentCrc, target, crc32, 'CRC-32')
}

function compare(
  recorded: number | undefined,
  bytes: Uint8Array,
  sumOf: (bytes: Uint8Array) => number,
  title: string,
): void {
  if (recorded !== undefined && sumOf(bytes) !== recorded)
    throw corrupt('E_COMPRESSED', `the ${title} of the lzop block is not that of its content`)
}
