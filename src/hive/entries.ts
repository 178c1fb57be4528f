/** Flags and packed words of hives. The only place of the registry with bit operators. */
import { marvin32 } from '../binary/marvin32.js'
import { viewOf } from '../binary/integers.js'

/** What entries of logs are hashed with: 0x82ef4d887a4e55c5, as a number. */
const logSeed = [0x7a4e55c5, 0x82ef4d88] as const

/** The hash of the head (its first 32 bytes) or the content of an entry in a log. */
export function logHash(bytes: Uint8Array): bigint {
  return marvin32(bytes, logSeed)
}

/** Whether the name of a key is stored in one byte a character. */
export function isPlainKeyName(flags: number): boolean {
  return (flags & 0x20) !== 0
}

/** Whether a key stands for a handle: then it has no list of values. */
export function isPredefinedHandle(flags: number): boolean {
  return (flags & 0x40) !== 0
}

/** Whether the name of a value is stored in one byte a character. */
export function isPlainValueName(flags: number): boolean {
  return (flags & 1) !== 0
}

/** The size of a value's data, and whether it stands in the value itself. */
export function dataSize(word: number): { readonly length: number; readonly inline: boolean } {
  return { length: word & 0x7fffffff, inline: word >>> 31 === 1 }
}

/** The hash by which lists of subkeys are searched, of a name in upper case. */
export function nameHash(upper: string): number {
  let hash = 0
  for (let index = 0; index < upper.length; index++) hash = (Math.imul(hash, 37) + upper.charCodeAt(index)) >>> 0
  return hash
}

/** Whether a page is marked in the map of an old log. */
export function isDirty(map: Uint8Array, page: number): boolean {
  return ((map[page >>> 3] ?? 0) & (1 << (page & 7))) !== 0
}

/** The checksum of a base block: its first 127 words combined by exclusive or; never 0 or all ones. */
export function baseChecksum(block: Uint8Array): number {
  const view = viewOf(block)
  let sum = 0
  for (let at = 0; at < 508; at += 4) sum ^= view.getUint32(at, true)
  if (sum === -1) return 0xfffffffe
  return sum === 0 ? 1 : sum >>> 0
}
