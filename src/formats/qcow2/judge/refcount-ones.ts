import { BitSet } from '../../../binary/bit-set.js'
import { Recent } from '../../../binary/recent.js'
import type { RefcountStore } from '../format/refcounts.js'

/** Clusters whose refcounts are looked up together. */
const pageClusters = 65536
/** Pages of 8 KiB kept: they know of 2^28 clusters, 16 TiB of them with the usual size. */
const keptPages = 4096

/** Of which clusters the refcount is exactly one: a bit each, for a walk that asks in any order. */
export class RefcountOnes {
  readonly #refcounts: RefcountStore
  readonly #pages: Recent<BitSet>

  constructor(refcounts: RefcountStore) {
    this.#refcounts = refcounts
    this.#pages = new Recent(keptPages, (number) => this.#page(number))
  }

  /** Whether the refcount of a cluster is exactly one; undefined where the table says nothing that could be true. */
  has(cluster: number): boolean | undefined {
    if (this.#refcounts.place(Math.floor(cluster / this.#refcounts.perBlock)).kind === 'unaligned') return undefined
    const number = Math.floor(cluster / pageClusters)
    return this.#pages.get(number).has(cluster - number * pageClusters)
  }

  /** Whether the refcounts of a run of clusters are all exactly one, which their table says beyond doubt. */
  all(first: number, count: number): boolean {
    const { perBlock } = this.#refcounts
    for (let cluster = first; cluster < first + count;) {
      const index = Math.floor(cluster / perBlock)
      const number = Math.floor(cluster / pageClusters)
      const end = Math.min(first + count, (index + 1) * perBlock, (number + 1) * pageClusters)
      if (this.#refcounts.place(index).kind !== 'block') return false
      if (!this.#pages.get(number).isFull(cluster - number * pageClusters, end - number * pageClusters)) return false
      cluster = end
    }
    return true
  }

  #page(number: number): BitSet {
    const { perBlock } = this.#refcounts
    const bits = new BitSet(pageClusters)
    const first = number * pageClusters
    for (let cluster = first; cluster < first + pageClusters;) {
      const index = Math.floor(cluster / perBlock)
      const within = cluster - index * perBlock
      const length = Math.min(perBlock - within, first + pageClusters - cluster)
      const block = this.#refcounts.get(index)
      if (block !== undefined)
        for (let at = 0; at < length; at++)
          if (this.#refcounts.countIn(block, within + at) === 1) bits.set(cluster + at - first)
      cluster += length
    }
    return bits
  }
}
