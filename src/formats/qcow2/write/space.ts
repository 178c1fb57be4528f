import { viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { targetError } from '../../../errors.js'
import { maximumRefcountTableBytes, planRefcounts } from '../format/layout.js'
import { RefcountStore } from '../format/refcounts.js'

/** A finished table of one cluster that waits for its place; `placed` is called with its position. */
interface Deferred {
  readonly bytes: Uint8Array
  readonly placed: (position: number) => void
  /** The index of a refcount block; other tables have none. */
  readonly block?: number
}

/** Tables are written in groups of about this size, so that data lies together even with clusters of 512 bytes. */
const deferredLimit = 1024 * 1024
/** Refcount blocks kept open for the sake of one half-filled cluster of compressed data. */
const openBlockLimit = 4 * 1024 * 1024

/**
 * The clusters of a host file that is written from front to back, and their refcounts. A refcount block is kept while
 * its clusters can
 * still be shared by compressed data, and written when they cannot: memory does not grow with the image.
 */
export class HostSpace {
  readonly #store: ByteStore
  readonly #clusterSize: number
  readonly #refcounts: RefcountStore
  /** Clusters in use: all below it. */
  #clusters = 0
  /** Refcount blocks in memory, and those that have their place. */
  #openBlocks = 0
  #writtenBlocks = 0
  #completed = 0
  #deferred: Deferred[] = []
  /** Compressed data: where the next unit goes, and where the cluster it goes to ends. */
  #packed: { next: number; end: number } | undefined

  constructor(store: ByteStore, clusterSize: number, refcountOrder: number) {
    this.#store = store
    this.#clusterSize = clusterSize
    this.#refcounts = new RefcountStore(store, { clusterSize, refcountOrder })
  }

  /** Bytes in use. */
  get end(): number {
    return this.#clusters * this.#clusterSize
  }

  /**
   * The position of `count` new clusters, one behind the other, each with a refcount of one. @throws ImageError target
   * E_FILE_TOO_BIG.
   */
  allocate(count: number): number {
    const first = this.#clusters
    for (let cluster = first; cluster < first + count; cluster++) this.#setCount(cluster, 1)
    this.#clusters = first + count
    this.#deferCompleteBlocks()
    return first * this.#clusterSize
  }

  /**
   * The position of `length` bytes of compressed data (at most a cluster), byte by byte behind the last. Each host
   * cluster it touches
   * counts one reference more; where that does not fit the width, a new cluster is begun.
   */
  allocatePacked(length: number): number {
    const packed = this.#packed
    if (packed !== undefined && packed.next < packed.end) {
      const cluster = packed.end / this.#clusterSize - 1
      const count = this.#countOf(cluster)
      const fits = packed.next + length <= packed.end
      if (count < this.#refcounts.maximum && (fits || packed.end === this.end)) {
        const position = packed.next
        this.#setCount(cluster, count + 1)
        packed.next += length
        if (!fits) {
          packed.end += this.#clusterSize
          this.allocate(1)
        }
        return position
      }
    }
    // The old cluster is let go first: its refcount block may be complete now.
    this.#packed = undefined
    const position = this.end
    this.#packed = { next: position + length, end: position + this.#clusterSize }
    this.allocate(1)
    return position
  }

  /** Takes a finished table of one cluster; it is placed and written with others. */
  defer(bytes: Uint8Array, placed: (position: number) => void): void {
    this.#deferred.push({ bytes, placed })
  }

  /** Writes the deferred tables when they have become many, or all of them now. */
  settle(all = false): void {
    if (this.#deferred.length === 0 || (!all && this.#deferred.length * this.#clusterSize < deferredLimit)) return
    const group = this.#deferred
    this.#deferred = []
    const position = this.allocate(group.length)
    const joined = new Uint8Array(group.length * this.#clusterSize)
    for (const [index, { bytes, placed }] of group.entries()) {
      joined.set(bytes, index * this.#clusterSize)
      placed(position + index * this.#clusterSize)
    }
    this.#store.write(position, joined)
  }

  /** Writes what is deferred, the last refcount blocks and the refcount table. Nothing can be allocated afterwards. */
  finish(): { readonly tablePosition: number; readonly tableClusters: number } {
    this.#packed = undefined
    this.settle(true)
    // Blocks that became complete just now wait again: they are placed with the rest, so that placing them completes no
    // others.
    for (const { bytes, block } of this.#deferred) if (block !== undefined) this.#refcounts.put(block, 0, viewOf(bytes))
    this.#deferred = []
    const { perBlock } = this.#refcounts
    const plan = planRefcounts(this.#clusters, this.#writtenBlocks, this.#clusterSize, perBlock)
    this.#completed = Infinity
    const blocksPosition = this.allocate(plan.blocks)
    const tablePosition = this.allocate(plan.tableClusters)
    const blockCount = this.#writtenBlocks + plan.blocks
    let missing = 0
    for (let index = 0; index < blockCount; index++) {
      if (this.#refcounts.position(index) > 0) continue
      const position = blocksPosition + missing++ * this.#clusterSize
      this.#store.write(position, this.#refcounts.take(index))
      this.#refcounts.lead(index, position)
    }
    if (missing !== plan.blocks)
      throw new TypeError(`${missing} refcount blocks were missing, ${plan.blocks} were planned`)
    this.#refcounts.moveTable(tablePosition, (plan.tableClusters * this.#clusterSize) / 8)
    this.#refcounts.writeBlocks()
    return { tablePosition, tableClusters: plan.tableClusters }
  }

  /** Blocks no cluster of which can change any more are deferred like other tables. */
  #deferCompleteBlocks(): void {
    if (this.#openBlocks * this.#clusterSize > openBlockLimit) this.#packed = undefined
    const open =
      this.#packed === undefined ? this.#clusters : Math.min(this.#clusters, this.#packed.end / this.#clusterSize - 1)
    while ((this.#completed + 1) * this.#refcounts.perBlock <= open) {
      const index = this.#completed++
      this.#openBlocks--
      this.#deferred.push({
        block: index,
        bytes: this.#refcounts.take(index),
        placed: (position) => {
          this.#refcounts.lead(index, position)
          this.#writtenBlocks++
        },
      })
    }
  }

  /** The refcount of a cluster; the highest there is where its block is no longer in memory. */
  #countOf(cluster: number): number {
    const { perBlock, maximum } = this.#refcounts
    const block = this.#refcounts.kept(Math.floor(cluster / perBlock))
    return block === undefined ? maximum : this.#refcounts.countIn(block, cluster % perBlock)
  }

  #setCount(cluster: number, count: number): void {
    const { perBlock } = this.#refcounts
    const index = Math.floor(cluster / perBlock)
    if (this.#refcounts.kept(index) === undefined) {
      if ((index + 1) * 8 > maximumRefcountTableBytes) {
        throw targetError(
          'E_FILE_TOO_BIG',
          `${this.#store.name}: the image passes ${index * perBlock * this.#clusterSize} bytes, ` +
            'more than refcounts can be kept for',
          { hint: 'Use a larger cluster-size, or fewer refcount-bits.' },
        )
      }
      this.#refcounts.put(index)
      this.#openBlocks++
    }
    this.#refcounts.setCount(cluster, count)
  }
}
