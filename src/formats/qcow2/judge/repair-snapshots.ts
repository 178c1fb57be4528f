import type { Work } from '../../../block/work.js'
import { ceilDivide } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { isImageError, printable, unsupported, type ImageError } from '../../../errors.js'
import type { RepairAction } from '../../driver.js'
import type { Header } from '../format/header.js'
import { joinedEntries, storedEntry, withDiskSize } from '../format/snapshot-tables.js'
import { snapshotL1, type Snapshot } from '../format/snapshots.js'
import type { ImageParts } from '../format/owners.js'
import { changeHeader } from './repair-header.js'
import { mendRefcounts } from './repair-refcounts.js'

/** Bytes of extra data that version 3 asks for: the size of the VM state in 64 bits, and that of the disk. */
const neededExtra = 16

/**
 * Leaves out the snapshots of which nothing can be read: those whose entries are damaged, and those whose L1 table lies
 * nowhere. Their disks are lost already; what only they used becomes free. Entries of version 3 get the extra data that
 * is asked for. A power cut leaves the old snapshot table or the new one. Gives whether anything was done.
 */
export function* mendSnapshots(imageParts: ImageParts, budget: number): Work<boolean, RepairAction> {
  const { store, header, snapshots, snapshotFault } = imageParts
  const lost = new Map(
    snapshots.flatMap((snapshot) => {
      const fault = l1Fault(store, header, snapshot)
      return fault === undefined ? [] : [[snapshot, fault] as const]
    }),
  )
  const kept = snapshots.filter((snapshot) => !lost.has(snapshot))
  const short = header.version >= 3 ? kept.filter(({ extraLength }) => extraLength < neededExtra) : []
  if (snapshotFault === undefined && lost.size === 0 && short.length === 0) return false
  if (short.length === 0 && kept.every((snapshot, index) => snapshot === snapshots[index]))
    changeHeader(imageParts, kept.length === 0 ? { nbSnapshots: 0, snapshotsOffset: 0n } : { nbSnapshots: kept.length })
  else yield* replaceTable(imageParts, kept, short, budget)
  if (snapshotFault !== undefined) yield unreadable(snapshotFault.code, header.snapshots.count - snapshots.length)
  for (const [{ id, name, position }, { code }] of lost)
    yield {
      code,
      structure: `snapshot ${printable(id)}`,
      position,
      message: `leave out the snapshot "${printable(name)}", whose L1 table lies nowhere in the file: its disk is lost`,
    }
  if (short.length > 0)
    yield {
      code: 'E_SNAPSHOT_TABLE',
      structure: 'snapshot table',
      position: short[0]?.position,
      message:
        `record the size of the disk in ${short.length === 1 ? '1 snapshot' : `${short.length} snapshots`}, as ` +
        `version 3 asks for: that of the disk now, ${header.capacity} bytes`,
    }
  return true
}

function unreadable(code: string, count: number): RepairAction {
  return {
    code,
    structure: 'snapshot table',
    position: 60,
    message:
      `leave out ${count === 1 ? 'the snapshot' : `the ${count} snapshots`} whose entries cannot be read: what only ` +
      `${count === 1 ? 'it' : 'they'} held is lost`,
  }
}

function l1Fault(store: ByteStore, header: Header, snapshot: Snapshot): ImageError | undefined {
  try {
    snapshotL1(store, header, snapshot)
    return undefined
  } catch (error) {
    if (!isImageError(error)) throw error
    return error
  }
}

/** Puts a new table behind the end of the file, counts its clusters as used, and leads the header to it. */
function* replaceTable(
  imageParts: ImageParts,
  kept: readonly Snapshot[],
  short: readonly Snapshot[],
  budget: number,
): Work<void, RepairAction> {
  const { store, header } = imageParts
  const { clusterSize } = header.geometry
  if (!store.growable)
    throw unsupported(
      'E_NOT_GROWABLE',
      `${store.name}: its snapshot table must be made anew behind its end, and it cannot grow`,
      { hint: 'Repair a copy of it: --output FILE.' },
    )
  const table = joinedEntries(
    kept.map((snapshot) => {
      const entry = storedEntry(store, snapshot)
      return short.includes(snapshot) ? withDiskSize(entry, snapshot, header.capacity) : entry
    }),
  )
  const position = ceilDivide(store.size, clusterSize) * clusterSize
  const clusters = new Uint8Array(ceilDivide(table.length, clusterSize) * clusterSize)
  clusters.set(table)
  store.write(position, clusters)
  store.flush()
  // Uses that nothing counts yet are an error, counted ones without a use are a leak: the count goes first.
  yield* mendRefcounts({ ...imageParts, planned: { position, length: table.length } }, { budget, keepLeaks: true })
  changeHeader(imageParts, { nbSnapshots: kept.length, snapshotsOffset: BigInt(position) })
}
