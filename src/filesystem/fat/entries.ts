import type { ClusterLink } from '../cluster-chain.js'

const free: ClusterLink = { kind: 'free' }
const bad: ClusterLink = { kind: 'bad' }
const end: ClusterLink = { kind: 'end' }

/** The bits of an entry that count: of FAT32's 32 the upper four are reserved. */
export const fat32Mask = 0x0fffffff

/** An entry of a FAT of 12, 16 or 32 bits. */
export function fatLink(entry: number, bits: 12 | 16 | 32): ClusterLink {
  const ones = bits === 32 ? fat32Mask : (1 << bits) - 1
  const value = entry & ones
  if (value === 0) return free
  if (value === ones - 8) return bad
  return value > ones - 8 ? end : { kind: 'next', cluster: value }
}

/** One of the two 12-bit entries that share three bytes; `pair` are the two bytes in which the entry lies. */
export function fat12Entry(pair: number, cluster: number): number {
  return cluster % 2 === 1 ? pair >>> 4 : pair & 0xfff
}

/** The two bytes in which a 12-bit entry lies, with another value for it: the entry beside it keeps its half. */
export function fat12Pair(pair: number, cluster: number, value: number): number {
  return cluster % 2 === 1 ? (pair & 0xf) | (value << 4) : (pair & 0xf000) | value
}

/** An entry that ends a chain. */
export function fatEnd(bits: 12 | 16 | 32): number {
  return bits === 32 ? fat32Mask : (1 << bits) - 1
}

/**
 * Whether the second entry of the table says that the volume was left in order and without errors of the medium. FAT12
 * has no such bits.
 */
export function fatFlags(entry: number, bits: 12 | 16 | 32): { readonly clean: boolean; readonly noErrors: boolean } {
  if (bits === 12) return { clean: true, noErrors: true }
  return bits === 16
    ? { clean: (entry & 0x8000) !== 0, noErrors: (entry & 0x4000) !== 0 }
    : { clean: (entry & 0x08000000) !== 0, noErrors: (entry & 0x04000000) !== 0 }
}

/** The attribute byte of a folder's entry. */
export function fatAttributes(byte: number): {
  readonly isLongName: boolean
  readonly isLabel: boolean
  readonly isDirectory: boolean
} {
  const isLongName = (byte & 0x3f) === 0x0f
  return { isLongName, isLabel: !isLongName && (byte & 0x08) !== 0, isDirectory: (byte & 0x10) !== 0 }
}

/** Windows keeps "all lower case" of a short name's two parts in two bits. */
export function fatCaseFlags(byte: number): { readonly lowerBase: boolean; readonly lowerExtension: boolean } {
  return { lowerBase: (byte & 0x08) !== 0, lowerExtension: (byte & 0x10) !== 0 }
}

/** The order byte of a piece of a long name: its place from 1, and whether it is the last piece, which comes first. */
export function longNameOrder(byte: number): { readonly place: number; readonly isLast: boolean } {
  return { place: byte & 0x3f, isLast: (byte & 0x40) !== 0 }
}

/** The sum over a short name that the pieces of its long name carry. */
export function shortNameChecksum(name: Uint8Array): number {
  let sum = 0
  for (const byte of name) sum = (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff
  return sum
}

/** FAT32: whether all copies of the table are kept alike, or else which one counts. */
export function fatMirroring(word: number): { readonly active: number; readonly isMirrored: boolean } {
  const isMirrored = (word & 0x80) === 0
  return { active: isMirrored ? 0 : word & 0x0f, isMirrored }
}

/** The dirty bit of the boot sector's state byte (Linux, and Windows CE). */
export function isStateDirty(byte: number): boolean {
  return (byte & 1) !== 0
}

/** The state byte of a volume that is being changed. */
export function dirtyState(byte: number): number {
  return byte | 1
}
