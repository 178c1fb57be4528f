import type { ReferenceMap } from '../../../binary/reference-map.js'
import type { ByteStore } from '../../../block/types.js'
import type { ImageError } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import type { Header } from './header.js'
import type { Snapshot } from './snapshots.js'

/** An opened file as its check and its repair see it. */
export interface ImageParts {
  readonly store: ByteStore
  readonly header: Header
  /** Those that can be read; `snapshotFault` says why there are no more. */
  readonly snapshots: readonly Snapshot[]
  readonly snapshotFault?: ImageError
  /** Where data clusters are; undefined when an external data file was not opened. */
  readonly data: ByteStore | undefined
  /** Bytes that the header is about to lead to: counted as used already. */
  readonly planned?: { readonly position: number; readonly length: number }
}

/** Kinds of owners of clusters. */
export const owner = {
  header: 0,
  refcountTable: 1,
  refcountBlock: 2,
  l1: 3,
  l2: 4,
  data: 5,
  packed: 6,
  other: 7,
} as const
export const ownerNames = [
  'header',
  'refcount table',
  'refcount block',
  'L1 table',
  'L2 table',
  'data',
  'compressed data',
  'snapshot table, bitmaps or encryption header',
] as const
/** Kinds that several owners may share: of snapshots, and compressed data side by side. */
export const shareable: ReadonlySet<number> = new Set([owner.l2, owner.data, owner.packed])

/**
 * Counts the clusters of a structure as used. The last cluster of a file may lie partly behind its end.
 * @returns false when the structure passes the end of the file by a cluster or more; nothing is counted then.
 */
export function countClusters(
  { store, header }: ImageParts,
  map: ReferenceMap,
  region: { readonly position: number; readonly length: number; readonly kind: number; readonly times?: number },
): boolean {
  const { position, length, kind, times = 1 } = region
  if (length <= 0) return true
  const { clusterSize } = header.geometry
  if (position + length - store.size >= clusterSize) return false
  const first = Math.floor(position / clusterSize)
  map.addRun(first, Math.floor((position + length - 1) / clusterSize) + 1 - first, kind, times)
  return true
}

/** An error in the structure that stands at `position` in the file. */
export function damage(code: string, structure: string, position: number, message: string): Finding {
  return { severity: 'error', code, structure, position, message }
}
