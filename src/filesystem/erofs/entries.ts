import { viewOf } from '../../binary/integers.js'

/** Features that are refused by name (EROFS_FEATURE_INCOMPAT_*). */
const namedFeatures: readonly (readonly [bit: number, title: string])[] = [
  [0x80, 'block numbers of 48 bits'],
  [0x100, 'inodes in a box of their own (metabox)'],
]
const knownFeatures = 0x7f

/** What a filesystem needs that is not read here; undefined: nothing. @param word the incompatible features. */
export function unknownFeatures(word: number): string | undefined {
  const named = namedFeatures.filter(([bit]) => (word & bit) !== 0)
  const rest = named.reduce((left, [bit]) => left & ~bit, word & ~knownFeatures) >>> 0
  const texts = [...named.map(([, title]) => title), ...(rest === 0 ? [] : [`0x${rest.toString(16)}`])]
  return texts.length === 0 ? undefined : texts.join(', ')
}

/** The first word of an inode. */
export function inodeFormat(word: number): { readonly isExtended: boolean; readonly layout: number } {
  return { isExtended: (word & 1) !== 0, layout: (word >> 1) & 7 }
}

/** How a file in chunks is described: the logarithm of blocks in a chunk, and whether its table has long entries. */
export function chunkFormat(word: number): { readonly logBlocks: number; readonly isIndexed: boolean } {
  return { logBlocks: word & 31, isIndexed: (word & 0x20) !== 0 }
}

/** The first word of a long index: what a cluster is, and whether only a part of what is stored is meant. */
export function clusterWord(word: number): { readonly kind: number; readonly isPartial: boolean } {
  return { kind: word & 3, isPartial: (word & 0x8000) !== 0 }
}

const blocksMark = 0x800

/**
 * A cluster in a pack: its kind above `low` bits, which say an offset, a distance, or how many blocks are stored.
 * @param skipped bits of the word that come before.
 */
export function compactWord(
  word: number,
  low: number,
  skipped = 0,
): { readonly kind: number; readonly value: number; readonly blocks?: number } {
  const value = (word >>> skipped) & (2 ** low - 1)
  const kind = (word >>> (skipped + low)) & 3
  return { kind, value, blocks: (value & blocksMark) === 0 ? undefined : value & (blocksMark - 1) }
}

/** How a file is compressed: struct z_erofs_map_header. */
export interface StoredMap {
  readonly inlineSize: number
  /** Whether indexes of two bytes are used. */
  readonly isShort: boolean
  readonly hasLarge: boolean
  readonly hasLargeSecond: boolean
  readonly isInline: boolean
  readonly isInterlaced: boolean
  /** Where the end of the file lies in the inode that fragments are packed in: the lower 32 bits. */
  readonly fragment?: number
  readonly algorithms: readonly [number, number]
  /** The logarithm of the blocks in a cluster. */
  readonly clusterBits: number
}

export const mapHeader = {
  size: 8,
  read(bytes: Uint8Array): StoredMap {
    const view = viewOf(bytes)
    const advice = view.getUint16(4, true)
    const algorithms = view.getUint8(6)
    return {
      inlineSize: view.getUint16(2, true),
      isShort: (advice & 1) !== 0,
      hasLarge: (advice & 2) !== 0,
      hasLargeSecond: (advice & 4) !== 0,
      isInline: (advice & 8) !== 0,
      isInterlaced: (advice & 16) !== 0,
      fragment: (advice & 32) === 0 ? undefined : view.getUint32(0, true),
      algorithms: [algorithms & 15, algorithms >> 4],
      clusterBits: view.getUint8(7) & 15,
    }
  },
} as const

const wholeMark = 1n << 63n

/** Where a file lies that is packed as a whole into the inode of fragments. @param header its map header. */
export function wholeFragment(header: bigint): bigint | undefined {
  return (header & wholeMark) === 0n ? undefined : header ^ wholeMark
}
