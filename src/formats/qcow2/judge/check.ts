import { ceilDivide } from '../../../binary/integers.js'
import { UseMap } from '../../../binary/use-map.js'
import { isZero } from '../../../binary/zero.js'
import type { CheckProgress, Finding } from '../../driver.js'
import { checkHeader, checkSnapshots, countOthers } from './check-others.js'
import { compareRefcounts, countRefcountBlocks, judge } from './check-refcounts.js'
import { TableCheck, type Telling } from './check-tables.js'
import { RefcountOnes } from './refcount-ones.js'
import { RefcountStore } from '../format/refcounts.js'
import { countUse, owner, type Anatomy } from '../format/use.js'

/** Memory for counting uses: 49 million clusters a round, 3 TiB of the usual size. */
export const countingBytes = 96 * 1024 * 1024

/**
 * Everything that is wrong with the structures of a QCOW2 file: who uses which cluster against the refcounts, the
 * entries of all
 * tables, snapshots, bitmaps. A file with more clusters than fit in memory is gone through in rounds.
 */
export function* checkQcow2(
  anatomy: Anatomy,
  deep: boolean,
  budget = countingBytes,
): Generator<Finding | CheckProgress> {
  const { store, header } = anatomy
  const stored = RefcountStore.of(store, header)
  const map = new UseMap(budget)
  const telling = { ones: new RefcountOnes(stored), deep }
  const total = ceilDivide(store.size, header.geometry.clusterSize)
  let done = 0
  const progress = (part: number): CheckProgress => {
    const [start, end] = [Math.min(map.start, total), Math.min(map.limit, total)]
    // A round may end earlier than it seemed at first: what was told is not taken back.
    done = Math.max(done, Math.floor(start + (end - start) * part))
    return { done, total }
  }
  yield* checkHeader(anatomy)
  yield* checkSnapshots(anatomy)
  for (let start = 0; start < total; start = map.limit) {
    map.begin(start)
    const first = start === 0
    for (const item of countAll(anatomy, map, stored, first ? telling : undefined))
      yield typeof item === 'number' ? progress(item * 0.8) : item
    for (const item of compareRefcounts(anatomy, map, stored)) {
      if (typeof item === 'number') yield progress(0.8 + item * 0.2)
      else yield* judge(item, anatomy, map, stored.maximum)
    }
    if (map.limit >= total) yield* checkTail(anatomy, map)
  }
}

/**
 * Fills a map with everything that uses clusters; tells what is wrong on the way when asked to.
 * @param how what to tell; nothing when left out, and `without refcounts` their own structures are not counted either.
 */
export function* countAll(
  anatomy: Anatomy,
  map: UseMap,
  stored: RefcountStore,
  how?: Telling | 'without refcounts',
): Generator<Finding | number> {
  const telling = how === 'without refcounts' ? undefined : how
  countUse(anatomy, map, { position: 0, length: anatomy.header.geometry.clusterSize, kind: owner.header })
  yield* new TableCheck(anatomy, map, telling).run()
  yield* countOthers(anatomy, map, telling !== undefined)
  if (how !== 'without refcounts') yield* countRefcountBlocks(anatomy, map, stored, telling !== undefined)
}

/** Bytes behind the last cluster that are not a whole one: QCOW2 programs leave none there. */
function* checkTail(
  {
    store,
    header: {
      geometry: { clusterSize },
    },
  }: Anatomy,
  map: UseMap,
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
