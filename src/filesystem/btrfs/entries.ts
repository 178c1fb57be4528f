/** Bits of a chunk's type: how its stripes relate. */
const copies = 0x10n | 0x20n | 0x200n | 0x400n
const striped = 0x8n | 0x40n | 0x80n | 0x100n
const system = 0x2n

export function chunkType(word: bigint): {
  readonly isSystem: boolean
  readonly isCopied: boolean
  readonly isStriped: boolean
} {
  return { isSystem: (word & system) !== 0n, isCopied: (word & copies) !== 0n, isStriped: (word & striped) !== 0n }
}

/** Features (incompat) that leave trees, chunks and extents as they were: bits 0 to 11, and simple quotas. */
const known = 0x10fffn

export function unknownFeatures(word: bigint): bigint {
  return word & ~known
}

/** Whether the content of an inode with these flags has checksums. */
export function hasDataChecksums(flags: bigint): boolean {
  return (flags & 1n) === 0n
}
