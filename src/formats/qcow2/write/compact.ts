import type { Work } from '../../../block/work.js'
import { ceilDivide } from '../../../binary/integers.js'
import type { ClusterMover } from './cluster-mover.js'
import { moveL1 } from './resize.js'
import type { WriteSession } from './write-session.js'

/** Bytes that are copied between two commits. */
const copiedAtOnce = 64 * 1024 * 1024

/**
 * Moves what the active disk uses alone from the file's end into free clusters; the end is cut off when the session
 * ends. A cluster is
 * copied, then the entry that leads to the copy is committed, and only then its old place is free. What a snapshot
 * uses, and compressed
 * clusters, stay where they are. Gives how many L1 entries it has been through. The session has begun.
 */
export function* compactFile(session: WriteSession, clusters: ClusterMover): Work<void> {
  const {
    tables,
    refcounts,
    header: {
      geometry: { clusterSize, entriesPerTable },
    },
  } = session
  session.commit()
  session.commit()
  session.cutEnd()
  // When everything could be moved, this is where the file would end.
  const limit = refcounts.used()
  const total = tables.place.entries
  let copied = 0
  for (let l1Index = 0; l1Index < total; l1Index++) {
    if (tables.position(l1Index) === undefined) continue
    for (let cluster = l1Index * entriesPerTable; cluster < (l1Index + 1) * entriesPerTable; cluster++) {
      copied += clusters.moveDown(cluster, limit)
      if (copied < copiedAtOnce) continue
      session.commit()
      copied = 0
      yield { done: l1Index, total }
    }
    clusters.moveTableDown(l1Index, limit)
    session.relieve()
    yield { done: l1Index, total }
  }
  session.commit()
  const { place } = tables
  if (place.position >= limit * clusterSize && place.entries > 0) {
    const lower = refcounts.allocateRowBelow(ceilDivide(place.entries * 8, clusterSize), limit)
    if (lower !== undefined) moveL1(session, lower.position, place.entries)
  }
  session.commit()
  refcounts.moveTableDown(limit)
  session.commit()
  for (let index = refcounts.blocks.entries - 1; index >= 0; index--) refcounts.shrinkBlock(index, limit)
  session.commit()
  yield { done: total, total }
}
