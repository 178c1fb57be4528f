/** One run of a mapping: clusters of the file in order; `lcn` undefined: a hole. */
export interface MappedRun {
  readonly clusters: number
  readonly lcn: number | undefined
}

/**
 * Decodes mapping pairs: a byte of two nibbles holds the widths of a length and of a signed distance from the last
 * place; no distance is a hole.
 * @throws RangeError naming what is wrong: widths over 8 bytes, no clusters, a place before the volume, an end before
 * the terminating zero.
 */
export function* mappedRuns(bytes: Uint8Array): Generator<MappedRun> {
  let lcn = 0
  let at = 0
  for (;;) {
    if (at >= bytes.length) throw new RangeError('it has no end')
    const header = bytes[at] ?? 0
    if (header === 0) return
    const lengthWidth = header & 0x0f
    const distanceWidth = header >>> 4
    at++
    if (lengthWidth === 0 || lengthWidth > 8 || distanceWidth > 8 || at + lengthWidth + distanceWidth > bytes.length)
      throw new RangeError(`it has a run of widths ${lengthWidth} and ${distanceWidth}`)
    const clusters = signed(bytes, at, lengthWidth)
    at += lengthWidth
    if (!Number.isSafeInteger(clusters) || clusters <= 0) throw new RangeError(`it has a run of ${clusters} clusters`)
    if (distanceWidth === 0) yield { clusters, lcn: undefined }
    else {
      lcn += signed(bytes, at, distanceWidth)
      at += distanceWidth
      if (!Number.isSafeInteger(lcn) || lcn < 0) throw new RangeError(`it leads to cluster ${lcn}`)
      yield { clusters, lcn }
    }
  }
}

/** A little-endian two's complement number of 1 to 8 bytes. */
function signed(bytes: Uint8Array, at: number, width: number): number {
  let value = ((bytes[at + width - 1] ?? 0) << 24) >> 24
  for (let index = width - 2; index >= 0; index--) value = value * 256 + (bytes[at + index] ?? 0)
  return value
}

/** A reference to a record: its number in 48 bits, and how often the record was used anew. */
export function recordReference(word: bigint): { readonly number: number; readonly sequence: number } {
  return { number: Number(word & 0xffffffffffffn), sequence: Number(word >> 48n) }
}

export function recordFlags(word: number): { readonly inUse: boolean; readonly isDirectory: boolean } {
  return { inUse: (word & 1) !== 0, isDirectory: (word & 2) !== 0 }
}

export function attributeFlags(word: number): {
  readonly isCompressed: boolean
  readonly isEncrypted: boolean
  readonly isSparse: boolean
} {
  return { isCompressed: (word & 0xff) !== 0, isEncrypted: (word & 0x4000) !== 0, isSparse: (word & 0x8000) !== 0 }
}

/**
 * File attributes that matter here: a system file; a reparse point; content that lies elsewhere and is fetched when it
 * is opened.
 */
export function fileAttributes(word: number): {
  readonly isSystem: boolean
  readonly isReparsePoint: boolean
  readonly isOffline: boolean
} {
  return { isSystem: (word & 4) !== 0, isReparsePoint: (word & 0x400) !== 0, isOffline: (word & 0x401000) !== 0 }
}

export function indexEntryFlags(word: number): { readonly hasChild: boolean; readonly isLast: boolean } {
  return { hasChild: (word & 1) !== 0, isLast: (word & 2) !== 0 }
}

/** $Volume: whether chkdsk is to run. */
export function volumeFlags(word: number): { readonly isDirty: boolean } {
  return { isDirty: (word & 1) !== 0 }
}

/** Whether the restart area says that nothing is left to be redone. */
export function isLogClean(flags: number): boolean {
  return (flags & 2) !== 0
}

/** A size in the boot sector: so many clusters, or 2^n bytes where it is negative. */
export function sizeFromClusters(byte: number, clusterSize: number): number {
  return byte < 128 ? byte * clusterSize : 2 ** (256 - byte)
}

/** The sectors of a cluster: larger than 128 they are given as a power. */
export function sectorsPerCluster(byte: number): number {
  return byte <= 128 ? byte : 2 ** (256 - byte)
}

/** Whether the target of a symbolic link is relative to its folder. */
export function isRelativeLink(flags: number): boolean {
  return (flags & 1) !== 0
}
