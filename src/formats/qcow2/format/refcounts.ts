import { viewOf } from '../../../binary/integers.js'
import { isZero } from '../../../binary/zero.js'
import type { ByteStore } from '../../../block/types.js'
import { readTable, type Header } from './header.js'
import {
  decodeRefcount,
  decodeRefcountTableEntry,
  encodeRefcount,
  hasReservedRefcountBits,
} from './refcount-entries.js'

/** Refcount blocks kept in memory, in bytes. */
const keptBytes = 8 * 1024 * 1024
const minimumKept = 4

/** Where a refcount block is said to be. `none`: its clusters have a refcount of zero. */
export type BlockPlace =
  | { readonly kind: 'none' }
  | { readonly kind: 'block'; readonly position: number }
  | { readonly kind: 'unaligned' | 'outside'; readonly position: number }

const none: BlockPlace = { kind: 'none' }

/** A refcount block in memory. */
export interface RefcountBlock {
  /** 0 as long as it has no place in the file. */
  position: number
  readonly view: DataView
  /** The bytes that are not in the file yet: from `from` up to `to`. */
  from: number
  to: number
}

/** How refcounts are kept: `refcountOrder` is the binary logarithm of their width in bits. */
export interface RefcountShape {
  readonly clusterSize: number
  readonly refcountOrder: number
}

/**
 * The refcounts of a file: the table, and blocks that are read when they are needed. It serves all who read, judge,
 * change or make them. Changes stay in memory; a block may be written at any time, the table when the caller says so.
 */
export class RefcountStore {
  /** Clusters that one block counts. */
  readonly perBlock: number
  readonly clusterSize: number
  /** The most that an entry can hold. */
  readonly maximum: number
  readonly #store: ByteStore
  readonly #order: number
  readonly #blocks = new Map<number, RefcountBlock>()
  #table: DataView
  #position: number
  #from = Infinity
  #to = 0
  #moved = false

  /** Those that a header leads to; without one there are none yet. */
  constructor(store: ByteStore, { clusterSize, refcountOrder }: RefcountShape, header?: Header) {
    this.#store = store
    this.#order = refcountOrder
    this.clusterSize = clusterSize
    this.perBlock = (clusterSize * 8) / 2 ** refcountOrder
    this.maximum = refcountOrder < 6 ? 2 ** (2 ** refcountOrder) - 1 : Number.MAX_SAFE_INTEGER
    this.#table = header === undefined ? viewOf(new Uint8Array(0)) : readTable(store, header.refcountTable)
    this.#position = header?.refcountTable.position ?? 0
  }

  /** The refcounts of an image, as the file has them. */
  static of(store: ByteStore, header: Header): RefcountStore {
    const { refcountOrder, geometry } = header
    return new RefcountStore(store, { refcountOrder, clusterSize: geometry.clusterSize }, header)
  }

  /** Entries of the table. */
  get entries(): number {
    return this.#table.byteLength / 8
  }

  /** The table's place in the file, in bytes. */
  get tablePlace(): { readonly position: number; readonly length: number } {
    return { position: this.#position, length: this.#table.byteLength }
  }

  /** Whether the table, or the header, must change to lead to all blocks. */
  get leads(): boolean {
    return this.#moved || this.#to > 0
  }

  get hasMoved(): boolean {
    return this.#moved
  }

  get hasChanges(): boolean {
    if (this.leads) return true
    for (const block of this.#blocks.values()) if (block.to > 0) return true
    return false
  }

  /** Where the table says that a block is. */
  place(index: number): BlockPlace {
    const position = this.position(index)
    if (position === 0) return none
    if (position % this.clusterSize !== 0) return { kind: 'unaligned', position }
    return position >= this.#store.size ? { kind: 'outside', position } : { kind: 'block', position }
  }

  /** The table's entry: the position of a block; 0 where there is none. */
  position(index: number): number {
    return index < this.entries ? decodeRefcountTableEntry(this.#table, index) : 0
  }

  hasReservedBits(index: number): boolean {
    return hasReservedRefcountBits(this.#table, index)
  }

  /**
   * The block of that index; undefined where there is none, or its place cannot be. A file may end within it: the rest
   * is zero.
   */
  get(index: number): RefcountBlock | undefined {
    const kept = this.#blocks.get(index)
    if (kept !== undefined) return kept
    const place = this.place(index)
    if (place.kind !== 'block') return undefined
    const { position } = place
    const bytes = new Uint8Array(this.clusterSize)
    this.#store.read(position, bytes.subarray(0, Math.min(bytes.length, this.#store.size - position)))
    return this.#keep(index, { position, view: viewOf(bytes), from: Infinity, to: 0 })
  }

  /** The block of that index, if it is in memory. */
  kept(index: number): RefcountBlock | undefined {
    return this.#blocks.get(index)
  }

  /** A new block, or the one that was there in a new place. Without a position it waits in memory for its place. */
  put(index: number, position = 0, view = viewOf(new Uint8Array(this.clusterSize))): void {
    this.#keep(index, { position, view, from: 0, to: this.clusterSize })
    if (position > 0) this.lead(index, position)
  }

  /** Takes a block out of memory, as it is, for one who writes it. */
  take(index: number): Uint8Array {
    const block = this.#blocks.get(index)
    if (block === undefined) throw new TypeError(`refcount block ${index} is not in memory`)
    this.#blocks.delete(index)
    return bytesOf(block.view)
  }

  /** Nothing is counted by that index any more. */
  drop(index: number): void {
    this.#blocks.delete(index)
    this.lead(index, 0)
  }

  /** The refcount of a cluster. */
  count(cluster: number): number {
    const block = this.get(Math.floor(cluster / this.perBlock))
    return block === undefined ? 0 : decodeRefcount(block.view, cluster % this.perBlock, this.#order)
  }

  /** The refcount at `within` of a block. */
  countIn(block: RefcountBlock | undefined, within: number): number {
    return block === undefined ? 0 : decodeRefcount(block.view, within, this.#order)
  }

  /** Sets the refcount of a cluster whose block is there. `count` is {@link maximum} at most. */
  setCount(cluster: number, count: number): void {
    const index = Math.floor(cluster / this.perBlock)
    const block = this.get(index)
    if (block === undefined) throw new TypeError(`refcount block ${index} is missing`)
    const within = cluster % this.perBlock
    encodeRefcount(block.view, within, this.#order, count)
    const at = Math.floor((within * this.clusterSize) / this.perBlock)
    if (at < block.from) block.from = at
    const end = at + Math.max(1, this.clusterSize / this.perBlock)
    if (end > block.to) block.to = end
  }

  /** The first cluster from `from` on whose refcount is zero. */
  nextFree(from: number): number {
    for (let cluster = from; ;) {
      const index = Math.floor(cluster / this.perBlock)
      const block = this.get(index)
      if (block === undefined) return cluster
      const found = this.#freeIn(block.view, cluster % this.perBlock)
      if (found < this.perBlock) return index * this.perBlock + found
      cluster = (index + 1) * this.perBlock
    }
  }

  /** The first cluster behind all that the blocks before `limit` count. */
  end(limit: number): number {
    for (let index = Math.min(limit, this.entries) - 1; index >= 0; index--) {
      const block = this.get(index)
      if (block === undefined || isZero(bytesOf(block.view))) continue
      let at = this.perBlock
      while (this.countIn(block, at - 1) === 0) at--
      return index * this.perBlock + at
    }
    return 0
  }

  /** The table leads to a block at another place; it grows where it has no entry for it. */
  lead(index: number, position: number): void {
    if (index >= this.entries) this.#table = ofLength(this.#table, Math.max(index + 1, this.entries * 2))
    this.#table.setBigUint64(index * 8, BigInt(position))
    this.#from = Math.min(this.#from, index)
    this.#to = Math.max(this.#to, index + 1)
  }

  /** The table gets another place, and `entries` entries; those beyond what it had are empty. */
  moveTable(position: number, entries: number): void {
    this.#table = ofLength(this.#table, entries)
    this.#position = position
    this.#moved = true
  }

  /** Writes the blocks; those that are new are led to by nothing yet. A table that moves is written too. */
  writeBlocks(): void {
    for (const block of this.#blocks.values()) this.#write(block)
    if (this.#moved) this.#store.write(this.#position, bytesOf(this.#table))
  }

  /**
   * Writes the changes of the table in its place. When it has moved, the caller changes the header, and says so with
   * this.
   */
  writeTable(): void {
    if (!this.#moved && this.#to > 0) {
      const from = Math.floor(this.#from / 64) * 512
      this.#store.write(this.#position + from, bytesOf(this.#table).subarray(from, Math.ceil(this.#to / 64) * 512))
    }
    this.#moved = false
    this.#from = Infinity
    this.#to = 0
  }

  /** The first free entry of a block from `within` on; the number of its entries where there is none. */
  #freeIn(view: DataView, within: number): number {
    if (this.#order === 4) {
      // Zero is zero in any order of bytes.
      const found = new Uint16Array(view.buffer).indexOf(0, within)
      return found < 0 ? this.perBlock : found
    }
    let at = within
    while (at < this.perBlock && decodeRefcount(view, at, this.#order) !== 0) at++
    return at
  }

  #keep(index: number, block: RefcountBlock): RefcountBlock {
    this.#blocks.set(index, block)
    if (this.#blocks.size <= Math.max(minimumKept, keptBytes / this.clusterSize)) return block
    for (const [other, old] of this.#blocks) {
      if (other === index || old.position === 0) continue
      this.#write(old)
      this.#blocks.delete(other)
      break
    }
    return block
  }

  #write(block: RefcountBlock): void {
    if (block.to === 0 || block.position === 0) return
    this.#store.write(block.position + block.from, bytesOf(block.view).subarray(block.from, block.to))
    block.from = Infinity
    block.to = 0
  }
}

/** The bytes of a view. */
function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

/** A copy of a table with `entries` entries: what is beyond is cut off, what was not there is empty. */
function ofLength(table: DataView, entries: number): DataView {
  const bytes = new Uint8Array(entries * 8)
  bytes.set(bytesOf(table).subarray(0, bytes.length))
  return viewOf(bytes)
}
