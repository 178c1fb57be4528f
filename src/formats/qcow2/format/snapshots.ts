import { safeNumber, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, isImageError, printable, type ImageError } from '../../../errors.js'
import type { Header, TableLocation } from './header.js'
import { l1EntriesFor, maximumL1Bytes } from './layout.js'
import { snapshotEntry } from './structs.js'
import { hostName } from '../../../sys/host-fs.js'

/** An internal snapshot ("Snapshots"). Nothing of it has been checked but its own size. */
export interface Snapshot {
  readonly id: string
  readonly name: string
  /** Seconds since 1970. */
  readonly time: number
  /** Bytes of the disk when it was taken; undefined in old version 2 images, where it is the disk's size now. */
  readonly diskSize: bigint | undefined
  readonly vmStateSize: bigint
  readonly l1Position: bigint
  readonly l1Entries: number
  /** Where its entry begins in the file. */
  readonly position: number
  /** Bytes of the entry, and of its extra data. */
  readonly length: number
  readonly extraLength: number
}

const maximumSnapshots = 65536
const mending = 'vdisk repair leaves out the snapshots that cannot be read; the disk itself can be read as it is.'
const maximumExtraBytes = 1024
const maximumTableBytes = 64 * 1024 * 1024

/** Reads the snapshot table. @throws ImageError corrupt E_SNAPSHOT_TABLE, E_TRUNCATED. */
export function readSnapshots(store: ByteStore, header: Header): Snapshot[] {
  const { snapshots, fault } = readableSnapshots(store, header)
  if (fault !== undefined) throw fault
  return snapshots
}

/** The snapshots up to the first whose entry is damaged: the active disk needs none of them. */
export function readableSnapshots(
  store: ByteStore,
  header: Header,
): { readonly snapshots: Snapshot[]; readonly fault: ImageError | undefined } {
  const snapshots: Snapshot[] = []
  try {
    collectSnapshots(store, header, snapshots)
    return { snapshots, fault: undefined }
  } catch (error) {
    if (!isImageError(error) || error.kind !== 'corrupt') throw error
    return { snapshots, fault: error }
  }
}

function collectSnapshots(store: ByteStore, header: Header, snapshots: Snapshot[]): void {
  const { count } = header.snapshots
  const start = header.snapshots.position
  if (count === 0) return
  const bad = (message: string, position: number): ImageError =>
    corrupt('E_SNAPSHOT_TABLE', `${store.name}: ${message}`, { details: { position }, hint: mending })
  if (count > maximumSnapshots)
    throw bad(`nb_snapshots is ${count}, at most ${maximumSnapshots} are allowed (header byte 60)`, 60)
  if (start === 0 || start % header.geometry.clusterSize !== 0)
    throw bad(`there are ${count} snapshots, but their table is said to be at byte ${start} (header byte 64)`, 64)
  let position = start
  for (let index = 0; index < count; index++) {
    const fixed = readPart(store, position, snapshotEntry.size)
    const entry = snapshotEntry.read(fixed)
    if (entry.extraSize > maximumExtraBytes)
      throw bad(
        `snapshot ${index} at byte ${position} has ${entry.extraSize} bytes of extra data, at most ` +
          `${maximumExtraBytes} are allowed`,
        position,
      )
    const length = snapshotEntry.size + entry.extraSize + entry.idSize + entry.nameSize
    if (position + length - start > maximumTableBytes)
      throw bad(`the snapshot table is larger than ${maximumTableBytes} bytes`, position)
    const rest = readPart(store, position + snapshotEntry.size, length - snapshotEntry.size)
    const extra = viewOf(rest.subarray(0, entry.extraSize))
    const text = Buffer.from(rest.buffer, rest.byteOffset + entry.extraSize, entry.idSize + entry.nameSize)
    snapshots.push({
      id: hostName(text.subarray(0, entry.idSize)),
      name: hostName(text.subarray(entry.idSize)),
      time: entry.dateSeconds,
      vmStateSize: entry.extraSize >= 8 ? extra.getBigUint64(0) : BigInt(entry.vmStateSize),
      diskSize: entry.extraSize >= 16 ? extra.getBigUint64(8) : undefined,
      l1Position: entry.l1TableOffset,
      l1Entries: entry.l1Size,
      position,
      length,
      extraLength: entry.extraSize,
    })
    position += length + ((8 - (length % 8)) % 8)
  }
}

function readPart(store: ByteStore, position: number, length: number): Uint8Array {
  if (position + length > store.size) {
    throw corrupt(
      'E_TRUNCATED',
      `${store.name}: the snapshot table needs ${length} bytes at byte ${position}, but the file ends at byte ` +
        `${store.size}`,
      { details: { position, length, size: store.size }, hint: mending },
    )
  }
  const bytes = new Uint8Array(length)
  store.read(position, bytes)
  return bytes
}

/**
 * The disk as it was: size and L1 table of a snapshot, checked like the header's. @throws ImageError corrupt
 * E_SNAPSHOT_TABLE, E_TRUNCATED, E_TOO_LARGE.
 */
export function snapshotDisk(
  store: ByteStore,
  header: Header,
  snapshot: Snapshot,
): { readonly capacity: number; readonly l1: TableLocation } {
  const what = `${store.name}: snapshot ${printable(snapshot.id)}`
  const capacity =
    snapshot.diskSize === undefined ? header.capacity : safeNumber(snapshot.diskSize, `${what}: its disk size`)
  const l1 = snapshotL1(store, header, snapshot)
  const { entries } = l1
  const needed = l1EntriesFor(capacity, header.geometry)
  if (entries < needed)
    throw corrupt(
      'E_SNAPSHOT_TABLE',
      `${what} has an L1 table of ${entries} entries, too few for its disk of ${capacity} bytes, which needs ` +
        `${needed} (table entry at byte ${snapshot.position})`,
      { details: { position: snapshot.position } },
    )
  return { capacity, l1 }
}

/**
 * Where the L1 table of a snapshot lies. @throws ImageError corrupt E_SNAPSHOT_TABLE, E_TRUNCATED where it lies nowhere
 * in the file: nothing of the snapshot can be read then.
 */
export function snapshotL1(
  store: ByteStore,
  { geometry: { clusterSize } }: Header,
  { id, position: entry, l1Position, l1Entries: entries }: Snapshot,
): TableLocation {
  const what = `${store.name}: snapshot ${printable(id)}`
  const bad = (message: string): ImageError =>
    corrupt('E_SNAPSHOT_TABLE', `${what} ${message} (table entry at byte ${entry})`, {
      details: { position: entry },
      hint: mending,
    })
  if (entries * 8 > maximumL1Bytes)
    throw bad(`has an L1 table of ${entries} entries, more than the ${maximumL1Bytes / 8} that are allowed`)
  if (entries > 0 && (l1Position === 0n || l1Position % BigInt(clusterSize) !== 0n))
    throw bad(
      `has its L1 table at byte ${l1Position}, expected a multiple of the cluster size ${clusterSize} other than 0`,
    )
  if (entries > 0 && l1Position + BigInt(entries * 8) > BigInt(store.size)) {
    throw corrupt(
      'E_TRUNCATED',
      `${what}: its L1 table takes bytes ${l1Position} to ${l1Position + BigInt(entries * 8)}, but the file ends at ` +
        `byte ${store.size}`,
      { details: { position: l1Position, size: store.size }, hint: mending },
    )
  }
  return { position: entries === 0 ? 0 : Number(l1Position), entries }
}
