/** What words of a VMDK mean, bit by bit. */
import { flag, incompatibleFlags, knownFlags } from './structs.js'

export function hasFlag(flags: bigint, wanted: keyof typeof flag): boolean {
  return (flags & flag[wanted]) !== 0n
}

/** Flags that change what the data means, and that are not known. */
export function unknownFlags(flags: bigint): bigint {
  return flags & incompatibleFlags & ~knownFlags
}

/** The length in front of a grain that has no marker, of the word that it begins. */
export function lengthWord(value: bigint): number {
  return Number(value & 0xffffffffn)
}

/** The table that an entry of an SE sparse directory names; undefined where it is no such entry. */
export function seSparseTable(entry: bigint): bigint | undefined {
  return entry >> 32n === 0x10000000n ? entry & 0xffffffffn : undefined
}

/** An entry of an SE sparse grain table. `cluster` counts grains from the start of the data. */
export type SeSparseEntry =
  { readonly kind: 'absent' | 'unmapped' | 'zero' | 'invalid' } | { readonly kind: 'data'; readonly cluster: bigint }

export function seSparseEntry(entry: bigint): SeSparseEntry {
  switch (entry >> 60n) {
    case 0n:
      return { kind: entry === 0n ? 'absent' : 'invalid' }
    case 1n:
      return { kind: 'unmapped' }
    case 2n:
      return { kind: 'zero' }
    case 3n:
      return { kind: 'data', cluster: ((entry >> 48n) & 0xfffn) | ((entry & 0xffffffffffffn) << 12n) }
    default:
      return { kind: 'invalid' }
  }
}
