import type { FileNode } from './types.js'

const kinds: Readonly<Record<number, FileNode['kind']>> = {
  0x8000: 'file',
  0x4000: 'directory',
  0xa000: 'link',
  0x2000: 'device',
  0x6000: 'device',
}

/** The mode word of an inode: what it is, and its permission bits. */
export function posixMode(word: number): { readonly kind: FileNode['kind']; readonly permissions: number } {
  return { kind: kinds[word & 0xf000] ?? 'other', permissions: word & 0xfff }
}

/** Nanoseconds since 1970 of a time in seconds and nanoseconds. */
export function posixTime(seconds: bigint | number, nanoseconds: number): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
}
