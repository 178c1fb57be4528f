/** Bits of an extent: bit 127 unwritten, 54 bits of offset, 52 of start, 21 of count. */
export function xfsExtent(
  high: bigint,
  low: bigint,
): {
  readonly offset: number
  readonly start: bigint
  readonly count: number
  readonly unwritten: boolean
} {
  return {
    unwritten: high >> 63n !== 0n,
    // 54 bits of blocks do not fit a number exactly; an offset beyond 2^53 is refused where it is used.
    offset: Number((high >> 9n) & 0x3fffffffffffffn),
    start: ((high & 0x1ffn) << 43n) | (low >> 21n),
    count: Number(low & 0x1fffffn),
  }
}

/** Whether entries of folders have the kind of their file in a byte behind the name. */
export function hasFileTypes(words: {
  readonly version: number
  readonly moreFeatures: number
  readonly incompatible: number
}): boolean {
  return (words.version & 0xf) === 5 ? (words.incompatible & 1) !== 0 : (words.moreFeatures & 0x200) !== 0
}

/** Whether names that differ in case only are the same (ASCII letters; `mkfs.xfs -n version=ci`). */
export function ignoresCase(version: number): boolean {
  return (version & 0x4000) !== 0
}

/** Whether read-only compatible features have the tree of owners (rmapbt). */
export function hasReverseMap(readOnlyCompatible: number): boolean {
  return (readOnlyCompatible & 2) !== 0
}

/** Flags of an inode. */
export function xfsInodeFlags(
  flags: number,
  more: bigint,
): {
  readonly isRealtime: boolean
  readonly isShared: boolean
  readonly bigTime: boolean
  readonly manyExtents: boolean
} {
  return {
    isRealtime: (flags & 1) !== 0,
    isShared: (more & 2n) !== 0n,
    bigTime: (more & 8n) !== 0n,
    manyExtents: (more & 16n) !== 0n,
  }
}

/** A time in nanoseconds since 1970: signed seconds and nanoseconds, or one number of nanoseconds since 1901. */
export function xfsTime(word: bigint, bigTime: boolean): bigint {
  if (bigTime) return word - 2n ** 31n * 1_000_000_000n
  return BigInt.asIntN(32, word >> 32n) * 1_000_000_000n + (word & 0xffffffffn)
}
