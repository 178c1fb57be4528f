/** The word before a block of metadata: its stored length, and whether it is compressed. */
export function metadataHead(word: number): { readonly length: number; readonly isPacked: boolean } {
  const length = word & 0x7fff
  return { length: length === 0 ? 0x8000 : length, isPacked: (word & 0x8000) === 0 }
}

/** The word of a block of content, or of a fragment; a length of zero is a hole. */
export function dataWord(word: number): { readonly length: number; readonly isPacked: boolean } {
  return { length: word & 0xffffff, isPacked: (word & 0x1000000) === 0 }
}
