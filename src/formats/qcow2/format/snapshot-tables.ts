import { safeNumber, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { usage } from '../../../errors.js'
import type { Snapshot } from './snapshots.js'
import { snapshotEntry } from './structs.js'
import { nameBytes } from '../../../sys/host-fs.js'

/** The longest name that qemu shows whole, in bytes. */
const maximumSnapshotName = 255
const maximumSnapshots = 65536

/** A snapshot to be recorded. `time` in seconds since 1970; sizes and positions in bytes. */
export interface NewSnapshot {
  readonly id: string
  readonly name: string
  readonly time: number
  readonly capacity: number
  readonly l1Position: number
  readonly l1Entries: number
}

/**
 * The id of a snapshot to be made: as with qemu, the next number, unless another snapshot is named so. @throws
 * ImageError usage E_SNAPSHOT_NAME,
 * E_SNAPSHOT_EXISTS
 */
export function nextSnapshotId(snapshots: readonly Snapshot[], name: string, image: string): string {
  const length = nameBytes(name).length
  if (length === 0 || length > maximumSnapshotName || name.includes('\0'))
    throw usage(
      'E_SNAPSHOT_NAME',
      `the name of a snapshot has 1 to ${maximumSnapshotName} bytes and no NUL, this one has ${length} bytes`,
    )
  const same = snapshots.find((snapshot) => snapshot.name === name || snapshot.id === name)
  if (same !== undefined)
    throw usage(
      'E_SNAPSHOT_EXISTS',
      `${image} has a snapshot of the ${same.name === name ? 'name' : 'id'} ${JSON.stringify(name)} already`,
      { hint: 'Choose another name, or delete that snapshot first.' },
    )
  if (snapshots.length >= maximumSnapshots)
    throw usage('E_SNAPSHOT_EXISTS', `${image} has ${snapshots.length} snapshots, and more cannot be`)
  const numbers = snapshots.map(({ id }) => (/^\d{1,9}$/.test(id) ? Number(id) : 0))
  const names = new Set([...snapshots.map((snapshot) => snapshot.name), name])
  let next = numbers.reduce((most, number) => Math.max(most, number), 0) + 1
  // An id that is another's name would be ambiguous.
  while (names.has(String(next))) next++
  return String(next)
}

/** The bytes of a snapshot table: entries that are kept, as they stand, and maybe a new one. */
export function snapshotTable(store: ByteStore, kept: readonly Snapshot[], added?: NewSnapshot): Uint8Array {
  const entries = kept.map((snapshot) => storedEntry(store, snapshot))
  if (added !== undefined) entries.push(newEntry(added))
  return joinedEntries(entries)
}

/** The bytes of an entry as it stands. */
export function storedEntry(store: ByteStore, { position, length }: Snapshot): Uint8Array {
  const bytes = new Uint8Array(length)
  store.read(position, bytes)
  return bytes
}

/** An entry with the extra data that version 3 asks for. @param capacity the size of the disk, in bytes. */
export function withDiskSize(entry: Uint8Array, { vmStateSize, extraLength }: Snapshot, capacity: number): Uint8Array {
  const extra = new Uint8Array(16)
  viewOf(extra).setBigUint64(0, vmStateSize)
  viewOf(extra).setBigUint64(8, BigInt(capacity))
  const fixed = snapshotEntry.write({ ...snapshotEntry.read(entry), extraSize: extra.length })
  return Buffer.concat([fixed, extra, entry.subarray(snapshotEntry.size + extraLength)])
}

/** Entries as a table: each but the last fills whole groups of eight bytes. */
export function joinedEntries(entries: readonly Uint8Array[]): Uint8Array {
  const padded = entries.flatMap((bytes, index) =>
    index === entries.length - 1 ? [bytes] : [bytes, new Uint8Array((8 - (bytes.length % 8)) % 8)],
  )
  return Buffer.concat(padded)
}

/** With the extra data that version 3 asks for: the 64-bit size of the VM state, and the size of the disk. */
function newEntry({ id, name, time, capacity, l1Position, l1Entries }: NewSnapshot): Uint8Array {
  const [idText, nameText] = [nameBytes(id), nameBytes(name)]
  const extra = new Uint8Array(16)
  viewOf(extra).setBigUint64(8, BigInt(safeNumber(BigInt(capacity), 'the capacity')))
  const fixed = snapshotEntry.write({
    l1TableOffset: BigInt(l1Position),
    l1Size: l1Entries,
    idSize: idText.length,
    nameSize: nameText.length,
    dateSeconds: time,
    dateNanoseconds: 0,
    vmClock: 0n,
    vmStateSize: 0,
    extraSize: extra.length,
  })
  return Buffer.concat([fixed, extra, idText, nameText])
}
