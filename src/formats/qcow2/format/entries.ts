/**
 * The packed words of L1, L2 and refcount tables. Everything is decoded here once, to tagged unions; the rest of the
 * driver
 * switches on them and knows no bits. Words are taken as two 32-bit halves: a table of thousands is walked without
 * bigint.
 */
const high = 2 ** 32
/** Bit 63: the refcount is exactly one. */
const copied = 0x80000000
/** Bit 62 of an L2 entry. */
const compressed = 0x40000000

/** Bit numbers that are set in a word of flags, lowest first. */
export function bitsOf(word: bigint): number[] {
  const bits: number[] = []
  for (let bit = 0; bit < 64; bit++) if ((word >> BigInt(bit)) & 1n) bits.push(bit)
  return bits
}

/** Whether a bit is set in a word of flags. */
export function hasBit(word: bigint, bit: number): boolean {
  return ((word >> BigInt(bit)) & 1n) === 1n
}

/** A word of flags with these bits set. */
export function withBits(bits: readonly number[]): bigint {
  return bits.reduce((word, bit) => word | (1n << BigInt(bit)), 0n)
}

export type L1Entry =
  | { readonly kind: 'unallocated' }
  | { readonly kind: 'table'; readonly position: number }
  | { readonly kind: 'invalid'; readonly reason: string }

const unallocated: L1Entry = { kind: 'unallocated' }

/** An L1 table entry ("L1 table entry"): bits 9-55 are the position of an L2 table, 56-62 and 0-8 are reserved. */
export function decodeL1Entry(table: DataView, index: number, clusterSize: number): L1Entry {
  const upper = table.getUint32(index * 8)
  const lower = table.getUint32(index * 8 + 4)
  if ((upper & 0x7fffffff) === 0 && lower === 0) return unallocated
  if ((upper & 0x7f000000) !== 0 || (lower & 0x1ff) !== 0) return { kind: 'invalid', reason: 'has reserved bits set' }
  if ((lower & (clusterSize - 1)) !== 0) return { kind: 'invalid', reason: 'is not cluster aligned' }
  return { kind: 'table', position: (upper & 0x00ffffff) * high + lower }
}

/** Whether all entries of an L1 table from `from` up to `to` are zero; the first that is not, else `to`. */
export function skipEmpty(table: DataView, from: number, to: number): number {
  let index = from
  while (index < to && table.getUint32(index * 8 + 4) === 0 && (table.getUint32(index * 8) & 0x7fffffff) === 0) index++
  return index
}

/** What an L2 entry says of one guest cluster. Positions are bytes of the host file (or of the external data file). */
export type Mapping =
  | { readonly kind: 'absent' }
  | { readonly kind: 'zero' }
  | { readonly kind: 'data'; readonly position: number; readonly reserved: boolean }
  /**
   * `storedLength`: bytes from `position` to the end of the last sector the entry names; more than the stream needs.
   */
  | { readonly kind: 'packed'; readonly position: number; readonly storedLength: number }
  /** 32 subclusters, bit 0 first. `position` is undefined where no host cluster is allocated. */
  | {
      readonly kind: 'subclusters'
      readonly position: number | undefined
      readonly allocated: number
      readonly zeroed: number
      readonly reserved: boolean
    }
  | { readonly kind: 'invalid'; readonly reason: string }

/** What must be known of an image to decode its L2 entries. */
export interface EntryRules {
  readonly version: number
  readonly clusterBits: number
  readonly extended: boolean
  /** In an external data file position 0 is a cluster like any other. */
  readonly dataFile: boolean
}

const absent: Mapping = { kind: 'absent' }
const zero: Mapping = { kind: 'zero' }

/** The L2 entry at `index` of a table ("L2 table entry", "Standard Cluster Descriptor", "Extended L2 Entries"). */
export function decodeL2Entry(table: DataView, index: number, rules: EntryRules): Mapping {
  const at = index * (rules.extended ? 16 : 8)
  const upper = table.getUint32(at)
  const lower = table.getUint32(at + 4)
  if ((upper & compressed) !== 0) return decodeCompressed(table, at, upper, lower, rules)
  if (upper === 0 && lower === 0 && !rules.extended) return absent
  if ((lower & (2 ** rules.clusterBits - 1) & 0xfffffe00) !== 0)
    return { kind: 'invalid', reason: 'is not cluster aligned' }
  const zeroFlag = (lower & 1) !== 0
  const reserved = (upper & 0x3f000000) !== 0 || (lower & 0x1fe) !== 0
  const found = (upper & 0x00ffffff) * high + ((lower & 0xfffffe00) >>> 0)
  const position = found !== 0 || (rules.dataFile && (upper & copied) !== 0) ? found : undefined
  if (rules.extended) {
    if (zeroFlag) return { kind: 'invalid', reason: 'has the zero flag, which extended entries do not have' }
    return decodeSubclusters(table.getUint32(at + 8), table.getUint32(at + 12), position, reserved)
  }
  if (zeroFlag)
    return rules.version < 3 ? { kind: 'invalid', reason: 'has the zero flag, which version 2 does not have' } : zero
  return position === undefined ? absent : { kind: 'data', position, reserved }
}

function decodeSubclusters(
  zeroed: number,
  allocated: number,
  position: number | undefined,
  reserved: boolean,
): Mapping {
  if ((zeroed & allocated) !== 0) return { kind: 'invalid', reason: 'has a subcluster both allocated and zero' }
  if (allocated !== 0 && position === undefined)
    return { kind: 'invalid', reason: 'has allocated subclusters without a host cluster' }
  if (allocated === 0 && zeroed === 0) return absent
  if (zeroed === 0xffffffff) return zero
  if (allocated === 0xffffffff && position !== undefined) return { kind: 'data', position, reserved }
  return { kind: 'subclusters', position, allocated, zeroed, reserved }
}

/**
 * "Compressed Clusters Descriptor": x = 62 − (cluster_bits − 8) bits of byte position, then the number of additional
 * sectors.
 */
function decodeCompressed(table: DataView, at: number, upper: number, lower: number, rules: EntryRules): Mapping {
  if (rules.dataFile) return { kind: 'invalid', reason: 'is compressed, which an external data file does not allow' }
  if (rules.extended && (table.getUint32(at + 8) !== 0 || table.getUint32(at + 12) !== 0))
    return { kind: 'invalid', reason: 'is compressed and has subclusters' }
  const upperBits = 62 - (rules.clusterBits - 8) - 32
  const position = (upper & (2 ** upperBits - 1)) * high + lower
  const additional = (upper >>> upperBits) & (2 ** (rules.clusterBits - 8) - 1)
  return { kind: 'packed', position, storedLength: (additional + 1) * 512 - (lower & 511) }
}

export type Status = 'absent' | 'zero' | 'data'

/** The status of the subclusters from `first` on, and where it ends (a subcluster number, 32 at most). */
export function subclusterRun(
  mapping: Extract<Mapping, { kind: 'subclusters' }>,
  first: number,
): { readonly status: Status; readonly end: number } {
  const statusOf = (index: number): Status =>
    (mapping.allocated >>> index) & 1 ? 'data' : (mapping.zeroed >>> index) & 1 ? 'zero' : 'absent'
  const status = statusOf(first)
  let end = first + 1
  while (end < 32 && statusOf(end) === status) end++
  return { status, end }
}

/**
 * Writes an L1 entry, or a standard cluster descriptor, for a cluster whose refcount is one. Of an extended entry the
 * first half.
 */
export function encodeAllocated(table: DataView, at: number, position: number): void {
  table.setUint32(at, (copied | Math.floor(position / high)) >>> 0)
  table.setUint32(at + 4, position % high)
}

/** Writes the descriptor of a cluster that reads as zero and has no host cluster (version 3, not extended). */
export function encodeZero(table: DataView, at: number): void {
  table.setUint32(at, 0)
  table.setUint32(at + 4, 1)
}

/** Writes the subcluster bitmaps of an extended entry: every one of the 32 is of one status. */
export function encodeSubclusters(table: DataView, at: number, status: 'data' | 'zero'): void {
  table.setUint32(at + 8, status === 'zero' ? 0xffffffff : 0)
  table.setUint32(at + 12, status === 'data' ? 0xffffffff : 0)
}

/**
 * Whether an L1 entry, or a standard cluster descriptor, says that the refcount is exactly one. `at`: the byte of the
 * entry.
 */
export function isCopied(table: DataView, at: number): boolean {
  return (table.getUint32(at) & copied) !== 0
}

/**
 * An L2 entry that is not compressed, as one sees it who changes it. `allocated` and `zeroed` have a bit for each unit
 * with a status of
 * its own: 32 subclusters, or the whole cluster as bit 0.
 */
export interface ClusterUse {
  /** The host cluster, 0 where there is none; one may be there although nothing of it is read. */
  readonly position: number
  readonly copied: boolean
  readonly allocated: number
  readonly zeroed: number
}

/** Reads an entry that {@link decodeL2Entry} found valid. */
export function readUse(table: DataView, index: number, extended: boolean): ClusterUse {
  const at = index * (extended ? 16 : 8)
  const upper = table.getUint32(at)
  const lower = table.getUint32(at + 4)
  const position = (upper & 0x00ffffff) * high + ((lower & 0xfffffe00) >>> 0)
  // All uses are of one shape, and none is spread: every write looks at one for each cluster.
  const zeroed = extended ? table.getUint32(at + 8) : lower & 1
  const allocated = extended ? table.getUint32(at + 12) : zeroed === 0 && position !== 0 ? 1 : 0
  return { position, copied: (upper & copied) !== 0, allocated, zeroed }
}

/** Writes an entry that is not compressed. */
export function writeUse(table: DataView, index: number, extended: boolean, use: ClusterUse): void {
  const at = index * (extended ? 16 : 8)
  const flag = use.copied && use.position !== 0 ? copied : 0
  table.setUint32(at, (flag | Math.floor(use.position / high)) >>> 0)
  table.setUint32(at + 4, use.position % high)
  if (extended) {
    table.setUint32(at + 8, use.zeroed)
    table.setUint32(at + 12, use.allocated)
  } else if (use.zeroed !== 0) table.setUint32(at + 4, ((use.position % high) | 1) >>> 0)
}

/** The bits of the units from `first` up to `end`, 32 at most. */
export function unitBits(first: number, end: number): number {
  return end - first === 32 ? 0xffffffff : ((2 ** (end - first) - 1) << first) >>> 0
}

/** Whether a unit's bit is set. */
export function hasUnit(units: number, unit: number): boolean {
  return ((units >>> unit) & 1) === 1
}

export function unitsWith(units: number, more: number): number {
  return (units | more) >>> 0
}

export function unitsWithout(units: number, less: number): number {
  return (units & ~less) >>> 0
}

/** The highest byte position, exclusive, at which a compressed cluster may begin. */
export function compressedPositionLimit(clusterBits: number): number {
  return Math.min(2 ** 53, 2 ** (62 - (clusterBits - 8)), 2 ** 56)
}

/**
 * Writes a compressed cluster descriptor. `position` is below {@link compressedPositionLimit}; `storedLength` at most
 * the cluster.
 */
export function encodeCompressed(
  table: DataView,
  at: number,
  position: number,
  storedLength: number,
  clusterBits: number,
): void {
  const upperBits = 62 - (clusterBits - 8) - 32
  const additional = Math.floor((position + storedLength - 1) / 512) - Math.floor(position / 512)
  table.setUint32(at, (compressed | (additional << upperBits) | Math.floor(position / high)) >>> 0)
  table.setUint32(at + 4, position % high)
}

/** A refcount table entry: the position of a refcount block, bits 0-8 are reserved; 0 where there is none. */
export function decodeRefcountTableEntry(table: DataView, index: number): number {
  return table.getUint32(index * 8) * high + ((table.getUint32(index * 8 + 4) & 0xfffffe00) >>> 0)
}

/** The refcount at `index` of a block; entries are 2^order bits wide, those below a byte lie lowest bit first. */
export function decodeRefcount(block: DataView, index: number, order: number): number {
  switch (order) {
    case 3:
      return block.getUint8(index)
    case 4:
      return block.getUint16(index * 2)
    case 5:
      return block.getUint32(index * 4)
    case 6:
      return block.getUint32(index * 8) * high + block.getUint32(index * 8 + 4)
    default: {
      const bits = 1 << order
      const byte = block.getUint8(Math.floor((index * bits) / 8))
      return (byte >>> ((index * bits) % 8)) & (2 ** bits - 1)
    }
  }
}

/** Sets the refcount at `index` of a block. `value` fits the width. */
export function encodeRefcount(block: DataView, index: number, order: number, value: number): void {
  switch (order) {
    case 3:
      block.setUint8(index, value)
      return
    case 4:
      block.setUint16(index * 2, value)
      return
    case 5:
      block.setUint32(index * 4, value)
      return
    case 6:
      block.setUint32(index * 8, Math.floor(value / high))
      block.setUint32(index * 8 + 4, value % high)
      return
    default: {
      const bits = 1 << order
      const at = Math.floor((index * bits) / 8)
      const shift = (index * bits) % 8
      const mask = (2 ** bits - 1) << shift
      block.setUint8(at, (block.getUint8(at) & ~mask) | (value << shift))
    }
  }
}

/**
 * Reserved bits of an L1 entry: 56-62 and 0-8; of a standard cluster descriptor 56-61 and 1-8; of a refcount table
 * entry 0-8.
 */
const reservedL1 = { upper: 0x7f000000, lower: 0x1ff }
const reservedL2 = { upper: 0x3f000000, lower: 0x1fe }

/**
 * The parts of an entry as a check sees them, valid or not; bits that are reserved are told and passed over. Filled
 * anew for each
 * entry: tables have millions.
 */
export class EntryParts {
  /** `zero`: the zero flag without a host cluster; with one it is `allocated`, as an entry with any position is. */
  kind: 'unallocated' | 'zero' | 'allocated' | 'packed' = 'unallocated'
  position = 0
  /** Of a packed cluster, to the end of the last sector named. */
  storedLength = 0
  copied = false
  reserved = false
  zeroFlag = false
  /** Subclusters that are allocated, and that read as zero: 32 bits each, of extended entries. */
  allocated = 0
  zeroed = 0

  /** False when the entry is empty. */
  readL1(table: DataView, index: number): boolean {
    const upper = table.getUint32(index * 8)
    const lower = table.getUint32(index * 8 + 4)
    if (upper === 0 && lower === 0) return false
    this.kind = 'allocated'
    this.copied = (upper & copied) !== 0
    this.reserved = (upper & reservedL1.upper) !== 0 || (lower & reservedL1.lower) !== 0
    this.position = (upper & 0x00ffffff) * high + ((lower & 0xfffffe00) >>> 0)
    return true
  }

  /** False when the entry is empty. */
  readL2(table: DataView, index: number, rules: EntryRules): boolean {
    const at = index * (rules.extended ? 16 : 8)
    const upper = table.getUint32(at)
    const lower = table.getUint32(at + 4)
    this.zeroed = rules.extended ? table.getUint32(at + 8) : 0
    this.allocated = rules.extended ? table.getUint32(at + 12) : 0
    if (upper === 0 && lower === 0 && this.zeroed === 0 && this.allocated === 0) return false
    this.copied = (upper & copied) !== 0
    if ((upper & compressed) !== 0) {
      const upperBits = 62 - (rules.clusterBits - 8) - 32
      this.kind = 'packed'
      this.reserved = false
      this.zeroFlag = false
      this.position = (upper & (2 ** upperBits - 1)) * high + lower
      this.storedLength = (((upper & 0x3fffffff) >>> upperBits) + 1) * 512 - (lower & 511)
      return true
    }
    this.reserved = (upper & reservedL2.upper) !== 0 || (lower & reservedL2.lower) !== 0
    this.zeroFlag = (lower & 1) !== 0
    this.position = (upper & 0x00ffffff) * high + ((lower & 0xfffffe00) >>> 0)
    if (this.position !== 0 || (rules.dataFile && this.copied && !(this.zeroFlag && !rules.extended)))
      this.kind = 'allocated'
    else this.kind = this.zeroFlag && !rules.extended ? 'zero' : 'unallocated'
    return true
  }

  /** Whether a subcluster is both allocated and zero. */
  get contradicts(): boolean {
    return (this.allocated & this.zeroed) !== 0
  }
}

/** Sets or clears the flag that says that the refcount is exactly one. `at`: the byte of the entry in its table. */
export function markCopied(table: DataView, at: number, set: boolean): void {
  const upper = table.getUint32(at)
  table.setUint32(at, (set ? upper | copied : upper & ~copied) >>> 0)
}

/** Clears the reserved bits of a standard cluster descriptor. */
export function clearReserved(table: DataView, at: number): void {
  table.setUint32(at, (table.getUint32(at) & ~reservedL2.upper) >>> 0)
  table.setUint32(at + 4, (table.getUint32(at + 4) & ~reservedL2.lower) >>> 0)
}

/** Takes the host cluster from a standard cluster descriptor; what it says of zeros stays. */
export function clearPosition(table: DataView, at: number): void {
  table.setUint32(at, 0)
  table.setUint32(at + 4, table.getUint32(at + 4) & 1)
}

/** Whether a refcount table entry has reserved bits set. */
export function hasReservedRefcountBits(table: DataView, index: number): boolean {
  return (table.getUint32(index * 8 + 4) & 0x1ff) !== 0
}

/**
 * A bitmap table entry ("Bitmap table"): the position of its cluster, 0 where there is none; bit 0 then says all zero
 * or all one.
 */
export function decodeBitmapEntry(
  table: DataView,
  index: number,
): { readonly position: number; readonly reserved: boolean } {
  const upper = table.getUint32(index * 8)
  const lower = table.getUint32(index * 8 + 4)
  const position = (upper & 0x00ffffff) * high + ((lower & 0xfffffe00) >>> 0)
  return {
    position,
    reserved: (upper & 0xff000000) !== 0 || (lower & 0x1fe) !== 0 || (position !== 0 && (lower & 1) !== 0),
  }
}
