import { viewOf } from '../../../binary/integers.js'
import { isZero } from '../../../binary/zero.js'
import type { ByteStore } from '../../../block/types.js'
import { decodeRefcount, decodeRefcountTableEntry, encodeRefcount } from '../format/entries.js'
import { readTable, type Header } from '../format/header.js'

/** Refcount blocks kept in memory, in bytes. */
const keptBytes = 8 * 1024 * 1024
const minimumKept = 4

export interface Block {
  readonly position: number
  readonly view: DataView
  changed: boolean
}

/**
 * The refcount table and its blocks as they are now. Blocks may be written at any time; the table when the caller says
 * so.
 */
export class RefcountBlocks {
  /** Clusters that one block counts. */
  readonly perBlock: number
  readonly #store: ByteStore
  readonly #order: number
  readonly #clusterSize: number
  readonly #blocks = new Map<number, Block>()
  #table: DataView
  #position: number
  #from = Infinity
  #to = 0
  #moved = false

  constructor(store: ByteStore, header: Header) {
    this.#store = store
    this.#order = header.refcountOrder
    this.#clusterSize = header.geometry.clusterSize
    this.perBlock = (this.#clusterSize * 8) / header.refcountBits
    this.#table = readTable(store, header.refcountTable)
    this.#position = header.refcountTable.position
  }

  /** Entries of the table. */
  get entries(): number {
    return this.#table.byteLength / 8
  }

  /** The table's place in the file, in bytes. */
  get place(): { readonly position: number; readonly length: number } {
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
    for (const block of this.#blocks.values()) if (block.changed) return true
    return false
  }

  /** The block of that index; undefined where there is none. */
  get(index: number): Block | undefined {
    const kept = this.#blocks.get(index)
    if (kept !== undefined) return kept
    if (index >= this.entries) return undefined
    const position = decodeRefcountTableEntry(this.#table, index)
    if (position === 0) return undefined
    const bytes = new Uint8Array(this.#clusterSize)
    this.#store.read(position, bytes.subarray(0, Math.min(bytes.length, this.#store.size - position)))
    return this.#keep(index, { position, view: viewOf(bytes), changed: false })
  }

  /** A new block, or the one that was there in a new place. */
  put(index: number, position: number, view?: DataView): void {
    this.#keep(index, { position, view: view ?? viewOf(new Uint8Array(this.#clusterSize)), changed: true })
    this.#lead(index, position)
  }

  /** Nothing is counted by that index any more. */
  drop(index: number): void {
    this.#blocks.delete(index)
    this.#lead(index, 0)
  }

  count(cluster: number): number {
    const block = this.get(Math.floor(cluster / this.perBlock))
    return block === undefined ? 0 : decodeRefcount(block.view, cluster % this.perBlock, this.#order)
  }

  setCount(cluster: number, count: number): void {
    const index = Math.floor(cluster / this.perBlock)
    const block = this.get(index)
    if (block === undefined) throw new TypeError(`refcount block ${index} is missing`)
    encodeRefcount(block.view, cluster % this.perBlock, this.#order, count)
    block.changed = true
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
      if (block === undefined || isZero(new Uint8Array(block.view.buffer))) continue
      let at = this.perBlock
      while (decodeRefcount(block.view, at - 1, this.#order) === 0) at--
      return index * this.perBlock + at
    }
    return 0
  }

  /** The table gets another place, and `entries` entries; those beyond what it had are empty. */
  moveTable(position: number, entries: number): void {
    const table = new Uint8Array(entries * 8)
    table.set(new Uint8Array(this.#table.buffer, this.#table.byteOffset, this.#table.byteLength))
    this.#table = viewOf(table)
    this.#position = position
    this.#moved = true
  }

  /** Writes the blocks; those that are new are led to by nothing yet. A table that moves is written too. */
  writeBlocks(): void {
    for (const block of this.#blocks.values()) this.#write(block)
    if (this.#moved) this.#store.write(this.#position, new Uint8Array(this.#table.buffer))
  }

  /**
   * Writes the changes of the table in its place. When it has moved, the caller changes the header, and tells with
   * this.
   */
  writeTable(): void {
    if (!this.#moved && this.#to > 0) {
      const from = Math.floor(this.#from / 64) * 512
      this.#store.write(
        this.#position + from,
        new Uint8Array(this.#table.buffer, from, Math.ceil(this.#to / 64) * 512 - from),
      )
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

  #lead(index: number, position: number): void {
    this.#table.setBigUint64(index * 8, BigInt(position))
    this.#from = Math.min(this.#from, index)
    this.#to = Math.max(this.#to, index + 1)
  }

  #keep(index: number, block: Block): Block {
    this.#blocks.set(index, block)
    if (this.#blocks.size <= Math.max(minimumKept, keptBytes / this.#clusterSize)) return block
    for (const [other, old] of this.#blocks) {
      if (other === index) continue
      this.#write(old)
      this.#blocks.delete(other)
      break
    }
    return block
  }

  #write(block: Block): void {
    if (!block.changed) return
    this.#store.write(block.position, new Uint8Array(block.view.buffer))
    block.changed = false
  }
}
