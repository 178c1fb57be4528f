import { flagZeroExpand, free, version0, zeroBlock } from './structs.js'

/** What a map entry says of a block. `index`: the block's number in the file. */
export type BlockEntry =
  { readonly kind: 'free' } | { readonly kind: 'zero' } | { readonly kind: 'stored'; readonly index: number }

const freeEntry: BlockEntry = { kind: 'free' }
const zeroEntry: BlockEntry = { kind: 'zero' }

export function blockEntry(word: number): BlockEntry {
  if (word === free) return freeEntry
  return word === zeroBlock ? zeroEntry : { kind: 'stored', index: word }
}

export function isStored(word: number): boolean {
  return word < zeroBlock
}

/** Whether VirtualBox, and vdisk, read a version: 0, in its own numbering, and all of 1.x. */
export function isKnownVersion(version: number): boolean {
  return version === version0 || version >>> 16 === 1
}

/** A version word as people write it: 1.1. */
export function versionText(version: number): string {
  return version === version0 ? '0 (before 1.1)' : `${version >>> 16}.${version & 0xffff}`
}

/** Whether any other flag than the one known is set. */
export function hasUnknownFlags(flags: number): boolean {
  return (flags & ~flagZeroExpand) !== 0
}
