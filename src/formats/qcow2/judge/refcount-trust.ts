import { ReferenceMap } from '../../../binary/reference-map.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints } from '../../../errors.js'
import { countAll, countingBytes } from './check.js'
import { compareRefcounts } from './check-refcounts.js'
import { readHeader } from '../format/header.js'
import { RefcountStore } from '../format/refcounts.js'
import { readSnapshots } from '../format/snapshots.js'

/**
 * Makes sure that nothing uses what refcounts call free: walks all tables of the file, once before space inside it is
 * used again.
 * @throws ImageError corrupt E_REFCOUNT
 */
export function trustRefcounts(store: ByteStore): void {
  const header = readHeader(store)
  const { clusterSize } = header.geometry
  const imageParts = { store, header, snapshots: readSnapshots(store, header), data: store }
  const stored = RefcountStore.of(store, header)
  const map = new ReferenceMap(countingBytes)
  for (let start = 0; start * clusterSize < store.size; start = map.limit) {
    map.begin(start)
    const counting = countAll(imageParts, map, stored)
    while (counting.next().done !== true) continue
    for (const found of compareRefcounts(imageParts, map, stored)) {
      if (typeof found === 'number' || found.stored >= found.uses || found.stored === stored.maximum) continue
      const position = found.cluster * clusterSize
      throw corrupt(
        'E_REFCOUNT',
        `${store.name}: the cluster at byte ${position} is used ${found.uses} times, but its refcount is ` +
          `${found.stored}: the image cannot be changed without damage`,
        {
          hint: hints.repair,
          details: { position },
        },
      )
    }
  }
}
