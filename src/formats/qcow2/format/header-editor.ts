import type { ByteStore } from '../../../block/types.js'
import { headerV2, headerV3, headerV3Compression } from './structs.js'

/** What of a header is changed in an image that exists. Positions and sizes in bytes. */
export interface HeaderChanges {
  readonly size?: bigint
  readonly l1Size?: number
  readonly l1TableOffset?: bigint
  readonly refcountTableOffset?: bigint
  readonly refcountTableClusters?: number
  readonly nbSnapshots?: number
  readonly snapshotsOffset?: bigint
  readonly refcountOrder?: number
  readonly incompatibleFeatures?: bigint
  readonly autoclearFeatures?: bigint
}

/**
 * Rewrites the fixed part of the header. It lies within one sector: all changes of one call are there after a power
 * cut, or none.
 */
export function editHeader(store: ByteStore, changes: HeaderChanges): void {
  if (Object.keys(changes).length === 0) return
  const bytes = new Uint8Array(Math.min(store.size, headerV3Compression.size))
  store.read(0, bytes)
  if (headerV2.read(bytes).version === 2) {
    store.write(0, headerV2.write({ ...headerV2.read(bytes), ...changes }, bytes.slice(0, headerV2.size)))
    return
  }
  store.write(0, headerV3.write({ ...headerV3.read(bytes), ...changes }, bytes.slice(0, headerV3.size)))
}
