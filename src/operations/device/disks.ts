import { thisMachine } from '../in-use/machine.js'
import { DiskStore } from '../../device/disk-store.js'
import { objections } from '../../device/safety.js'
import { DeviceSource } from '../../device/source.js'
import type { DeviceUse, Disk, DiskPartition, DiskPlatform, Holder } from '../../device/types.js'
import { isImageError, stopIfAborted } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { BlockSource, Note } from '../../block/types.js'
import {
  openPartition,
  readPartitionTable,
  type Partition,
  type PartitionTable,
  type TableScheme,
} from '../../partition/index.js'
import { currentUser } from '../../sys/self.js'
import { problem, type Problem } from '../inspect/info.js'

export interface DisksOptions {
  /** Also what is no disk of its own: loops, LVM and LUKS volumes, RAID, memory, network. */
  readonly all?: boolean
  /** Opens the disks (read-only) to see which partitions and filesystems they hold; default yes. */
  readonly look?: boolean
  /** The disks of another machine than this one: a recorded one's. */
  readonly platform?: DiskPlatform
  /** Looked at between two disks. */
  readonly signal?: AbortSignal
}

/** What a partition or disk holds, by our own reading. */
export interface HeldFilesystem {
  readonly type: string
  readonly title: string
  readonly label?: string
  readonly uuid?: string
}

export interface ListedPartition {
  readonly number: number
  /** As other commands take it: `/dev/sda1`; `/dev/sda@1` where the system has no device for it. */
  readonly path: string
  /** Whether the system has a device for it. */
  readonly device: boolean
  /** Bytes. */
  readonly start: number
  readonly size: number
  readonly type?: string
  readonly label?: string
  readonly uuid?: string
  readonly filesystems: readonly HeldFilesystem[]
  readonly uses: readonly DeviceUse[]
}

export interface ListedDisk extends Omit<Disk, 'partitions'> {
  readonly table?: { readonly scheme: TableScheme; readonly diskId?: string }
  readonly partitions: readonly ListedPartition[]
  /** What starts at the disk's first byte, where it has no partitions. */
  readonly filesystems: readonly HeldFilesystem[]
  /** Why its content could not be looked at. */
  readonly unreadable?: Problem
  /** Whether restoring to it is refused by no guard, and why it is. */
  readonly writable: { readonly allowed: boolean; readonly reasons: readonly string[] }
}

export interface DisksResult {
  readonly disks: readonly ListedDisk[]
  /** How many block devices were left out for want of `all`. */
  readonly hidden: number
  readonly notes: readonly Note[]
}

/** Partitions beyond this are listed by the system's own account only. */
const mostPartitions = 256

/** The disks of this machine, what they hold, who uses them, and whether one may write to them. Nothing is written. */
// eslint-disable-next-line @typescript-eslint/require-await -- a promise for its callers, whatever opening needs
export async function disks(options: DisksOptions = {}): Promise<DisksResult> {
  const platform = options.platform ?? thisMachine()
  const found = platform.list()
  const shown = options.all === true ? found : found.filter(({ kind }) => kind === 'disk' || kind === 'optical')
  const listed = shown.map((disk) => {
    stopIfAborted(options.signal)
    const holders = holdersOf(platform, disk)
    return options.look === false ? listDisk(disk, undefined, holders) : look(disk, holders)
  })
  const denied = listed.filter(({ unreadable }) => unreadable?.code === 'E_PERMISSION')
  return {
    disks: listed,
    hidden: found.length - shown.length,
    notes:
      denied.length === 0
        ? []
        : [
            {
              code: 'W_NOT_ROOT',
              message:
                `the content of ${denied.map(({ path }) => path).join(', ')} may not be read: what the ` +
                (currentUser().isRoot ? 'partitions hold is not shown' : 'partitions hold is shown to root only'),
            },
          ],
  }
}

interface Content {
  readonly table: PartitionTable
  readonly source: BlockSource
}

function holdersOf(platform: DiskPlatform, { path }: Disk): readonly Holder[] {
  const trail = platform.trail?.(path, 'write')
  return trail === undefined ? [] : (platform.holders?.(trail) ?? [])
}

function look(disk: Disk, holders: readonly Holder[]): ListedDisk {
  if (disk.size === 0) return listDisk(disk, undefined, holders)
  try {
    using source = new DeviceSource(DiskStore.open(disk.path, { size: disk.size, sectorSize: disk.logicalSectorSize }))
    return listDisk(disk, { source, table: readPartitionTable(source) }, holders)
  } catch (error) {
    // A disk that cannot be read is still a disk of this machine.
    if (!isImageError(error)) throw error
    return { ...listDisk(disk, undefined, holders), unreadable: problem(error) }
  }
}

function listDisk(disk: Disk, content: Content | undefined, holders: readonly Holder[]): ListedDisk {
  const { partitions: known, ...rest } = disk
  const reasons = objections(disk, undefined, holders).map(({ reason }) => reason)
  const table = content?.table
  return {
    ...rest,
    table: table === undefined ? undefined : { scheme: table.scheme, diskId: table.diskId },
    partitions:
      content === undefined
        ? known.map((each) => listPartition(disk, each, undefined, content))
        : merged(disk, content),
    filesystems:
      content === undefined || (table !== undefined && table.partitions.length > 0) ? [] : held(content.source),
    writable: { allowed: reasons.length === 0, reasons },
  }
}

/** The system's partitions and the table's: the same where they start at the same byte. */
function merged(disk: Disk, content: Content): ListedPartition[] {
  const rest = [...disk.partitions]
  const listed = content.table.partitions.slice(0, mostPartitions).map((partition) => {
    const index = rest.findIndex(({ start }) => start === partition.start)
    const [own] = index < 0 ? [] : rest.splice(index, 1)
    return listPartition(disk, own, partition, content)
  })
  return [...listed, ...rest.map((each) => listPartition(disk, each, undefined, content))].sort(
    (a, b) => a.number - b.number,
  )
}

// eslint-disable-next-line complexity -- every field comes from the system, or from the table, or from neither
function listPartition(
  disk: Disk,
  own: DiskPartition | undefined,
  partition: Partition | undefined,
  content: Content | undefined,
): ListedPartition {
  const number = own?.number ?? partition?.number ?? 0
  return {
    number,
    path: own?.path ?? `${disk.path}@${number}`,
    device: own !== undefined,
    start: own?.start ?? partition?.start ?? 0,
    size: own?.size ?? partition?.length ?? 0,
    type: partition?.type.name,
    label: partition?.label,
    uuid: partition?.uuid,
    filesystems:
      partition === undefined || content === undefined || partition.role === 'extended'
        ? []
        : heldBy(content.source, partition),
    uses: own?.uses ?? [],
  }
}

function heldBy(source: BlockSource, partition: Partition): HeldFilesystem[] {
  try {
    return held(openPartition(source, partition, 'the disk'))
  } catch (error) {
    // One that leaves the disk, or that cannot be read: the others are shown.
    if (!isImageError(error)) throw error
    return []
  }
}

function held(volume: BlockSource): HeldFilesystem[] {
  return identifyFilesystems(volume).map(({ type, title, label, uuid }) => ({
    type,
    title,
    label,
    uuid,
  }))
}
