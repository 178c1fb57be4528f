/**
 * The sum over the boot region's eleven sectors; flags and percentage, which change while the volume is in use, are
 * left out (section 3.4).
 */
export function bootChecksum(region: Uint8Array): number {
  let sum = 0
  for (let index = 0; index < region.length; index++) {
    if (index === 106 || index === 107 || index === 112) continue
    sum = (((sum & 1) << 31) + (sum >>> 1) + (region[index] ?? 0)) >>> 0
  }
  return sum
}

/** The sum over the entries of one file; its own field is left out (section 6.3.3). */
export function entrySetChecksum(entries: Uint8Array): number {
  let sum = 0
  for (let index = 0; index < entries.length; index++) {
    if (index === 2 || index === 3) continue
    sum = (((sum & 1) << 15) + (sum >>> 1) + (entries[index] ?? 0)) & 0xffff
  }
  return sum
}

/** The volume's flags: which table and bitmap count, whether it was left in order, whether its medium has failed. */
export function volumeFlags(word: number): {
  readonly active: number
  readonly isDirty: boolean
  readonly hasErrors: boolean
} {
  return { active: word & 1, isDirty: (word & 2) !== 0, hasErrors: (word & 4) !== 0 }
}

/** Whether the clusters of a file follow each other, so that the table says nothing of them. */
export function isContiguous(flags: number): boolean {
  return (flags & 2) !== 0
}

export function exfatAttributes(word: number): { readonly isDirectory: boolean } {
  return { isDirectory: (word & 0x10) !== 0 }
}

/** The type byte of an entry: in use, and what it is otherwise. */
export function entryType(byte: number): {
  readonly inUse: boolean
  readonly isSecondary: boolean
  readonly isCritical: boolean
} {
  return { inUse: (byte & 0x80) !== 0, isSecondary: (byte & 0x40) !== 0, isCritical: (byte & 0x20) === 0 }
}

/** Minutes east of UTC, or undefined where the time is local and nothing is known. */
export function zoneMinutes(byte: number): number | undefined {
  if ((byte & 0x80) === 0) return undefined
  const quarters = byte & 0x7f
  return (quarters >= 64 ? quarters - 128 : quarters) * 15
}
