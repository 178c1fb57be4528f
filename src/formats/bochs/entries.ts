/** Whether a sector of an extent is in the file; the first sector is the lowest bit of a byte. */
export function isPresent(bitmap: Uint8Array, sector: number): boolean {
  return ((bitmap[sector >> 3] ?? 0) & (1 << (sector & 7))) !== 0
}

/** The end (at most `to`) of the run of equal bits that begins at sector `from`. */
export function bitRunEnd(bitmap: Uint8Array, from: number, to: number): number {
  const value = isPresent(bitmap, from)
  let sector = from + 1
  while (sector < to && isPresent(bitmap, sector) === value) sector++
  return sector
}
