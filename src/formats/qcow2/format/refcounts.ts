import { viewOf } from '../../../binary/integers.js'
import { BitSet } from '../../../binary/bit-set.js'
import type { ByteStore } from '../../../block/types.js'
import { decodeRefcount, decodeRefcountTableEntry, hasReservedRefcountBits } from './entries.js'
import { readTable, type Header } from './header.js'

/** Where a refcount block is said to be. `none`: its clusters have a refcount of zero. */
export type BlockPlace =
  | { readonly kind: 'none' }
  | { readonly kind: 'block'; readonly position: number }
  | { readonly kind: 'unaligned' | 'outside'; readonly position: number }

const none: BlockPlace = { kind: 'none' }
/** Clusters whose refcounts are looked up together. */
const pageClusters = 65536
/** Pages of 8 KiB kept: they tell of 2^28 clusters, 16 TiB of them with the usual size. */
const keptPages = 4096

/** The refcounts as the file has them. */
export class StoredRefcounts {
  /** Entries of the refcount table. */
  readonly entries: number
  /** Clusters that one block counts. */
  readonly perBlock: number
  /** The most that an entry can hold. */
  readonly maximum: number
  readonly #store: ByteStore
  readonly #order: number
  readonly #clusterSize: number
  readonly #table: DataView
  /** Of each cluster looked up, whether its refcount is exactly one. */
  readonly #ones = new Map<number, BitSet>()
  #last: { readonly number: number; readonly bits: BitSet } | undefined

  constructor(store: ByteStore, header: Header) {
    this.#store = store
    this.#order = header.refcountOrder
    this.#clusterSize = header.geometry.clusterSize
    this.entries = header.refcountTable.entries
    this.perBlock = (this.#clusterSize * 8) / header.refcountBits
    this.maximum = header.refcountOrder < 6 ? 2 ** header.refcountBits - 1 : Number.MAX_SAFE_INTEGER
    this.#table = readTable(store, header.refcountTable)
  }

  place(index: number): BlockPlace {
    if (index >= this.entries) return none
    const position = decodeRefcountTableEntry(this.#table, index)
    if (position === 0) return none
    if (position % this.#clusterSize !== 0) return { kind: 'unaligned', position }
    return position >= this.#store.size ? { kind: 'outside', position } : { kind: 'block', position }
  }

  hasReservedBits(index: number): boolean {
    return hasReservedRefcountBits(this.#table, index)
  }

  /**
   * The block of that index; undefined when it counts nothing, or when its place is none. A file may end within it: the
   * rest is zero.
   */
  read(index: number): DataView | undefined {
    const place = this.place(index)
    if (place.kind !== 'block') return undefined
    const bytes = new Uint8Array(this.#clusterSize)
    this.#store.read(place.position, bytes.subarray(0, Math.min(bytes.length, this.#store.size - place.position)))
    return viewOf(bytes)
  }

  /** The refcount of a cluster of a block. */
  count(block: DataView | undefined, within: number): number {
    return block === undefined ? 0 : decodeRefcount(block, within, this.#order)
  }

  /** Whether the refcount of a cluster is exactly one; undefined where the table says nothing that could be true. */
  isOne(cluster: number): boolean | undefined {
    if (this.place(Math.floor(cluster / this.perBlock)).kind === 'unaligned') return undefined
    const number = Math.floor(cluster / pageClusters)
    if (this.#last?.number !== number) this.#last = { number, bits: this.#page(number) }
    return this.#last.bits.has(cluster - number * pageClusters)
  }

  #page(number: number): BitSet {
    const kept = this.#ones.get(number)
    if (kept !== undefined) return kept
    const bits = new BitSet(pageClusters)
    const first = number * pageClusters
    for (let cluster = first; cluster < first + pageClusters;) {
      const index = Math.floor(cluster / this.perBlock)
      const within = cluster - index * this.perBlock
      const length = Math.min(this.perBlock - within, first + pageClusters - cluster)
      const block = this.read(index)
      if (block !== undefined)
        for (let at = 0; at < length; at++) if (this.count(block, within + at) === 1) bits.set(cluster + at - first)
      cluster += length
    }
    if (this.#ones.size >= keptPages) {
      const [oldest] = this.#ones.keys()
      if (oldest !== undefined) this.#ones.delete(oldest)
    }
    this.#ones.set(number, bits)
    return bits
  }
}
