import type { Work, WorkProgress } from '../../../block/work.js'
import { ceilDivide } from '../../../binary/integers.js'
import { ReferenceMap } from '../../../binary/reference-map.js'
import { isZero } from '../../../binary/zero.js'
import type { Finding } from '../../driver.js'
import { checkHeader, checkSnapshots, countOthers } from './check-others.js'
import { compareRefcounts, countRefcountBlocks, judge } from './check-refcounts.js'
import { TableCheck, type Reporting } from './check-tables.js'
import { RefcountOnes } from './refcount-ones.js'
import { RefcountStore } from '../format/refcounts.js'
import { countClusters, owner, type ImageParts } from '../format/owners.js'

/** Memory for counting uses: 49 million clusters a round, 3 TiB of the usual size. */
export const countingBytes = 96 * 1024 * 1024

/**
 * Everything that is wrong with the structures of a QCOW2 file: who uses which cluster against the refcounts, the
 * entries of all
 * tables, snapshots, bitmaps. A file with more clusters than fit in memory is gone through in rounds.
 */
export function* checkQcow2(imageParts: ImageParts, deep: boolean, budget = countingBytes): Work<void, Finding> {
  const { store, header } = imageParts
  const stored = RefcountStore.of(store, header)
  const map = new ReferenceMap(budget)
  const reporting = { ones: new RefcountOnes(stored), deep }
  const total = ceilDivide(store.size, header.geometry.clusterSize)
  let done = 0
  const progress = (part: number): WorkProgress => {
    const [start, end] = [Math.min(map.start, total), Math.min(map.limit, total)]
    // A round may end earlier than it seemed at first: what was reported is not taken back.
    done = Math.max(done, Math.floor(start + (end - start) * part))
    return { done, total }
  }
  yield* checkHeader(imageParts)
  yield* checkSnapshots(imageParts)
  for (let start = 0; start < total; start = map.limit) {
    map.begin(start)
    const first = start === 0
    for (const item of countAll(imageParts, map, stored, first ? reporting : undefined))
      yield typeof item === 'number' ? progress(item * 0.8) : item
    for (const item of compareRefcounts(imageParts, map, stored)) {
      if (typeof item === 'number') yield progress(0.8 + item * 0.2)
      else yield* judge(item, imageParts, map, stored.maximum)
    }
    if (map.limit >= total) yield* checkTail(imageParts, map)
  }
}

/**
 * Fills a map with everything that uses clusters; reports what is wrong on the way when asked to.
 * @param how what to report; nothing when left out, and `without refcounts` their own structures are not counted
 * either.
 */
export function* countAll(
  imageParts: ImageParts,
  map: ReferenceMap,
  stored: RefcountStore,
  how?: Reporting | 'without refcounts',
): Generator<Finding | number> {
  const reporting = how === 'without refcounts' ? undefined : how
  countClusters(imageParts, map, { position: 0, length: imageParts.header.geometry.clusterSize, kind: owner.header })
  yield* new TableCheck(imageParts, map, reporting).run()
  yield* countOthers(imageParts, map, reporting !== undefined)
  if (how !== 'without refcounts') yield* countRefcountBlocks(imageParts, map, stored, reporting !== undefined)
}

/** Bytes behind the last cluster that are not a whole one: QCOW2 programs leave none there. */
function* checkTail(
  {
    store,
    header: {
      geometry: { clusterSize },
    },
  }: ImageParts,
  map: ReferenceMap,
): Generator<Finding> {
  const length = store.size % clusterSize
  const position = store.size - length
  if (length === 0 || map.uses(position / clusterSize) > 0) return
  const tail = new Uint8Array(length)
  store.read(position, tail)
  if (!isZero(tail))
    yield {
      severity: 'warning',
      code: 'W_TRAILING',
      structure: 'file',
      position,
      message: `${length} bytes behind the last cluster belong to nothing`,
    }
}
