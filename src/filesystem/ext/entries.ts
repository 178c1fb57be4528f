/** Feature bits that matter here, by the names that mke2fs gives them (e2fsprogs, lib/e2p/feature.c). */
const compatible: readonly (readonly [bigint, string])[] = [
  [0x1n, 'dir_prealloc'],
  [0x2n, 'imagic_inodes'],
  [0x4n, 'has_journal'],
  [0x8n, 'ext_attr'],
  [0x10n, 'resize_inode'],
  [0x20n, 'dir_index'],
  [0x40n, 'lazy_bg'],
  [0x80n, 'exclude_inode'],
  [0x100n, 'exclude_bitmap'],
  [0x200n, 'sparse_super2'],
  [0x400n, 'fast_commit'],
  [0x800n, 'stable_inodes'],
  [0x1000n, 'orphan_file'],
]
const incompatible: readonly (readonly [bigint, string])[] = [
  [0x1n, 'compression'],
  [0x2n, 'filetype'],
  [0x4n, 'needs_recovery'],
  [0x8n, 'journal_dev'],
  [0x10n, 'meta_bg'],
  [0x40n, 'extent'],
  [0x80n, '64bit'],
  [0x100n, 'mmp'],
  [0x200n, 'flex_bg'],
  [0x400n, 'ea_inode'],
  [0x1000n, 'dirdata'],
  [0x2000n, 'metadata_csum_seed'],
  [0x4000n, 'large_dir'],
  [0x8000n, 'inline_data'],
  [0x10000n, 'encrypt'],
  [0x20000n, 'casefold'],
]
const readOnlyCompatible: readonly (readonly [bigint, string])[] = [
  [0x1n, 'sparse_super'],
  [0x2n, 'large_file'],
  [0x4n, 'btree_dir'],
  [0x8n, 'huge_file'],
  [0x10n, 'uninit_bg'],
  [0x20n, 'dir_nlink'],
  [0x40n, 'extra_isize'],
  [0x80n, 'snapshot'],
  [0x100n, 'quota'],
  [0x200n, 'bigalloc'],
  [0x400n, 'metadata_csum'],
  [0x800n, 'replica'],
  [0x1000n, 'read-only'],
  [0x2000n, 'project'],
  [0x4000n, 'shared_blocks'],
  [0x8000n, 'verity'],
  [0x10000n, 'orphan_present'],
]

export interface FeatureWords {
  readonly compatible: bigint
  readonly incompatible: bigint
  readonly readOnlyCompatible: bigint
}

/** What the feature words of a superblock say. */
export interface ExtFeatures {
  /** All that are set; one without a name as `incompat_0x40000`. */
  readonly names: readonly string[]
  /** Those without a name that say something about the structure: reading it may be wrong. */
  readonly unknownIncompatible: readonly string[]
  readonly unknownReadOnly: readonly string[]
  readonly has: (name: string) => boolean
  readonly version: 'ext2' | 'ext3' | 'ext4' | 'jbd'
}

export function extFeatures(words: FeatureWords): ExtFeatures {
  const unknownIncompatible = unnamed(words.incompatible, incompatible, 'incompat')
  const unknownReadOnly = unnamed(words.readOnlyCompatible, readOnlyCompatible, 'ro_compat')
  const names = [
    ...named(words.compatible, compatible),
    ...unnamed(words.compatible, compatible, 'compat'),
    ...named(words.incompatible, incompatible),
    ...unknownIncompatible,
    ...named(words.readOnlyCompatible, readOnlyCompatible),
    ...unknownReadOnly,
  ]
  return { names, unknownIncompatible, unknownReadOnly, has: (name) => names.includes(name), version: versionOf(words) }
}

/** As blkid distinguishes them: by what the drivers of ext2 and ext3 knew. */
function versionOf(words: FeatureWords): ExtFeatures['version'] {
  if ((words.incompatible & 0x8n) !== 0n) return 'jbd'
  if ((words.readOnlyCompatible & ~0x7n) !== 0n || (words.incompatible & ~0x16n) !== 0n) return 'ext4'
  return (words.compatible & 0x4n) === 0n ? 'ext2' : 'ext3'
}

function named(word: bigint, table: readonly (readonly [bigint, string])[]): string[] {
  return table.filter(([bit]) => (word & bit) !== 0n).map(([, name]) => name)
}

function unnamed(word: bigint, table: readonly (readonly [bigint, string])[], prefix: string): string[] {
  const found: string[] = []
  const rest = table.reduce((left, [bit]) => left & ~bit, word)
  for (let bit = 0n; bit < 32n; bit++)
    if ((rest & (1n << bit)) !== 0n) found.push(`${prefix}_0x${(1n << bit).toString(16)}`)
  return found
}

/** The state word of a superblock. */
export function extState(word: number): { readonly isClean: boolean; readonly hasErrors: boolean } {
  return { isClean: (word & 1) !== 0, hasErrors: (word & 2) !== 0 }
}

/** Flags of a group descriptor: a bitmap that was never written. */
export function isBlockBitmapUnset(flags: number): boolean {
  return (flags & 2) !== 0
}

/**
 * Flags of an inode that change how it is read or written. `isSealed`: its content has checksums (verity);
 * `countsBlocks`: it counts its blocks in those of the filesystem, not of 512 bytes (EXT4_HUGE_FILE_FL).
 */
export function inodeFlags(word: bigint) {
  return {
    isCompressed: (word & 0x4n) !== 0n,
    isEncrypted: (word & 0x800n) !== 0n,
    isIndexed: (word & 0x1000n) !== 0n,
    countsBlocks: (word & 0x40000n) !== 0n,
    hasExtents: (word & 0x80000n) !== 0n,
    isSealed: (word & 0x100000n) !== 0n,
    hasOwnInode: (word & 0x200000n) !== 0n,
    isInline: (word & 0x10000000n) !== 0n,
    ignoresCase: (word & 0x40000000n) !== 0n,
  }
}
