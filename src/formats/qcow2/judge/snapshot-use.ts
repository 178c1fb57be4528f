import { ReferenceMap } from '../../../binary/reference-map.js'
import type { Work } from '../../../block/work.js'
import { countingBytes } from './check.js'
import type { L1Entry } from '../format/entries.js'
import { RefcountStore } from '../format/refcounts.js'
import { eachReference, leads, walkTables } from '../format/table-walk.js'
import { snapshotDisk, type Snapshot } from '../format/snapshots.js'
import { countClusters, owner, type ImageParts } from '../format/owners.js'

/**
 * Bytes of the clusters that nothing but one snapshot uses: those whose refcount is as high as the snapshot's own use
 * of them. A file with
 * more clusters than fit in memory is gone through in rounds. @throws ImageError corrupt
 */
export function* ownBytes(imageParts: ImageParts, snapshot: Snapshot): Work<number> {
  const { store, header } = imageParts
  const { clusterSize } = header.geometry
  const { l1 } = snapshotDisk(store, header, snapshot)
  const what = `snapshot ${snapshot.id}`
  const stored = RefcountStore.of(store, header)
  const map = new ReferenceMap(countingBytes)
  const total = l1.entries
  let own = 0
  for (let start = 0; start * clusterSize < store.size; start = map.limit) {
    map.begin(start)
    countClusters(imageParts, map, { position: l1.position, length: l1.entries * 8, kind: owner.l1 })
    const follow = (entry: L1Entry, index: number): boolean => leads(entry, index, imageParts, what)
    for (const table of walkTables(
      imageParts,
      [{ position: l1.position, entries: l1.entries, times: 1, of: what }],
      follow,
    )) {
      if (table === undefined) continue
      const { times } = table
      countClusters(imageParts, map, { position: table.position, length: clusterSize, kind: owner.l2, times })
      eachReference(imageParts, table, ({ position, length, packed }) =>
        countClusters(imageParts, map, { position, length, kind: packed ? owner.packed : owner.data, times }),
      )
      // Later rounds report nothing new.
      yield { done: start === 0 ? Math.floor((table.walked / table.total) * total) : total, total }
    }
    for (let cluster = map.next(start); cluster < map.limit; cluster = map.next(cluster + 1)) {
      const uses = map.uses(cluster)
      if (uses === 0) continue
      if (stored.count(cluster) === uses) own += clusterSize
    }
  }
  return own
}
