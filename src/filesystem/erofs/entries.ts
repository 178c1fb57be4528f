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
  /** Whether something lies in the inode that fragments are packed in. */
  readonly hasFragment: boolean
  readonly algorithms: readonly [number, number]
  /** The logarithm of the size of a cluster, less 12. */
  readonly clusterBits: number
}

export const mapHeader = {
  size: 8,
  read(bytes: Uint8Array): StoredMap {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const advice = view.getUint16(4, true)
    const algorithms = view.getUint8(6)
    const clusters = view.getUint8(7)
    return {
      inlineSize: view.getUint16(2, true),
      isShort: (advice & 1) !== 0,
      hasLarge: (advice & 2) !== 0,
      hasLargeSecond: (advice & 4) !== 0,
      isInline: (advice & 8) !== 0,
      isInterlaced: (advice & 16) !== 0,
      hasFragment: (advice & 32) !== 0 || (clusters & 0x80) !== 0,
      algorithms: [algorithms & 15, algorithms >> 4],
      clusterBits: clusters & 7,
    }
  },
} as const
