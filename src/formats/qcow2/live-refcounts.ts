import { ceilDivide, roundUp, viewOf } from '../../binary/integers.js'
import { isZero } from '../../binary/zero.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, targetError, type ImageError } from '../../errors.js'
import { decodeRefcount, decodeRefcountTableEntry, encodeRefcount } from './entries.js'
import { readTable, type Header } from './header.js'
import { maximumRefcountTableBytes } from './layout.js'
import type { MetadataMap } from './metadata-map.js'

/** Refcount blocks kept in memory, in bytes. */
const keptBytes = 8 * 1024 * 1024
const minimumKept = 4

/** New clusters, one behind the other. */
export interface Place {
  readonly position: number
  readonly count: number
  /** Whether they read as zero: the file is to be made longer for them. Otherwise they hold what was there before. */
  readonly fresh: boolean
}

/** Structures made anew beside the old ones: blocks that have their new place, and the first cluster that may be given out. */
interface Shadow { readonly moved: Set<number>; readonly floor: number }

interface Block { readonly position: number; readonly view: DataView; changed: boolean }

/**
 * The refcounts as they are now, and the clusters that they leave free. What is in memory may be written at any time: a refcount is
 * raised before anything leads to its cluster, and what is released counts on until nothing on the medium leads there.
 */
export class LiveRefcounts {
  readonly maximum: number
  readonly #store: ByteStore
  readonly #metadata: MetadataMap
  readonly #order: number
  readonly #clusterSize: number
  readonly #perBlock: number
  readonly #blocks = new Map<number, Block>()
  readonly #released = new Map<number, number>()
  #table: DataView
  #tablePosition: number
  #tableFrom = Infinity
  #tableTo = 0
  #tableMoved = false
  /** No cluster before it is free; those from `#end` on are beyond the file, and beyond all that was given out. */
  #hint = 0
  #end: number
  #shadow: Shadow | undefined
  #gaveUp = false

  constructor(store: ByteStore, header: Header, metadata: MetadataMap) {
    this.#store = store
    this.#metadata = metadata
    this.#order = header.refcountOrder
    this.#clusterSize = header.geometry.clusterSize
    this.#perBlock = this.#clusterSize * 8 / header.refcountBits
    this.maximum = header.refcountOrder < 6 ? 2 ** header.refcountBits - 1 : Number.MAX_SAFE_INTEGER
    this.#table = readTable(store, header.refcountTable)
    this.#tablePosition = header.refcountTable.position
    this.#end = Math.max(ceilDivide(store.size, this.#clusterSize), this.#usedEnd(this.entries))
  }

  /** Changes that the refcount table or the header must lead to. */
  get leads(): boolean {
    return this.#tableMoved || this.#tableTo > 0
  }

  get hasChanges(): boolean {
    if (this.leads) return true
    for (const block of this.#blocks.values()) if (block.changed) return true
    return false
  }

  /** Clusters that wait to be given up. */
  get releasedCount(): number {
    return this.#released.size
  }

  /** Whether space was given up. */
  get gaveUp(): boolean {
    return this.#gaveUp
  }

  get entries(): number {
    return this.#table.byteLength / 8
  }

  /** The place of the refcount table, in bytes and clusters, when it is to be another one. */
  get movedTable(): { readonly position: number; readonly clusters: number } | undefined {
    return this.#tableMoved ? { position: this.#tablePosition, clusters: this.#table.byteLength / this.#clusterSize } : undefined
  }

  count(cluster: number): number {
    const block = this.#block(Math.floor(cluster / this.#perBlock))
    return block === undefined ? 0 : decodeRefcount(block.view, cluster % this.#perBlock, this.#order)
  }

  /** Up to `count` free clusters in a row, each with a refcount of one from now on. @throws ImageError target E_NO_SPACE, E_FILE_TOO_BIG; corrupt E_REFCOUNT */
  allocate(count: number): Place {
    for (;;) {
      const first = this.#nextFree(Math.max(this.#hint, this.#shadow?.floor ?? 0))
      if (this.#shadow === undefined) this.#hint = first
      const index = Math.floor(first / this.#perBlock)
      if (!this.#prepare(index, first)) continue
      const limit = Math.min(first + count, (index + 1) * this.#perBlock)
      let end = first + 1
      while (end < limit && this.count(end) === 0 && (end < this.#end) === (first < this.#end)) end++
      return this.#take(first, end - first)
    }
  }

  /** `count` clusters in a row, behind all others. */
  allocateRow(count: number): Place {
    if (count === 1) return this.allocate(1)
    for (let at = this.#end, first = at; ; at++) {
      if (at === first + count) return this.#take(first, count)
      const index = Math.floor(at / this.#perBlock)
      if (!this.#prepare(index, Math.max(first, index * this.#perBlock))) at = (first = this.#end) - 1
      else if (this.count(at) > 0) first = at + 1
    }
  }

  /** One reference more. @throws ImageError unsupported when the width does not hold it. */
  raise(cluster: number): void {
    const count = this.count(cluster)
    if (count === 0) throw this.#missing(cluster)
    if (count >= this.maximum) {
      throw targetError('E_REFCOUNT_OVERFLOW', `${this.#store.name}: the cluster at byte ${cluster * this.#clusterSize} would be used ${count + 1} times, and its refcount holds at most ${this.maximum}`, { hint: 'Convert the image with more refcount-bits.' })
    }
    this.#set(cluster, count + 1)
  }

  /**
   * One reference less to the clusters of a range of bytes; free only after {@link settle}, when nothing on the medium leads there.
   * @throws ImageError corrupt E_REFCOUNT when there was none.
   */
  release(position: number, length: number): void {
    const last = Math.floor((position + length - 1) / this.#clusterSize)
    for (let cluster = Math.floor(position / this.#clusterSize); cluster <= last; cluster++) {
      const waiting = this.#released.get(cluster) ?? 0
      const count = this.count(cluster)
      if (count <= waiting) throw this.#missing(cluster)
      // Beside the old structures nothing is seen before all of it is: no need to wait, and nothing before the floor is given out.
      if (this.#shadow !== undefined) this.#lower(cluster, 1)
      else this.#released.set(cluster, waiting + 1)
    }
  }

  /** What was released has no owner on the medium any more. */
  settle(): void {
    for (const [cluster, times] of this.#released) this.#lower(cluster, times)
    this.#released.clear()
  }

  /** Writes the blocks; those that are new are led to by nothing yet. A table that moves is written too. */
  writeBlocks(): void {
    for (const block of this.#blocks.values()) this.#writeBlock(block)
    if (this.#tableMoved) this.#store.write(this.#tablePosition, new Uint8Array(this.#table.buffer))
  }

  /** Writes the changes of the table in its place. When it has moved, the caller changes the header, and tells with this. */
  writeTable(): void {
    if (!this.#tableMoved && this.#tableTo > 0) {
      const from = Math.floor(this.#tableFrom / 64) * 512
      this.#store.write(this.#tablePosition + from, new Uint8Array(this.#table.buffer, from, Math.ceil(this.#tableTo / 64) * 512 - from))
    }
    this.#tableMoved = false
    this.#tableFrom = Infinity
    this.#tableTo = 0
  }

  /** From now on all changes go to new places behind everything, and the file's structures stay as they are, until {@link unshadow}. */
  shadow(): void {
    this.#shadow = { moved: new Set(), floor: this.#end }
    this.#moveTable(this.entries)
  }

  /** The header leads to the new structures. */
  unshadow(): void {
    this.#shadow = undefined
    this.#hint = 0
  }

  /** The end of the last cluster that is in use, in bytes. */
  usedEnd(): number {
    return Math.max(1, this.#usedEnd(ceilDivide(this.#end, this.#perBlock))) * this.#clusterSize
  }

  /** The file ends at its last cluster in use. */
  cut(size: number): void {
    this.#end = size / this.#clusterSize
  }

  /** The first cluster behind all that the blocks before `limit` count. */
  #usedEnd(limit: number): number {
    for (let index = Math.min(limit, this.entries) - 1; index >= 0; index--) {
      const block = this.#block(index)
      if (block === undefined || isZero(new Uint8Array(block.view.buffer))) continue
      let at = this.#perBlock
      while (decodeRefcount(block.view, at - 1, this.#order) === 0) at--
      return index * this.#perBlock + at
    }
    return 0
  }

  #take(first: number, count: number): Place {
    const position = first * this.#clusterSize
    const fresh = first >= this.#end
    for (let cluster = first; cluster < first + count; cluster++) {
      if (this.#metadata.has(cluster)) throw this.#missing(cluster)
      this.#set(cluster, 1)
    }
    if (fresh && !this.#store.growable) throw targetError('E_NO_SPACE', `${this.#store.name}: no cluster of ${this.#clusterSize} bytes is free, and it cannot grow`)
    this.#end = Math.max(this.#end, first + count)
    if (this.#shadow === undefined && first === this.#hint) this.#hint = first + count
    return { position, count, fresh }
  }

  #nextFree(from: number): number {
    for (let cluster = from; ;) {
      const index = Math.floor(cluster / this.#perBlock)
      const block = this.#block(index)
      if (block === undefined) return cluster
      const found = this.#freeIn(block.view, cluster % this.#perBlock)
      if (found < this.#perBlock) return index * this.#perBlock + found
      cluster = (index + 1) * this.#perBlock
    }
  }

  /** The first free entry of a block from `within` on; the number of its entries where there is none. */
  #freeIn(view: DataView, within: number): number {
    if (this.#order === 4) {
      // Zero is zero in any order of bytes.
      const found = new Uint16Array(view.buffer).indexOf(0, within)
      return found < 0 ? this.#perBlock : found
    }
    let at = within
    while (at < this.#perBlock && decodeRefcount(view, at, this.#order) !== 0) at++
    return at
  }

  #lower(cluster: number, times: number): void {
    const count = this.count(cluster) - times
    this.#set(cluster, count)
    if (count > 0) return
    this.#metadata.clear(cluster)
    this.#gaveUp = true
    if (this.#shadow === undefined) this.#hint = Math.min(this.#hint, cluster)
  }

  #set(cluster: number, count: number): void {
    const index = Math.floor(cluster / this.#perBlock)
    const block = this.#forWriting(index)
    encodeRefcount(block.view, cluster % this.#perBlock, this.#order, count)
    block.changed = true
  }

  #forWriting(index: number): Block {
    if (this.#shadow !== undefined && !this.#shadow.moved.has(index)) this.#moveBlock(index, this.#shadow)
    const block = this.#block(index)
    if (block === undefined) throw new TypeError(`refcount block ${index} is missing`)
    return block
  }

  /** Whether the block of that index is there and may be changed. When it was not, it is now, and clusters were given out for that. */
  #prepare(index: number, cluster: number): boolean {
    if (this.#block(index) === undefined) this.#addBlock(index, cluster)
    else if (this.#shadow !== undefined && !this.#shadow.moved.has(index)) this.#moveBlock(index, this.#shadow)
    else return true
    return false
  }

  /** A block for clusters that none counts, at one of them. */
  #addBlock(index: number, cluster: number): void {
    if (index >= this.entries) {
      this.#moveTable(index + 1)
      return
    }
    const position = cluster * this.#clusterSize
    this.#blocks.set(index, { position, view: viewOf(new Uint8Array(this.#clusterSize)), changed: true })
    this.#shadow?.moved.add(index)
    this.#lead(index, position)
    this.#take(cluster, 1)
    this.#metadata.claim(`refcount block ${index}`, position, 1)
    this.#evict(index)
  }

  /** Gives a block a new place; its old one stays as it is in the file. */
  #moveBlock(index: number, shadow: Shadow): void {
    for (;;) {
      const cluster = this.#nextFree(shadow.floor)
      const own = Math.floor(cluster / this.#perBlock)
      if (own !== index && !this.#prepare(own, cluster)) {
        // What was prepared may have moved this one on the way.
        if (shadow.moved.has(index)) return
        continue
      }
      const old = this.#block(index)
      if (old === undefined) throw new TypeError(`refcount block ${index} is missing`)
      const position = cluster * this.#clusterSize
      shadow.moved.add(index)
      this.#blocks.set(index, { position, view: old.view, changed: true })
      this.#lead(index, position)
      this.#take(cluster, 1)
      this.#metadata.claim(`refcount block ${index}`, position, 1)
      this.release(old.position, this.#clusterSize)
      return
    }
  }

  /** A table of at least `needed` entries behind everything, with the blocks that count it and each other. */
  #moveTable(needed: number): void {
    const perCluster = this.#clusterSize / 8
    const more = needed > this.entries
    let start = 0
    let blocks = 0
    let entries = 0
    let firstMissing = 0
    for (let settled = false; !settled;) {
      start = Math.max(this.#end, more ? this.entries * this.#perBlock : 0)
      firstMissing = Math.floor(start / this.#perBlock)
      blocks = 0
      entries = roundUp(more ? Math.max(needed, Math.floor(this.entries * 1.5)) : this.entries, perCluster)
      settled = true
      for (let fits = false; !fits && settled;) {
        const end = Math.ceil((start + blocks + entries / perCluster) / this.#perBlock)
        let missing = 0
        for (let index = firstMissing; index < end && settled; index++) {
          if (this.#block(index) === undefined) missing++
          else settled = this.#prepare(index, start)
        }
        fits = missing <= blocks && end <= entries
        blocks = Math.max(blocks, missing)
        entries = roundUp(Math.max(entries, end), perCluster)
      }
    }
    if (entries * 8 > maximumRefcountTableBytes) {
      throw targetError('E_FILE_TOO_BIG', `${this.#store.name}: the image passes ${start * this.#clusterSize} bytes, more than refcounts can be kept for`, { hint: 'Convert it with a larger cluster-size, or fewer refcount-bits.' })
    }
    const table = new Uint8Array(entries * 8)
    table.set(new Uint8Array(this.#table.buffer, this.#table.byteOffset, this.#table.byteLength))
    const old = { position: this.#tablePosition, length: this.#table.byteLength }
    const clusters = entries / perCluster
    this.#table = viewOf(table)
    this.#tablePosition = (start + blocks) * this.#clusterSize
    this.#tableMoved = true
    let next = start
    for (let index = firstMissing; index * this.#perBlock < start + blocks + clusters; index++) {
      if (this.#block(index) !== undefined) continue
      this.#blocks.set(index, { position: next * this.#clusterSize, view: viewOf(new Uint8Array(this.#clusterSize)), changed: true })
      this.#shadow?.moved.add(index)
      this.#lead(index, next++ * this.#clusterSize)
    }
    // Blocks that were planned and not needed leave their clusters free.
    this.#take(start, next - start)
    this.#take(start + blocks, clusters)
    this.#metadata.claim('refcount blocks', start * this.#clusterSize, (next - start) * this.#clusterSize)
    this.#metadata.claim('refcount table', this.#tablePosition, entries * 8)
    this.release(old.position, old.length)
  }

  #lead(index: number, position: number): void {
    this.#table.setBigUint64(index * 8, BigInt(position))
    this.#tableFrom = Math.min(this.#tableFrom, index)
    this.#tableTo = Math.max(this.#tableTo, index + 1)
  }

  #block(index: number): Block | undefined {
    const kept = this.#blocks.get(index)
    if (kept !== undefined) return kept
    if (index >= this.entries) return undefined
    const position = decodeRefcountTableEntry(this.#table, index)
    if (position === 0) return undefined
    const bytes = new Uint8Array(this.#clusterSize)
    this.#store.read(position, bytes.subarray(0, Math.min(bytes.length, this.#store.size - position)))
    const block = { position, view: viewOf(bytes), changed: false }
    this.#blocks.set(index, block)
    this.#evict(index)
    return block
  }

  #evict(kept: number): void {
    if (this.#blocks.size <= Math.max(minimumKept, keptBytes / this.#clusterSize)) return
    for (const [index, block] of this.#blocks) {
      if (index === kept) continue
      this.#writeBlock(block)
      this.#blocks.delete(index)
      return
    }
  }

  #writeBlock(block: Block): void {
    if (!block.changed) return
    this.#store.write(block.position, new Uint8Array(block.view.buffer))
    block.changed = false
  }

  #missing(cluster: number): ImageError {
    return corrupt('E_REFCOUNT', `${this.#store.name}: the cluster at byte ${cluster * this.#clusterSize} is in use, but its refcount says that it is not: the image cannot be changed without damage`, {
      hint: 'vdisk check lists the damage, vdisk repair mends it.', details: { position: cluster * this.#clusterSize },
    })
  }
}
