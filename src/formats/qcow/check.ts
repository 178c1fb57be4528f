import type { Work } from '../../block/work.js'
import { ceilDivide, viewOf } from '../../binary/integers.js'
import { ReferenceMap } from '../../binary/reference-map.js'
import { decodeUnit } from '../../block/read.js'
import type { ByteStore } from '../../block/types.js'
import { deflateCodec } from '../../codec/deflate.js'
import { isImageError } from '../../errors.js'
import type { Finding } from '../driver.js'
import { decodeL1Entry, decodeL2Entry, skipEmpty, type Mapping } from './entries.js'
import type { Header } from './header.js'
import { header as layout } from './structs.js'

const countingBytes = 96 * 1024 * 1024
/**
 * What uses the units of the file. Tables and data take them whole; the others may share one, a byte here and there.
 */
const owner = { table: 0, data: 1, header: 2, packed: 3 } as const
const ownerNames = ['L2 table', 'data', 'header or L1 table', 'compressed or unaligned data'] as const

/**
 * Everything that is wrong with a QCOW version 1 file: entries that lead nowhere, what lies upon what, space that
 * nothing uses.
 */
export function* checkQcow(
  store: ByteStore,
  header: Header,
  l1: DataView,
  deep: boolean,
  budget = countingBytes,
): Work<void, Finding> {
  yield* new QcowCheck(store, header, l1, deep, budget).run()
}

class QcowCheck {
  readonly #store: ByteStore
  readonly #header: Header
  readonly #l1: DataView
  readonly #deep: boolean
  readonly #map: ReferenceMap
  /** Bytes of a unit: tables and clusters are whole numbers of them. */
  readonly #unit: number
  readonly #table: Uint8Array
  /** Where unused space began, as far as the file has been gone through. */
  #gap = 0

  constructor(store: ByteStore, header: Header, l1: DataView, deep: boolean, budget: number) {
    this.#store = store
    this.#header = header
    this.#l1 = l1
    this.#deep = deep && header.cryptMethod === 0
    this.#map = new ReferenceMap(budget)
    this.#table = new Uint8Array(header.entriesPerTable * 8)
    this.#unit = Math.min(header.clusterSize, this.#table.length)
  }

  *run(): Work<void, Finding> {
    const total = ceilDivide(this.#store.size, this.#unit)
    for (let start = 0; start < total; start = this.#map.limit) {
      this.#map.begin(start)
      yield* this.#walk(start === 0, start, total)
      yield* this.#compare(Math.min(this.#map.limit, total))
    }
    yield* this.#unused(this.#store.size)
  }

  *#walk(reports: boolean, start: number, total: number): Work<void, Finding> {
    const { l1Entries, l1Position } = this.#header
    this.#count(0, layout.size, owner.header)
    this.#count(l1Position, l1Entries * 8, owner.header)
    for (
      let index = skipEmpty(this.#l1, 0, l1Entries);
      index < l1Entries;
      index = skipEmpty(this.#l1, index + 1, l1Entries)
    ) {
      yield { done: start, total }
      for (const finding of this.#l1Entry(index)) if (reports) yield finding
      for (const item of this.#tableAt(index, reports)) yield typeof item === 'number' ? { done: start, total } : item
    }
  }

  *#l1Entry(index: number): Generator<Finding> {
    const position = decodeL1Entry(this.#l1, index)
    if (position + this.#needed(index) > this.#store.size) {
      yield this.#error(
        'E_TRUNCATED',
        `L1 entry ${index}`,
        this.#header.l1Position + index * 8,
        `leads to an L2 table at byte ${position}, but the file ends at byte ${this.#store.size}`,
      )
    } else if (position < layout.size)
      yield this.#error(
        'E_OVERLAP',
        `L1 entry ${index}`,
        this.#header.l1Position + index * 8,
        `leads to byte ${position}, where the header is`,
      )
  }

  /** Bytes of a table that map guest bytes: a file may end behind them. */
  #needed(index: number): number {
    const { capacity, tableCoverage, clusterSize } = this.#header
    return ceilDivide(Math.min(tableCoverage, capacity - index * tableCoverage), clusterSize) * 8
  }

  *#tableAt(index: number, reports: boolean): Generator<Finding | number> {
    const position = decodeL1Entry(this.#l1, index)
    const { size } = this.#store
    const { l1Position, l1Entries, entriesPerTable, clusterBits } = this.#header
    const bytes = this.#table
    if (position < layout.size || position + this.#needed(index) > size) return
    const seen = this.#map.kinds(Math.floor(position / this.#unit)).includes(owner.table)
    this.#count(position, bytes.length, owner.table)
    // A table that two entries lead to is walked once; one that lies on the L1 table is none.
    if (seen || (position < l1Position + l1Entries * 8 && position + bytes.length > l1Position)) return
    const available = Math.min(bytes.length, size - position)
    this.#store.read(position, bytes.subarray(0, available))
    bytes.fill(0, available)
    const view = viewOf(bytes)
    for (let entry = 0; entry < entriesPerTable; entry++) {
      const mapping = decodeL2Entry(view, entry, clusterBits)
      if (mapping.kind === 'absent') continue
      const offset = (index * entriesPerTable + entry) * this.#header.clusterSize
      const finding = this.#mapping(mapping, offset, `L2 entry ${entry} (guest offset ${offset})`, position + entry * 8)
      if (finding !== undefined && reports) yield finding
      if (mapping.kind === 'packed' && (this.#deep || mapping.position + mapping.storedLength > size)) yield 0
    }
  }

  #mapping(
    mapping: Exclude<Mapping, { kind: 'absent' }>,
    offset: number,
    structure: string,
    at: number,
  ): Finding | undefined {
    const { size } = this.#store
    const { clusterSize } = this.#header
    const { position } = mapping
    if (position >= size)
      return this.#error(
        'E_TRUNCATED',
        structure,
        at,
        `places the cluster at byte ${position}, but the file ends at byte ${size}`,
      )
    if (mapping.kind === 'packed') {
      if (mapping.storedLength === 0) return this.#error('E_L2_ENTRY', structure, at, 'is compressed and has no bytes')
      this.#count(position, mapping.storedLength, owner.packed)
      // What passes the end of the file may still decode: some programs name more bytes than they wrote.
      const isCut = position + mapping.storedLength > size && this.#header.cryptMethod === 0
      const found =
        this.#deep || isCut ? this.#decode(position, mapping.storedLength, offset, structure, at) : undefined
      if (found === undefined || !isCut) return found
      return this.#error(
        'E_TRUNCATED',
        structure,
        at,
        `names ${mapping.storedLength} bytes of compressed data at byte ${position}, but the file ends at byte ${size}`,
      )
    }
    this.#count(position, clusterSize, position % this.#unit === 0 ? owner.data : owner.packed)
    if (position % 512 !== 0)
      return this.#error('E_L2_ENTRY', structure, at, `places the cluster at byte ${position}, which begins no sector`)
    const shown = Math.min(clusterSize, this.#header.capacity - offset)
    if (position + shown <= size) return undefined
    return {
      severity: 'warning',
      code: 'W_SHORT_CLUSTER',
      structure,
      position: at,
      message:
        `places the cluster at byte ${position}, but the file ends at byte ${size}, ${position + shown - size} bytes ` +
        'before the cluster does; the rest reads as zero',
    }
  }

  #decode(position: number, length: number, offset: number, structure: string, at: number): Finding | undefined {
    const { clusterSize } = this.#header
    try {
      const storedLength = Math.min(length, this.#store.size - position)
      decodeUnit({
        kind: 'packed',
        offset,
        length: clusterSize,
        store: this.#store,
        position,
        storedLength,
        codec: deflateCodec,
        unitOffset: offset,
        unitLength: clusterSize,
      })
      return undefined
    } catch (error) {
      if (!isImageError(error)) throw error
      const why = error.cause instanceof Error ? error.cause.message : error.message
      return this.#error(error.code, structure, at, `the compressed data at byte ${position} does not decode: ${why}`)
    }
  }

  /** What two owners claim, and what none does, up to a unit. */
  *#compare(end: number): Generator<Finding> {
    for (let unit = this.#map.next(this.#map.start); unit < end; unit = this.#map.next(unit + 1)) {
      const uses = this.#map.uses(unit)
      if (uses === 0) continue
      const position = unit * this.#unit
      yield* this.#unused(position)
      this.#gap = position + this.#unit
      const kinds = this.#map.kinds(unit)
      if (uses === 1 || !(kinds.includes(owner.table) || kinds.includes(owner.data))) continue
      const names = kinds.map((kind) => ownerNames[kind] ?? '').join(' and ')
      yield this.#error(
        'E_OVERLAP',
        `bytes ${position} to ${position + this.#unit}`,
        position,
        kinds.length > 1 ? `are ${names} at the same time` : `are used ${uses} times (${names})`,
      )
    }
  }

  /** Less than a cluster is left over where compressed data ends. */
  *#unused(end: number): Generator<Finding> {
    const length = end - this.#gap
    if (length >= this.#header.clusterSize)
      yield {
        severity: 'leak',
        code: 'L_UNREFERENCED',
        structure: 'file',
        position: this.#gap,
        message: `${length} bytes belong to nothing; this format never uses them again`,
      }
  }

  #count(position: number, length: number, kind: number): void {
    const last = Math.floor((Math.min(position + length, this.#store.size) - 1) / this.#unit)
    for (let unit = Math.floor(position / this.#unit); unit <= last; unit++) this.#map.add(unit, kind)
  }

  #error(code: string, structure: string, position: number, message: string): Finding {
    return { severity: 'error', code, structure, position, message }
  }
}
