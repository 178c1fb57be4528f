import { UseMap } from '../../../binary/use-map.js'
import type { CheckProgress } from '../../driver.js'
import { countingBytes } from './check.js'
import { readTable } from '../format/header.js'
import { StoredRefcounts } from '../format/refcounts.js'
import { eachUse, ledTables } from '../format/snapshot-tables.js'
import { snapshotDisk, type Snapshot } from '../format/snapshots.js'
import { countUse, owner, type Anatomy } from '../format/use.js'

/**
 * Bytes of the clusters that nothing but one snapshot uses: those whose refcount is as high as the snapshot's own use
 * of them. A file with
 * more clusters than fit in memory is gone through in rounds. @throws ImageError corrupt
 */
export function* ownBytes(anatomy: Anatomy, snapshot: Snapshot): Generator<CheckProgress, number> {
  const { store, header } = anatomy
  const { clusterSize } = header.geometry
  const { l1 } = snapshotDisk(store, header, snapshot)
  const table = readTable(store, l1)
  const stored = new StoredRefcounts(store, header)
  const map = new UseMap(countingBytes)
  const total = l1.entries
  let own = 0
  for (let start = 0; start * clusterSize < store.size; start = map.limit) {
    map.begin(start)
    countUse(anatomy, map, { position: l1.position, length: l1.entries * 8, kind: owner.l1 })
    for (const led of ledTables(store, header, table, `snapshot ${snapshot.id}`)) {
      countUse(anatomy, map, { position: led.position, length: clusterSize, kind: owner.l2 })
      eachUse(store, header, led, ({ position, length, packed }) =>
        countUse(anatomy, map, { position, length, kind: packed ? owner.packed : owner.data }),
      )
      // Later rounds tell nothing new.
      yield { done: start === 0 ? led.l1Index : total, total }
    }
    let known: { readonly index: number; readonly block: DataView | undefined } | undefined
    for (let cluster = map.next(start); cluster < map.limit; cluster = map.next(cluster + 1)) {
      const uses = map.uses(cluster)
      if (uses === 0) continue
      const index = Math.floor(cluster / stored.perBlock)
      if (known?.index !== index) known = { index, block: stored.read(index) }
      if (stored.count(known.block, cluster - index * stored.perBlock) === uses) own += clusterSize
    }
  }
  return own
}
