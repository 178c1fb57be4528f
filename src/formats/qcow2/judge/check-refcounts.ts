import { ceilDivide } from '../../../binary/integers.js'
import type { ReferenceMap } from '../../../binary/reference-map.js'
import { isZero } from '../../../binary/zero.js'
import type { Finding } from '../../driver.js'
import type { RefcountStore } from '../format/refcounts.js'
import { countClusters, damage, owner, ownerNames, shareable, type ImageParts } from '../format/owners.js'

/** Counts the refcount table and its blocks; reports, when asked to, which entries of the table are wrong. */
export function* countRefcountBlocks(
  imageParts: ImageParts,
  map: ReferenceMap,
  stored: RefcountStore,
  reports: boolean,
): Generator<Finding> {
  const {
    header: {
      refcountTable,
      geometry: { clusterSize },
    },
    store,
  } = imageParts
  countClusters(imageParts, map, {
    position: refcountTable.position,
    length: refcountTable.entries * 8,
    kind: owner.refcountTable,
  })
  for (let index = 0; index < stored.entries; index++) {
    const place = stored.place(index)
    const report = (message: string): Finding =>
      damage('E_REFCOUNT_TABLE', `refcount table entry ${index}`, refcountTable.position + index * 8, message)
    if (stored.hasReservedBits(index)) {
      if (reports) yield report('has reserved bits set')
    } else if (place.kind === 'unaligned') {
      if (reports) yield report(`leads to byte ${place.position}, which begins no cluster`)
    } else if (place.kind === 'outside') {
      if (reports) yield report(`leads to byte ${place.position}, but the file ends at byte ${store.size}`)
    } else if (place.kind === 'block')
      countClusters(imageParts, map, { position: place.position, length: clusterSize, kind: owner.refcountBlock })
  }
}

/** A cluster whose refcount and use do not go together, or that has owners which cannot share it. */
export interface Difference {
  readonly cluster: number
  /** The refcount that is stored. */
  readonly stored: number
  readonly uses: number
  /** Whether a refcount block is there to hold another. */
  readonly block: boolean
}

/** Numbers that it gives are how far it is, from 0 to 1. */
export function* compareRefcounts(
  { store, header }: ImageParts,
  map: ReferenceMap,
  stored: RefcountStore,
): Generator<Difference | number> {
  const { clusterSize } = header.geometry
  // A structure that begins where no cluster does may reach into one behind the file's last.
  const clusters = ceilDivide(store.size, clusterSize)
  const end = Math.min(map.limit, map.uses(clusters) > 0 ? clusters + 1 : clusters)
  const { perBlock } = stored
  for (let index = Math.floor(map.start / perBlock); index * perBlock < end; index++) {
    const first = Math.max(index * perBlock, map.start)
    const last = Math.min((index + 1) * perBlock, end)
    const place = stored.place(index)
    // Nothing can be said of clusters whose refcounts are nowhere; that the table is wrong there was reported.
    if (place.kind === 'unaligned') continue
    const used = map.next(first)
    if (place.kind !== 'block' && used >= last) {
      if (index < stored.entries) continue
      if (used === Infinity) break
      index = Math.floor(used / perBlock) - 1
      continue
    }
    const block = stored.get(index)
    yield (first - map.start) / (end - map.start)
    if (block !== undefined && used >= last && isZero(new Uint8Array(block.view.buffer))) continue
    for (let cluster = first; cluster < last; cluster++) {
      const count = stored.countIn(block, cluster - index * perBlock)
      const uses = map.uses(cluster)
      if (count !== uses || uses > 1) yield { cluster, stored: count, uses, block: block !== undefined }
    }
  }
}

/** Reading refuses a disk that maps the same clusters again and again: it claims more than the file holds. */
const sharedOnPurpose = 64

/** What a difference says; nothing where several may use the cluster and its refcount knows it. */
export function* judge(
  difference: Difference,
  imageParts: ImageParts,
  map: ReferenceMap,
  maximum: number,
): Generator<Finding> {
  const { cluster, stored, uses, block } = difference
  const position = cluster * imageParts.header.geometry.clusterSize
  const structure = `cluster ${cluster}`
  const kinds = map.kinds(cluster)
  const names = kinds.map((kind) => ownerNames[kind] ?? '').join(' and ')
  for (const message of overlaps(kinds, names, uses, imageParts))
    yield damage('E_OVERLAP', structure, position, message)
  if (uses > maximum)
    yield damage(
      'E_REFCOUNT_OVERFLOW',
      structure,
      position,
      `is used ${uses} times (${names}), more than the ${maximum} that its refcount can hold`,
    )
  const wanted = Math.min(uses, maximum)
  if (stored < wanted && !block)
    yield damage('E_REFCOUNT_MISSING', structure, position, `is used (${names}), but no refcount block counts it`)
  else if (stored < wanted)
    yield damage(
      'E_REFCOUNT',
      structure,
      position,
      `has a refcount of ${stored}, but is used ${times(uses)} (${names}): the next write may put something else there`,
    )
  else if (stored > wanted)
    yield {
      severity: 'leak',
      code: 'L_REFCOUNT',
      structure,
      position,
      message:
        uses === 0
          ? `has a refcount of ${stored}, but nothing uses it`
          : `has a refcount of ${stored}, but is used ${times(uses)} only`,
    }
}

/** Why owners of these kinds cannot use a cluster together. */
function* overlaps(
  kinds: readonly number[],
  names: string,
  uses: number,
  { snapshots, snapshotFault }: ImageParts,
): Generator<string> {
  // Each disk in the image has one use for a table or a cluster of data. A few more may be shared on purpose.
  const isShared = kinds.length === 1 && (kinds[0] === owner.l2 || kinds[0] === owner.data)
  if (isShared && snapshotFault === undefined && uses > snapshots.length + 1 + sharedOnPurpose)
    yield `is ${names} in ${uses} places, more than there are disks in the image (${snapshots.length + 1})`
  if (uses > 1 && kinds.length > 1) yield `is ${names} at the same time`
  else if (uses > 1 && kinds.some((kind) => !shareable.has(kind)))
    yield `is part of ${uses} structures at the same time (${names})`
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`
}
