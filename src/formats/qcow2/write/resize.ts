import { ceilDivide, roundUp } from '../../../binary/integers.js'
import type { BlockSource } from '../../../block/types.js'
import { printable, reference, unsupported, usage } from '../../../errors.js'
import { ClusterMover } from './cluster-mover.js'
import type { ClusterWriter } from './cluster-writer.js'
import { l1EntriesFor, maximumL1Bytes } from '../format/layout.js'
import { readSnapshots } from '../format/snapshots.js'
import type { WriteSession } from './write-session.js'

/**
 * Gives the disk another capacity, a multiple of 512. The header's size is the last to change when it grows, and the
 * first when it
 * shrinks: what lies behind the disk's end is nobody's.
 * @throws ImageError usage E_SIZE; unsupported E_NO_RESIZE; reference E_PARENT_NEEDED
 */
export function resizeDisk(
  session: WriteSession,
  clusters: ClusterWriter,
  capacity: number,
  parent: BlockSource | undefined,
): void {
  refuse(session, capacity)
  session.commit()
  if (capacity < session.header.capacity) shrink(session, new ClusterMover(clusters.entries), capacity)
  else grow(session, clusters, capacity, parent)
}

function refuse({ file, header }: WriteSession, capacity: number): void {
  const most = (maximumL1Bytes / 8) * header.geometry.tableCoverage
  if (capacity > most)
    throw usage(
      'E_SIZE',
      `${file.name}: with clusters of ${header.geometry.clusterSize} bytes a QCOW2 holds at most ${most} ` +
        `bytes, not ${capacity}`,
      { hint: 'Convert it with a larger cluster-size.' },
    )
  // A snapshot that does not record its size has that of the disk.
  const bound = readSnapshots(file, header).find(({ diskSize }) => header.version === 2 || diskSize === undefined)
  if (bound !== undefined) {
    throw unsupported(
      'E_NO_RESIZE',
      `${file.name}: its snapshot ${printable(bound.id)} is of a version that takes the disk's size for its ` +
        'own: the disk cannot be resized',
      { hint: 'Delete the snapshots, or convert the image.' },
    )
  }
}

function grow(session: WriteSession, clusters: ClusterWriter, capacity: number, parent: BlockSource | undefined): void {
  const {
    header,
    header: {
      capacity: before,
      geometry: { clusterSize, tableCoverage },
    },
    tables,
  } = session
  if (header.backingFile !== undefined && parent === undefined) {
    throw reference(
      'E_PARENT_NEEDED',
      `${session.file.name}: the disk cannot grow without its parent, which is not open: what is added must ` +
        'hide the rest of a longer one',
    )
  }
  const needed = l1EntriesFor(capacity, header.geometry)
  if (needed > tables.place.entries) {
    moveL1(session, session.refcounts.allocateRow(ceilDivide(needed * 8, clusterSize)).position, needed)
    session.commit()
  }
  // What stands behind the old end, or shines through from a longer parent, is not to be seen.
  for (let offset = before; offset < capacity;) {
    const l1Index = Math.floor(offset / tableCoverage)
    const end = Math.min(capacity, (l1Index + 1) * tableCoverage)
    if (tables.position(l1Index) === undefined && offset >= (parent?.capacity ?? 0)) offset = end
    else offset += clusters.zero(offset, end - offset)
    session.relieve()
  }
  session.commit()
  session.edit({ size: BigInt(capacity) })
}

function shrink(session: WriteSession, clusters: ClusterMover, capacity: number): void {
  session.edit({ size: BigInt(capacity) })
  const {
    header: {
      geometry: { clusterSize, entriesPerTable, tableCoverage },
    },
    tables,
  } = session
  const first = Math.ceil(capacity / tableCoverage)
  for (let l1Index = first; l1Index < tables.place.entries; l1Index++) {
    clusters.clearTable(l1Index)
    session.relieve()
  }
  const cluster = Math.ceil(capacity / clusterSize)
  if (cluster < first * entriesPerTable && tables.position(first - 1) !== undefined)
    for (let at = cluster; at < first * entriesPerTable; at++) clusters.clear(at)
  session.commit()
}

/** Gives the L1 table another place, which is its own already, and maybe more entries. */
export function moveL1(session: WriteSession, position: number, entries: number): void {
  const {
    tables,
    refcounts,
    metadata,
    header: {
      geometry: { clusterSize },
    },
  } = session
  const old = tables.place
  metadata.claim('L1 table', position, entries * 8)
  tables.moveL1(position, entries)
  if (old.entries > 0) refcounts.release(old.position, roundUp(old.entries * 8, clusterSize))
}
