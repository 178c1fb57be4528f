/**
 * The packed words of L1 and L2 tables, decoded in one place for all who read, check, repair or change them; the rest
 * of the driver knows no bits. Words are taken as two 32-bit halves, and an entry is filled anew for each index: a
 * table of thousands is walked without bigint and without objects.
 */
const high = 2 ** 32
/** Bit 63: the refcount is exactly one. */
const copied = 0x80000000
/** Bit 62 of an L2 entry. */
const compressed = 0x40000000
/** Bits 9-55: the position of a cluster. */
const upperPosition = 0x00ffffff
const lowerPosition = 0xfffffe00
/** Reserved bits of an L1 entry: 56-62 and 0-8; of a standard cluster descriptor 56-61 and 1-8. */
const reservedL1 = { upper: 0x7f000000, lower: 0x1ff }
const reservedL2 = { upper: 0x3f000000, lower: 0x1fe }

/** The position that bits 9-55 of a word name. */
function positionIn(upper: number, lower: number): number {
  return (upper & upperPosition) * high + ((lower & lowerPosition) >>> 0)
}

/** An L1 table entry ("L1 table entry"), valid or not. */
export class L1Entry {
  /** Where the L2 table is, in bytes of the file; 0 where there is none. */
  position = 0
  /** Whether the refcount of the L2 table is said to be exactly one. */
  copied = false
  /** Whether reserved bits are set. */
  reserved = false

  /** Reads the entry at `index` of a table. False when all its bits are zero. */
  read(table: DataView, index: number): boolean {
    const upper = table.getUint32(index * 8)
    const lower = table.getUint32(index * 8 + 4)
    this.position = positionIn(upper, lower)
    this.copied = (upper & copied) !== 0
    this.reserved = (upper & reservedL1.upper) !== 0 || (lower & reservedL1.lower) !== 0
    return upper !== 0 || lower !== 0
  }

  /** Reads the first entry from `index` on that is not zero, and gives its index; -1 where none follows. */
  next(table: DataView, index: number): number {
    const end = table.byteLength / 8
    for (let at = index; at < end; at++) if (this.read(table, at)) return at
    return -1
  }

  /** Whether it says nothing but that there is no table. */
  get isEmpty(): boolean {
    return this.position === 0 && !this.reserved
  }

  /** Why no reader may follow an entry that is not empty; undefined where it may. */
  fault(clusterSize: number): string | undefined {
    if (this.reserved) return 'has reserved bits set'
    return this.position % clusterSize === 0 ? undefined : 'is not cluster aligned'
  }
}

/** Whether all entries of an L1 table from `from` up to `to` lead nowhere; the first that does not, else `to`. */
export function skipEmpty(table: DataView, from: number, to: number): number {
  let index = from
  while (index < to && table.getUint32(index * 8 + 4) === 0 && (table.getUint32(index * 8) & ~copied) === 0) index++
  return index
}

/** What must be known of an image to decode its L2 entries; its header says all of it. */
export interface EntryRules {
  readonly version: number
  readonly extendedL2: boolean
  /** In an external data file position 0 is a cluster like any other. */
  readonly dataFile: boolean
  readonly geometry: { readonly clusterBits: number; readonly entriesPerTable: number }
}

/** What a subcluster, or a cluster without subclusters, reads as. */
export type Status = 'absent' | 'zero' | 'data'

/**
 * An L2 table entry, valid or not ("L2 table entry", "Standard Cluster Descriptor", "Compressed Clusters Descriptor",
 * "Extended L2 Entries").
 */
export class L2Entry {
  /** `zero`: the zero flag without a host cluster; with one it is `allocated`, as an entry with any position is. */
  kind: 'unallocated' | 'zero' | 'allocated' | 'packed' = 'unallocated'
  /** Bytes of the file, or of the external data file. */
  position = 0
  /** Of a compressed cluster: bytes from `position` to the end of the last sector named; more than the data needs. */
  storedLength = 0
  /** Whether the refcount of the host cluster is said to be exactly one. */
  copied = false
  /** Whether reserved bits are set. */
  reserved = false
  /** Whether the position of a cluster that is not compressed begins none. */
  unaligned = false
  zeroFlag = false
  /**
   * Which units are allocated, and which read as zero, a bit each: the 32 subclusters of an extended entry, else bit 0
   * for the whole cluster.
   */
  allocated = 0
  zeroed = 0
  /** Units of a cluster: 32, or 1. */
  readonly units: number
  readonly #size: number
  readonly #entries: number
  readonly #version: number
  readonly #extended: boolean
  readonly #dataFile: boolean
  /** Bits of the lower word in which a position must not have any. */
  readonly #within: number
  /** Bits of position in the upper word of a compressed cluster; the number of further sectors follows. */
  readonly #upperBits: number

  constructor({ version, extendedL2, dataFile, geometry }: EntryRules) {
    this.units = extendedL2 ? 32 : 1
    this.#size = extendedL2 ? 16 : 8
    this.#entries = geometry.entriesPerTable
    this.#version = version
    this.#extended = extendedL2
    this.#dataFile = dataFile
    this.#within = (2 ** geometry.clusterBits - 1) & lowerPosition
    this.#upperBits = 62 - (geometry.clusterBits - 8) - 32
  }

  /** Reads the entry at `index` of a table. False when all its bits are zero. */
  read(table: DataView, index: number): boolean {
    const at = index * this.#size
    const upper = table.getUint32(at)
    const lower = table.getUint32(at + 4)
    const zeroed = this.#extended ? table.getUint32(at + 8) : 0
    const allocated = this.#extended ? table.getUint32(at + 12) : 0
    this.copied = (upper & copied) !== 0
    if ((upper & compressed) !== 0) {
      const upperBits = this.#upperBits
      this.kind = 'packed'
      this.position = (upper & (2 ** upperBits - 1)) * high + lower
      this.storedLength = (((upper & 0x3fffffff) >>> upperBits) + 1) * 512 - (lower & 511)
      this.reserved = false
      this.unaligned = false
      this.zeroFlag = false
      this.zeroed = zeroed
      this.allocated = allocated
      return true
    }
    this.position = positionIn(upper, lower)
    this.reserved = (upper & reservedL2.upper) !== 0 || (lower & reservedL2.lower) !== 0
    this.unaligned = (lower & this.#within) !== 0
    this.zeroFlag = (lower & 1) !== 0
    const isZero = this.zeroFlag && !this.#extended
    if (this.position !== 0 || (this.#dataFile && this.copied && !isZero)) this.kind = 'allocated'
    else this.kind = isZero ? 'zero' : 'unallocated'
    this.zeroed = isZero ? 1 : zeroed
    this.allocated = this.#extended ? allocated : this.kind === 'allocated' && !isZero ? 1 : 0
    return upper !== 0 || lower !== 0 || zeroed !== 0 || allocated !== 0
  }

  /** Reads the first entry from `index` on that is not zero, and gives its index; -1 where none follows. */
  next(table: DataView, index: number): number {
    for (let at = index; at < this.#entries; at++) if (this.read(table, at)) return at
    return -1
  }

  /**
   * How many entries from `index` on, the one that was read, are as it is but lead to cluster after cluster. One that
   * is extended, or not of a whole cluster, stands alone.
   */
  run(table: DataView, index: number, clusterSize: number): number {
    if (this.#extended || this.kind !== 'allocated') return 1
    let upper = table.getUint32(index * 8)
    let lower = table.getUint32(index * 8 + 4)
    let end = index + 1
    for (; end < this.#entries; end++) {
      lower += clusterSize
      if (lower >= high) {
        lower -= high
        upper++
      }
      if (table.getUint32(end * 8 + 4) !== lower || table.getUint32(end * 8) !== upper) break
    }
    return end - index
  }

  /** Whether a subcluster is both allocated and zero. */
  get contradicts(): boolean {
    return (this.allocated & this.zeroed) !== 0
  }

  /** Why no reader may go by it; undefined where it may. Reserved bits are passed over. */
  get fault(): string | undefined {
    if (this.kind === 'packed') {
      if (this.#dataFile) return 'is compressed, which an external data file does not allow'
      return this.allocated === 0 && this.zeroed === 0 ? undefined : 'is compressed and has subclusters'
    }
    if (this.unaligned) return 'is not cluster aligned'
    if (this.zeroFlag && this.#extended) return 'has the zero flag, which extended entries do not have'
    if (this.zeroFlag && this.#version < 3) return 'has the zero flag, which version 2 does not have'
    if (this.contradicts) return 'has a subcluster both allocated and zero'
    if (this.allocated !== 0 && this.kind !== 'allocated') return 'has allocated subclusters without a host cluster'
    return undefined
  }

  /** What a unit of a valid entry that is not compressed reads as. */
  status(unit: number): Status {
    if ((this.allocated >>> unit) & 1) return 'data'
    return (this.zeroed >>> unit) & 1 ? 'zero' : 'absent'
  }

  /** The end of the run of units that read as `first` does: a unit number, {@link units} at most. */
  runEnd(first: number): number {
    const status = this.status(first)
    let end = first + 1
    while (end < this.units && this.status(end) === status) end++
    return end
  }

  /** What it says, kept for one who changes it. The entry is not compressed. */
  use(): EntryState {
    return { position: this.position, copied: this.copied, allocated: this.allocated, zeroed: this.zeroed }
  }
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

/** An L2 entry that is not compressed, as it is changed. Units as in {@link L2Entry}. */
export interface EntryState {
  /** The host cluster, 0 where there is none; one may be there although nothing of it is read. */
  readonly position: number
  readonly copied: boolean
  readonly allocated: number
  readonly zeroed: number
}

/** Writes an entry that is not compressed. */
export function encodeState(table: DataView, index: number, extended: boolean, use: EntryState): void {
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

/**
 * A bitmap table entry ("Bitmap table"): the position of its cluster, 0 where there is none; bit 0 then says all zero
 * or all one.
 */
export function decodeBitmapEntry(
  table: DataView,
  index: number,
): { readonly position: number; readonly reserved: boolean; readonly allSet: boolean } {
  const upper = table.getUint32(index * 8)
  const lower = table.getUint32(index * 8 + 4)
  const position = positionIn(upper, lower)
  return {
    position,
    reserved: (upper & 0xff000000) !== 0 || (lower & 0x1fe) !== 0 || (position !== 0 && (lower & 1) !== 0),
    allSet: position === 0 && (lower & 1) !== 0,
  }
}
