import { ceilDivide, roundUp } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints, targetError, type ImageError } from '../../../errors.js'
import { maximumRefcountTableBytes } from '../format/layout.js'
import type { RefcountStore } from '../format/refcounts.js'
import type { MetadataMap } from './metadata-map.js'

/** New clusters, one behind the other. */
export interface NewClusters {
  readonly position: number
  readonly count: number
  /** Whether they read as zero: the file is to be made longer for them. Otherwise they hold what was there before. */
  readonly fresh: boolean
}

/**
 * Structures made anew beside the old ones: blocks that have their new place, and the first cluster that may be given
 * out.
 */
interface Shadow {
  readonly moved: Set<number>
  readonly floor: number
}

/**
 * The refcounts as they are now, and the clusters that they leave free. What is in memory may be written at any time: a
 * refcount is
 * raised before anything leads to its cluster, and what is released counts on until nothing on the medium leads there.
 */
export class LiveRefcounts {
  readonly blocks: RefcountStore
  readonly maximum: number
  readonly #store: ByteStore
  readonly #metadata: MetadataMap
  readonly #trust: () => void
  readonly #clusterSize: number
  readonly #perBlock: number
  readonly #released = new Map<number, number>()
  /** No cluster before it is free; those from `#end` on are beyond the file, and beyond all that was given out. */
  #hint = 0
  #end: number
  #shadow: Shadow | undefined
  #gaveUp = false
  #trusted = false

  /**
   * @param trust makes sure that what has a refcount of zero is free, before such a cluster inside the file is given
   * out; throws where it is not.
   */
  constructor(store: ByteStore, blocks: RefcountStore, metadata: MetadataMap, trust: () => void) {
    this.blocks = blocks
    this.maximum = blocks.maximum
    this.#store = store
    this.#metadata = metadata
    this.#trust = trust
    this.#clusterSize = blocks.clusterSize
    this.#perBlock = blocks.perBlock
    this.#end = Math.max(ceilDivide(store.size, this.#clusterSize), this.blocks.end(this.blocks.entries))
  }

  /** Clusters that wait to be released. */
  get releasedCount(): number {
    return this.#released.size
  }

  /** Whether space was released. */
  get gaveUp(): boolean {
    return this.#gaveUp
  }

  count(cluster: number): number {
    return this.blocks.count(cluster)
  }

  /**
   * Up to `count` free clusters in a row, the lowest there are, each with a refcount of one from now on.
   * @throws ImageError target E_NO_SPACE, E_FILE_TOO_BIG; corrupt E_REFCOUNT
   */
  allocate(count: number): NewClusters {
    for (;;) {
      const first = this.blocks.nextFree(Math.max(this.#hint, this.#shadow?.floor ?? 0))
      if (this.#shadow === undefined) this.#hint = first
      const index = Math.floor(first / this.#perBlock)
      if (!this.#prepare(index, first)) continue
      const limit = Math.min(first + count, (index + 1) * this.#perBlock)
      let end = first + 1
      while (end < limit && this.count(end) === 0 && end < this.#end === first < this.#end) end++
      return this.#take(first, end - first)
    }
  }

  /** The first `count` free clusters in a row that end before `limit`; undefined where there are none. */
  allocateRowBelow(count: number, limit: number): NewClusters | undefined {
    for (let first = this.blocks.nextFree(this.#hint); first + count <= limit; first = this.blocks.nextFree(first)) {
      const start = first
      while (
        first < start + count &&
        this.count(first) === 0 &&
        this.blocks.get(Math.floor(first / this.#perBlock)) !== undefined
      )
        first++
      if (first === start + count) return this.#take(start, count)
      if (this.count(first) === 0) first = (Math.floor(first / this.#perBlock) + 1) * this.#perBlock
    }
    return undefined
  }

  /**
   * Releases the block of that index when it counts nothing but itself, or moves it to before `limit` (a cluster) when
   * it lies behind.
   * Comes last before a commit.
   */
  shrinkBlock(index: number, limit: number): void {
    const block = this.blocks.get(index)
    if (block === undefined) return
    const own = block.position / this.#clusterSize
    const isInside = Math.floor(own / this.#perBlock) === index
    const first = index * this.#perBlock
    let used = 0
    for (let cluster = first; cluster < first + this.#perBlock && used < 2; cluster++)
      if (this.count(cluster) > 0) used++
    if (used === (isInside ? 1 : 0)) {
      if (isInside) {
        this.#metadata.clear(own)
        this.#gaveUp = true
      } else this.release(block.position, this.#clusterSize)
      this.blocks.drop(index)
    } else if (own >= limit) {
      const place = this.allocateRowBelow(1, limit)
      if (place === undefined) return
      this.#metadata.claim(`refcount block ${index}`, place.position, 1)
      this.blocks.put(index, place.position, block.view)
      this.release(block.position, this.#clusterSize)
    }
  }

  /** Moves the refcount table to before `limit` (a cluster), where there is space for it. */
  moveTableDown(limit: number): void {
    const { position, length } = this.blocks.tablePlace
    if (position < limit * this.#clusterSize) return
    const place = this.allocateRowBelow(length / this.#clusterSize, limit)
    if (place === undefined) return
    this.#metadata.claim('refcount table', place.position, length)
    this.blocks.moveTable(place.position, this.blocks.entries)
    this.release(position, length)
  }

  /** How many clusters are in use. */
  used(): number {
    let used = 0
    for (let cluster = this.blocks.end(this.blocks.entries) - 1; cluster >= 0; cluster--)
      if (this.count(cluster) > 0) used++
    return used
  }

  /** `count` clusters in a row, behind all others when they are more than one. */
  allocateRow(count: number): NewClusters {
    if (count === 1) return this.allocate(1)
    for (let at = this.#end, first = at; ; at++) {
      if (at === first + count) return this.#take(first, count)
      const index = Math.floor(at / this.#perBlock)
      if (!this.#prepare(index, Math.max(first, index * this.#perBlock))) at = (first = this.#end) - 1
      else if (this.count(at) > 0) first = at + 1
    }
  }

  /**
   * One reference more. @throws ImageError unsupported E_REFCOUNT_WIDTH when its width does not hold it; corrupt
   * E_REFCOUNT when there is none.
   */
  raise(cluster: number): void {
    const count = this.count(cluster)
    if (count === 0) throw this.#missing(cluster)
    if (count >= this.maximum) {
      throw targetError(
        'E_REFCOUNT_WIDTH',
        `${this.#store.name}: the cluster at byte ${cluster * this.#clusterSize} would be used ${count + 1} ` +
          `times, and its refcount holds at most ${this.maximum}`,
        { hint: 'Convert the image with more refcount-bits.' },
      )
    }
    this.#set(cluster, count + 1)
  }

  /**
   * One reference less to the clusters of a range of bytes; free only after {@link settle}, when nothing on the medium
   * leads there.
   * @throws ImageError corrupt E_REFCOUNT when there was none.
   */
  release(position: number, length: number): void {
    const last = Math.floor((position + length - 1) / this.#clusterSize)
    for (let cluster = Math.floor(position / this.#clusterSize); cluster <= last; cluster++) {
      const waiting = this.#released.get(cluster) ?? 0
      if (this.count(cluster) <= waiting) throw this.#missing(cluster)
      // Beside the old structures nothing is seen before all of it is: no need to wait, and nothing before the floor is
      // given out.
      if (this.#shadow !== undefined) this.#lower(cluster, 1)
      else this.#released.set(cluster, waiting + 1)
    }
  }

  /** What was released has no owner on the medium any more. */
  settle(): void {
    for (const [cluster, times] of this.#released) this.#lower(cluster, times)
    this.#released.clear()
  }

  /**
   * From now on all changes go to new places behind everything, and the file's structures stay as they are, until
   * {@link unshadow}.
   */
  shadow(): void {
    this.#shadow = { moved: new Set(), floor: this.#end }
    this.#moveTable(this.blocks.entries)
  }

  /** The header leads to the new structures. */
  unshadow(): void {
    this.#shadow = undefined
    this.#hint = 0
  }

  /** The end of the last cluster that is in use, in bytes. */
  usedEnd(): number {
    return Math.max(1, this.blocks.end(ceilDivide(this.#end, this.#perBlock))) * this.#clusterSize
  }

  /** The file ends at its last cluster in use. */
  cut(size: number): void {
    this.#end = size / this.#clusterSize
  }

  #take(first: number, count: number): NewClusters {
    const position = first * this.#clusterSize
    const fresh = first >= this.#end
    if (!fresh && !this.#trusted && this.#shadow === undefined) {
      this.#trust()
      this.#trusted = true
    }
    if (fresh && !this.#store.growable)
      throw targetError(
        'E_NO_SPACE',
        `${this.#store.name}: no cluster of ${this.#clusterSize} bytes is free, and it cannot grow`,
      )
    for (let cluster = first; cluster < first + count; cluster++) {
      if (this.#metadata.has(cluster)) throw this.#missing(cluster)
      this.#set(cluster, 1)
    }
    this.#end = Math.max(this.#end, first + count)
    if (this.#shadow === undefined && first === this.#hint) this.#hint = first + count
    return { position, count, fresh }
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
    if (this.#shadow !== undefined && !this.#shadow.moved.has(index)) this.#moveBlock(index, this.#shadow)
    this.blocks.setCount(cluster, count)
  }

  /**
   * Whether the block of that index is there and may be changed. When it was not, it is now, and clusters were given
   * out for that.
   */
  #prepare(index: number, cluster: number): boolean {
    if (this.blocks.get(index) === undefined) this.#addBlock(index, cluster)
    else if (this.#shadow !== undefined && !this.#shadow.moved.has(index)) this.#moveBlock(index, this.#shadow)
    else return true
    return false
  }

  /** A block for clusters that none counts, at one of them. */
  #addBlock(index: number, cluster: number): void {
    if (index >= this.blocks.entries) {
      this.#moveTable(index + 1)
      return
    }
    const position = cluster * this.#clusterSize
    this.blocks.put(index, position)
    this.#shadow?.moved.add(index)
    this.#take(cluster, 1)
    this.#metadata.claim(`refcount block ${index}`, position, 1)
  }

  /** Gives a block a new place; its old one stays as it is in the file. */
  #moveBlock(index: number, shadow: Shadow): void {
    while (!shadow.moved.has(index)) {
      const cluster = this.blocks.nextFree(shadow.floor)
      const own = Math.floor(cluster / this.#perBlock)
      // What is prepared may move this one on the way.
      if (own !== index && !this.#prepare(own, cluster)) continue
      const old = this.blocks.get(index)
      if (old === undefined) throw new TypeError(`refcount block ${index} is missing`)
      const position = cluster * this.#clusterSize
      shadow.moved.add(index)
      this.blocks.put(index, position, old.view)
      this.#take(cluster, 1)
      this.#metadata.claim(`refcount block ${index}`, position, 1)
      this.release(old.position, this.#clusterSize)
    }
  }

  /** A table of at least `needed` entries behind everything, with the blocks that count it and each other. */
  #moveTable(needed: number): void {
    const old = this.blocks.tablePlace
    const { start, blocks, entries } = this.#planTable(needed)
    if (entries * 8 > maximumRefcountTableBytes) {
      throw targetError(
        'E_FILE_TOO_BIG',
        `${this.#store.name}: the image passes ${start * this.#clusterSize} bytes, more than refcounts can be kept for`,
        { hint: 'Convert it with a larger cluster-size, or fewer refcount-bits.' },
      )
    }
    const clusters = (entries * 8) / this.#clusterSize
    const position = (start + blocks) * this.#clusterSize
    this.blocks.moveTable(position, entries)
    let next = start
    for (let index = Math.floor(start / this.#perBlock); index * this.#perBlock < start + blocks + clusters; index++) {
      if (this.blocks.get(index) !== undefined) continue
      this.blocks.put(index, next++ * this.#clusterSize)
      this.#shadow?.moved.add(index)
    }
    // Blocks that were planned and not needed leave their clusters free.
    this.#take(start, next - start)
    this.#take(start + blocks, clusters)
    this.#metadata.claim('refcount blocks', start * this.#clusterSize, (next - start) * this.#clusterSize)
    this.#metadata.claim('refcount table', position, entries * 8)
    this.release(old.position, old.length)
  }

  /** Where a new table begins with `blocks` new blocks, in clusters, and how many entries it has. */
  #planTable(needed: number): { readonly start: number; readonly blocks: number; readonly entries: number } {
    const perCluster = this.#clusterSize / 8
    const had = this.blocks.entries
    for (;;) {
      const start = Math.max(this.#end, needed > had ? had * this.#perBlock : 0)
      let blocks = 0
      let entries = roundUp(needed > had ? Math.max(needed, Math.floor(had * 1.5)) : had, perCluster)
      let prepared = true
      for (let fits = false; !fits && prepared;) {
        const end = Math.ceil((start + blocks + entries / perCluster) / this.#perBlock)
        let missing = 0
        for (let index = Math.floor(start / this.#perBlock); index < end && prepared; index++) {
          if (this.blocks.get(index) === undefined) missing++
          else prepared = this.#prepare(index, start)
        }
        fits = missing <= blocks && end <= entries
        blocks = Math.max(blocks, missing)
        entries = roundUp(Math.max(entries, end), perCluster)
      }
      // Otherwise a block was moved for it, to where the table was to begin.
      if (prepared) return { start, blocks, entries }
    }
  }

  #missing(cluster: number): ImageError {
    return corrupt(
      'E_REFCOUNT',
      `${this.#store.name}: the cluster at byte ${cluster * this.#clusterSize} is in use, but its refcount ` +
        'says that it is not: the image cannot be changed without damage',
      {
        hint: hints.repair,
        details: { position: cluster * this.#clusterSize },
      },
    )
  }
}
