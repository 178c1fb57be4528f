/** Flags of a record of a folder (ECMA-119, 9.1.6). */
export function recordFlags(word: number): { readonly isFolder: boolean; readonly goesOn: boolean } {
  return { isFolder: (word & 2) !== 0, goesOn: (word & 0x80) !== 0 }
}

/** Flags of a Rock Ridge name, and of a part of a target (RRIP 4.1.3.1, 4.1.4). */
export function nameFlags(word: number): {
  readonly goesOn: boolean
  readonly isCurrent: boolean
  readonly isParent: boolean
  readonly isRoot: boolean
} {
  return { goesOn: (word & 1) !== 0, isCurrent: (word & 2) !== 0, isParent: (word & 4) !== 0, isRoot: (word & 8) !== 0 }
}

/** Which times an entry has (RRIP 4.1.6), in their order, and whether in the long form. */
export function timeFlags(word: number): { readonly present: readonly boolean[]; readonly isLong: boolean } {
  return { present: [0, 1, 2, 3, 4, 5, 6].map((bit) => (word & (1 << bit)) !== 0), isLong: (word & 0x80) !== 0 }
}
