/**
 * Headers of tar archives: POSIX ustar, and what GNU and pax add. A member is a header of 512 bytes and its content,
 * filled up to 512.
 */

export const tarBlock = 512

const xvaName = Array.from('ova.xml', (character) => character.charCodeAt(0))

/** One header. Sizes are bytes. */
export interface TarHeader {
  readonly name: Uint8Array
  readonly size: number
  /** `0`: a regular file; `1`, `2`: links; `5`: a folder; `x`, `g`: pax records; `L`, `K`: GNU's long names … */
  readonly type: string
}

/** Whether a block begins a tar archive: the magic, and a right checksum. */
export function isTarHeader(block: Uint8Array): boolean {
  const [u, s, t, a, r] = block.subarray(257, 262)
  return (
    block.length >= tarBlock && u === 0x75 && s === 0x73 && t === 0x74 && a === 0x61 && r === 0x72 && sumFits(block)
  )
}

/** Whether a tar archive is an export of XenServer: its description comes first. */
export function isXva(block: Uint8Array): boolean {
  return isTarHeader(block) && upToNul(block.subarray(0, 100)).join() === xvaName.join()
}

/** Whether the checksum is that of the block: of bytes without a sign, or with one as some old programs took them. */
function sumFits(block: Uint8Array): boolean {
  const stored = octal(block.subarray(148, 156))
  let unsigned = 0
  let signed = 0
  for (let index = 0; index < tarBlock; index++) {
    const byte = index >= 148 && index < 156 ? 32 : (block[index] ?? 0)
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  return stored === unsigned || stored === signed
}

/** Decodes one header; undefined when it is none, or its size is no number that can be. */
export function decodeTarHeader(block: Uint8Array): TarHeader | undefined {
  if (block.length < tarBlock || !sumFits(block)) return undefined
  const size = numberAt(block, 124)
  if (size === undefined) return undefined
  const type = String.fromCharCode(block[156] ?? 0)
  const name = upToNul(block.subarray(0, 100))
  // The prefix is that of ustar alone: GNU has other fields there.
  const isUstar = block[262] === 0
  const prefix = isUstar ? upToNul(block.subarray(345, 500)) : new Uint8Array(0)
  return {
    name: prefix.length === 0 ? name : new Uint8Array([...prefix, 0x2f, ...name]),
    size,
    type: type === '\0' || type === '7' ? '0' : type,
  }
}

/** Where a sparse member of GNU tar has data, in bytes of the file. */
export interface TarRun {
  readonly offset: number
  readonly length: number
}

/** The map of data of a sparse member (type S): a part of it in its header, more in the blocks that follow. */
export interface TarSparseMap {
  readonly runs: readonly TarRun[]
  /** Whether another block of the map follows. */
  readonly more: boolean
  /** Bytes of the file; undefined in a block that follows. */
  readonly size: number | undefined
}

/** @param first whether it is the header. @returns undefined where a number is none. */
export function decodeTarSparse(block: Uint8Array, first: boolean): TarSparseMap | undefined {
  const [start, entries, moreAt] = first ? [386, 4, 482] : [0, 21, 504]
  const runs: TarRun[] = []
  for (let index = 0; index < entries; index++) {
    const at = start + index * 24
    if (block[at] === 0 && block[at + 12] === 0) break
    const [offset, length] = [numberAt(block, at), numberAt(block, at + 12)]
    if (offset === undefined || length === undefined) return undefined
    runs.push({ offset, length })
  }
  const size = first ? numberAt(block, 483) : undefined
  if (first && size === undefined) return undefined
  return { runs, more: block[moreAt] !== 0, size }
}

/** Twelve bytes: octal digits, or base 256. */
function numberAt(block: Uint8Array, at: number): number | undefined {
  const bytes = block.subarray(at, at + 12)
  const value = (bytes[0] ?? 0) >= 128 ? base256(bytes) : octal(bytes)
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined
}

/** The largest number of eleven octal digits. */
const largestOctal = 8 ** 11 - 1

/** What a header says of a member. Times are seconds since 1970. */
export interface TarFields {
  /** 1 to 100 bytes. */
  readonly name: Uint8Array
  /** Bytes that are stored. */
  readonly size: number
  readonly time: number
  /** Permission bits; 0644 when left out. */
  readonly mode?: number
  readonly owner?: number
  readonly group?: number
  /** As of a {@link TarHeader}; a regular file when left out. */
  readonly type?: string
  /** Of GNU's format; POSIX ustar with `root` as owner and group when left out. */
  readonly gnu?: boolean
  /** What else stands in it: written before the checksum is taken. */
  readonly more?: (block: Buffer) => void
}

/**
 * A header. A size of 8 GiB and more is written in base 256, as GNU tar does. @throws RangeError for names that are
 * empty, or of more than 100 bytes.
 */
export function encodeTarHeader(fields: TarFields): Buffer {
  const { name, size, time, mode = 0o644, owner = 0, group = 0, type = '0', gnu = false, more } = fields
  if (name.length === 0 || name.length > 100) throw new RangeError(`a tar name has 1 to 100 bytes, not ${name.length}`)
  const block = Buffer.alloc(tarBlock)
  block.set(name)
  encodeTarNumber(block, 100, 8, mode)
  encodeTarNumber(block, 108, 8, owner)
  encodeTarNumber(block, 116, 8, group)
  encodeTarNumber(block, 124, 12, size)
  encodeTarNumber(block, 136, 12, Math.max(0, Math.min(time, largestOctal)))
  block.write(type, 156, 'latin1')
  block.write(gnu ? 'ustar  \0' : 'ustar\x0000', 257, 'latin1')
  if (!gnu) {
    block.write('root', 265, 'latin1')
    block.write('root', 297, 'latin1')
  }
  more?.(block)
  // The sum counts its own field as spaces.
  block.fill(0x20, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

/** Octal digits and a NUL; numbers that need more are in base 256, as GNU tar writes them. */
export function encodeTarNumber(block: Buffer, at: number, width: number, value: number): void {
  const digits = value.toString(8)
  if (digits.length < width) {
    block.write(`${digits.padStart(width - 1, '0')}\0`, at, 'latin1')
    return
  }
  block[at] = 0x80
  block.writeBigUInt64BE(BigInt(value), at + width - 8)
}

/** Octal digits, with blanks and NULs around them; undefined for anything else. */
function octal(bytes: Uint8Array): number | undefined {
  const text = String.fromCharCode(...bytes)
    .replaceAll('\0', ' ')
    .trim()
  if (text === '') return 0
  return /^[0-7]+$/.test(text) ? parseInt(text, 8) : undefined
}

function base256(bytes: Uint8Array): number | undefined {
  // A negative number, or one past 2^53.
  if (bytes[0] !== 0x80) return undefined
  let value = 0
  for (const byte of bytes.subarray(1)) value = value * 256 + byte
  return value
}

function upToNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}
