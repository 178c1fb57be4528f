/** The first word of an inode. */
export function inodeFormat(word: number): { readonly isExtended: boolean; readonly layout: number } {
  return { isExtended: (word & 1) !== 0, layout: (word >> 1) & 7 }
}

/** How a file in chunks is described: the logarithm of blocks in a chunk, and whether its table has long entries. */
export function chunkFormat(word: number): { readonly logBlocks: number; readonly isIndexed: boolean } {
  return { logBlocks: word & 31, isIndexed: (word & 0x20) !== 0 }
}
