import { viewOf } from '../../../binary/integers.js'
import type { Geometry } from '../format/layout.js'
import { nothing, type ClusterEntries } from './cluster-entries.js'
import type { WriteSession } from './write-session.js'

/** Releases clusters and tables, and moves them towards the start of the file. */
export class ClusterMover {
  readonly #session: WriteSession
  readonly #entries: ClusterEntries
  readonly #geometry: Geometry

  constructor(entries: ClusterEntries) {
    this.#entries = entries
    this.#session = entries.session
    this.#geometry = entries.session.header.geometry
  }

  /** Takes from a cluster all that this layer says of it. */
  clear(cluster: number): void {
    this.#entries.set(cluster, nothing.use)
  }

  /** Takes from an L1 entry its table, with all that it leads to. */
  clearTable(l1Index: number): void {
    const { clusterSize, entriesPerTable } = this.#geometry
    const { tables, refcounts, image } = this.#session
    const position = tables.position(l1Index)
    if (position === undefined) return
    for (let index = 0; index < entriesPerTable; index++) {
      const state = this.#entries.state(l1Index * entriesPerTable + index)
      if (state.kind === 'packed') refcounts.release(state.position, state.storedLength)
      else if (state.use.position !== 0) refcounts.release(state.use.position, clusterSize)
    }
    refcounts.release(position, clusterSize)
    tables.remove(l1Index)
    image.changed()
  }

  /**
   * Moves the host cluster of a guest cluster from behind `limit` (a host cluster) to before it, where it can be moved
   * and there is
   * space; gives the bytes copied. A host cluster of which nothing is read is released.
   */
  moveDown(cluster: number, limit: number): number {
    const { clusterSize } = this.#geometry
    const { file, refcounts } = this.#session
    const state = this.#entries.state(cluster)
    if (state.kind === 'packed' || state.use.position < limit * clusterSize || !this.#entries.owns(state.use)) return 0
    const { use } = state
    if (use.allocated === 0) {
      this.#entries.set(cluster, { position: 0, copied: false, allocated: use.allocated, zeroed: use.zeroed })
      return 0
    }
    const place = refcounts.allocateRowBelow(1, limit)
    if (place === undefined) return 0
    const bytes = new Uint8Array(clusterSize)
    file.read(use.position, bytes.subarray(0, Math.min(clusterSize, file.size - use.position)))
    this.#session.write(place.position, bytes)
    this.#entries.set(cluster, {
      position: place.position,
      copied: use.copied,
      allocated: use.allocated,
      zeroed: use.zeroed,
    })
    return clusterSize
  }

  /** The same for an L2 table. */
  moveTableDown(l1Index: number, limit: number): void {
    const { clusterSize } = this.#geometry
    const { tables, refcounts, metadata } = this.#session
    const position = tables.position(l1Index)
    if (position === undefined || position < limit * clusterSize || refcounts.count(position / clusterSize) !== 1)
      return
    const place = refcounts.allocateRowBelow(1, limit)
    if (place === undefined) return
    const table = tables.table(position, 0)
    refcounts.release(position, clusterSize)
    metadata.claim(`L2 table of L1 entry ${l1Index}`, place.position, 1)
    tables.add(
      l1Index,
      place.position,
      viewOf(Uint8Array.from(new Uint8Array(table.buffer, table.byteOffset, clusterSize))),
    )
  }
}
