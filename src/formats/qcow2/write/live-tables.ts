import { roundDown, roundUp, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { encodeAllocated, L1Entry } from '../format/entries.js'
import { readTable, type Header, type TableLocation } from '../format/header.js'
import { TableCache } from '../format/tables.js'

/** A sector is written whole or not at all when the power is cut. */
const sector = 512

/** A table with changes that are not in the file. `from` and `to` are the bytes of it that they span. */
interface Changed {
  readonly table: DataView
  from: number
  to: number
}

/**
 * The L1 table and the L2 tables of the active disk, as they are now. Changes stay in memory: those of tables that the
 * file leads to,
 * and tables that are new, which nothing in the file leads to yet.
 */
export class LiveTables {
  readonly #store: ByteStore
  readonly #clusterSize: number
  readonly #cache: TableCache
  readonly #changed = new Map<number, Changed>()
  readonly #fresh = new Map<number, DataView>()
  readonly #entry = new L1Entry()
  #l1: DataView
  #place: TableLocation
  #l1From = Infinity
  #l1To = 0
  #l1Moved = false

  constructor(store: ByteStore, header: Header) {
    this.#store = store
    this.#clusterSize = header.geometry.clusterSize
    // Who opens an image to change it has made sure that tables share nothing with other structures.
    this.#cache = new TableCache(store, this.#clusterSize, () => undefined)
    this.#place = header.l1
    this.#l1 = readTable(store, header.l1)
  }

  get l1(): DataView {
    return this.#l1
  }

  get place(): TableLocation {
    return this.#place
  }

  /** Bytes of tables that wait to be written. */
  get pendingBytes(): number {
    return (this.#changed.size + this.#fresh.size) * this.#clusterSize
  }

  /** Whether there are changes to what the file leads to. */
  get leads(): boolean {
    return this.#changed.size > 0 || this.#l1To > 0 || this.#l1Moved
  }

  get hasFresh(): boolean {
    return this.#fresh.size > 0 || this.#l1Moved
  }

  /** The place of the L1 table, when it is to be another one. */
  get movedL1(): TableLocation | undefined {
    return this.#l1Moved ? this.#place : undefined
  }

  /** The L2 table at a position. @throws ImageError corrupt E_TRUNCATED */
  table(position: number, needed: number): DataView {
    return this.#fresh.get(position) ?? this.#changed.get(position)?.table ?? this.#cache.table(position, needed)
  }

  /** Whether an L1 entry says that its L2 table has no other reference. */
  isOwn(l1Index: number): boolean {
    this.#entry.read(this.#l1, l1Index)
    return this.#entry.copied
  }

  /** Where the L2 table of an L1 entry is; undefined where there is none. */
  position(l1Index: number): number | undefined {
    const entry = this.#entry
    entry.read(this.#l1, l1Index)
    return entry.isEmpty || entry.fault(this.#clusterSize) !== undefined ? undefined : entry.position
  }

  /** Bytes `from` to `to` of the table at a position were changed. */
  touch(position: number, table: DataView, from: number, to: number): void {
    if (this.#fresh.has(position)) return
    const changed = this.#changed.get(position)
    if (changed === undefined) {
      this.#changed.set(position, { table, from, to })
      return
    }
    changed.from = Math.min(changed.from, from)
    changed.to = Math.max(changed.to, to)
  }

  /** A new table, and the L1 entry that is to lead to it. */
  add(l1Index: number, position: number, table: DataView): void {
    const before = this.position(l1Index)
    if (before !== undefined) this.#drop(before)
    this.#cache.forget(position)
    this.#fresh.set(position, table)
    encodeAllocated(this.#l1, l1Index * 8, position)
    this.#touchL1(l1Index)
  }

  /** Takes the table from an L1 entry. */
  remove(l1Index: number): void {
    const before = this.position(l1Index)
    if (before !== undefined) this.#drop(before)
    this.#l1.setBigUint64(l1Index * 8, 0n)
    this.#touchL1(l1Index)
  }

  /** The L1 table gets another place, and maybe another length: what is longer is empty. */
  moveL1(position: number, entries: number): void {
    const bytes = new Uint8Array(entries * 8)
    bytes.set(new Uint8Array(this.#l1.buffer, this.#l1.byteOffset, Math.min(this.#l1.byteLength, bytes.length)))
    this.#l1 = viewOf(bytes)
    this.#place = { position, entries }
    this.#l1Moved = true
  }

  /** Writes what nothing in the file leads to. */
  writeFresh(): void {
    for (const [position, table] of this.#fresh) this.#store.write(position, bytesOf(table))
    this.#fresh.clear()
    if (!this.#l1Moved) return
    const whole = new Uint8Array(roundUp(this.#l1.byteLength, this.#clusterSize))
    whole.set(bytesOf(this.#l1))
    this.#store.write(this.#place.position, whole)
  }

  /**
   * Writes the changes in their places. The header is not among them when the L1 table has moved: the caller changes
   * it and reports that.
   */
  writeChanged(): void {
    for (const [position, { table, from, to }] of this.#changed) this.#writePart(position, table, from, to)
    this.#changed.clear()
    if (!this.#l1Moved && this.#l1To > 0)
      this.#writePart(this.#place.position, this.#l1, this.#l1From * 8, this.#l1To * 8)
    this.#l1Moved = false
    this.#l1From = Infinity
    this.#l1To = 0
  }

  /** Whole sectors, as far as they are in the table. */
  #writePart(position: number, table: DataView, from: number, to: number): void {
    const start = roundDown(from, sector)
    this.#store.write(position + start, bytesOf(table).subarray(start, roundUp(to, sector)))
  }

  #touchL1(index: number): void {
    this.#l1From = Math.min(this.#l1From, index)
    this.#l1To = Math.max(this.#l1To, index + 1)
  }

  #drop(position: number): void {
    this.#changed.delete(position)
    this.#fresh.delete(position)
    this.#cache.forget(position)
  }
}

function bytesOf(table: DataView): Uint8Array {
  return new Uint8Array(table.buffer, table.byteOffset, table.byteLength)
}
