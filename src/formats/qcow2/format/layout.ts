import { ceilDivide } from '../../../binary/integers.js'

/** Sizes that follow from the cluster size: pure arithmetic, bytes and counts. */
export interface Geometry {
  readonly clusterBits: number
  readonly clusterSize: number
  /** Bytes of one L2 entry: 8, or 16 when extended. */
  readonly entrySize: number
  readonly entriesPerTable: number
  /** Guest bytes that one L2 table maps. */
  readonly tableCoverage: number
  /** Guest bytes of the smallest unit with a status of its own: a cluster, or a subcluster. */
  readonly grain: number
}

/** The largest L1 table: 32 MiB, as in qemu. */
export const maximumL1Bytes = 32 * 1024 * 1024
/** The largest refcount table: 8 MiB, as in qemu. */
export const maximumRefcountTableBytes = 8 * 1024 * 1024
export const minimumClusterBits = 9
export const maximumClusterBits = 21
/** Subclusters of less than a sector cannot be: 32 of 512 bytes. */
export const minimumExtendedClusterBits = 14
export const subclustersPerCluster = 32
/** The longest name of a backing file in bytes. */
export const maximumNameBytes = 1023

export function geometryOf(clusterBits: number, extended: boolean): Geometry {
  const clusterSize = 2 ** clusterBits
  const entrySize = extended ? 16 : 8
  const entriesPerTable = clusterSize / entrySize
  return {
    clusterBits,
    clusterSize,
    entrySize,
    entriesPerTable,
    tableCoverage: entriesPerTable * clusterSize,
    grain: extended ? clusterSize / subclustersPerCluster : clusterSize,
  }
}

/** How many L1 entries a disk of `capacity` bytes needs. */
export function l1EntriesFor(capacity: number, geometry: Geometry): number {
  return ceilDivide(capacity, geometry.tableCoverage)
}

/** How many clusters the last refcount blocks and the refcount table take, when `used` clusters precede them. */
export interface RefcountPlan {
  /** Refcount blocks still to be written. */
  readonly blocks: number
  /** Clusters of the refcount table. */
  readonly tableClusters: number
  readonly totalClusters: number
}

/**
 * The refcount structures count themselves: the smallest plan that covers `used` clusters, the blocks still missing and
 * the table.
 * `written` blocks exist already and are among the used.
 */
export function planRefcounts(
  used: number,
  written: number,
  clusterSize: number,
  entriesPerBlock: number,
): RefcountPlan {
  let totalClusters = used
  for (;;) {
    const blocks = Math.max(0, ceilDivide(totalClusters, entriesPerBlock) - written)
    const tableClusters = Math.max(1, ceilDivide((written + blocks) * 8, clusterSize))
    const total = used + blocks + tableClusters
    if (total === totalClusters) return { blocks, tableClusters, totalClusters }
    totalClusters = total
  }
}
