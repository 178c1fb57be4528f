import fs from '../../sys/host-fs.js'
import type { BlockSource } from '../../block/types.js'
import { SliceSource } from '../../block/slice.js'
import { DiskStore } from '../../device/disk-store.js'
import { DeviceSource } from '../../device/source.js'
import type { Disk, DiskPartition, DiskPlatform, FoundDevice } from '../../device/types.js'
import { isImageError, printable, usage, type ImageError } from '../../errors.js'
import { readPartitionTable, selectPartition, type Partition, type PartitionTable } from '../../partition/index.js'
import { parseImageArgument } from '../open/opening.js'
import { shellWord } from '../../sys/shell-word.js'

/** A disk or a partition of one, as an argument named it. Positions are bytes of the disk. */
export interface NamedDevice {
  readonly kind: 'disk' | 'partition'
  /** As given: `/dev/sda`, `/dev/sda1`, `/dev/sda@1`. */
  readonly name: string
  /** The node by which it is opened; of a partition that the system does not show, its disk's. */
  readonly path: string
  readonly disk: Disk
  /** The system's partition, where it has one. */
  readonly device?: DiskPartition
  /** The table's entry of the partition, where it is known. */
  readonly entry?: Partition
  /** The disk's partition table; undefined where the disk cannot be read as a whole. */
  readonly table?: PartitionTable
  readonly start: number
  readonly size: number
}

/**
 * The disk or partition that an argument names: `/dev/sda`, `/dev/sda1`, `/dev/sda@1`, `/dev/sda@label=EFI`. The disk
 * is opened for
 * reading, to see its partition table.
 * @throws ImageError usage E_NOT_A_DEVICE, E_NO_PARTITION, E_NO_MEDIUM; those of opening the disk.
 */
export function findDevice(argument: string, platform: DiskPlatform): NamedDevice {
  const named = namedDevice(argument, platform)
  if (named.disk.size === 0) throw emptyDrive(named.disk)
  return named
}

function emptyDrive({ path }: Disk): ImageError {
  return usage('E_EMPTY_DRIVE', `there is no medium in ${path}`)
}

function namedDevice(argument: string, platform: DiskPlatform): NamedDevice {
  const { path, partition: selector } = parseImageArgument(argument)
  const { disk, partition: device } = findPath(path, platform)
  if (device !== undefined) {
    if (selector !== undefined)
      throw usage(
        'E_NOT_A_DISK',
        `${printable(argument)} names a partition of ${device.path}, which is a partition itself`,
        { hint: `Say ${device.path}, or ${disk.path}@${device.number}.` },
      )
    const table = tableIfReadable(disk)
    const entry = table?.partitions.find(({ start }) => start === device.start)
    return {
      kind: 'partition',
      name: argument,
      path,
      disk,
      device,
      start: device.start,
      size: device.size,
      entry,
      table,
    }
  }
  if (selector === undefined)
    return {
      kind: 'disk',
      name: argument,
      path,
      disk,
      start: 0,
      size: disk.size,
      table: tableIfReadable(disk),
    }
  if (disk.size === 0) throw emptyDrive(disk)
  const table = tableOf(disk)
  const entry = selectPartition(table, selector, disk.path)
  const own = disk.partitions.find(({ start, size }) => start === entry.start && size === entry.length)
  return {
    kind: 'partition',
    name: argument,
    path: own?.path ?? disk.path,
    disk,
    entry,
    table,
    start: entry.start,
    size: entry.length,
    device: own,
  }
}

/** A disk or partition that is to be written. What comes later asks it, and not the argument. */
export interface DeviceTarget extends FoundDevice {
  /** By which it was found, and is opened: `/dev/disk/by-id/…`. */
  readonly path: string
  /** What the system calls it: `/dev/sda1`. */
  readonly node: string
  /** Bytes. */
  readonly size: number
  /** With its partition table, as far as that can be read. */
  readonly named: NamedDevice
  /** What the system says of it by now. @throws ImageError usage E_NOT_A_DEVICE. */
  readonly now: () => FoundDevice
  /** Looks at all of its disk, which is closed afterwards. @throws ImageError those of opening the disk. */
  readonly readDisk: <Result>(read: (disk: BlockSource) => Result) => Result
}

/**
 * The disk or partition that is to be written. The argument is understood as that of {@link findDevice}; a partition
 * must be one that the system shows, and a drive may be empty.
 * @throws ImageError usage E_NOT_A_DEVICE, E_NO_PARTITION; those of opening the disk.
 */
export function findTarget(argument: string, platform: DiskPlatform): DeviceTarget {
  const named = namedDevice(argument, platform)
  const { disk, device } = named
  if (named.kind === 'partition' && device === undefined)
    throw usage(
      'E_NO_PARTITION',
      `the system shows no device for ${printable(argument)}, and so it cannot be written`,
      { hint: `Let the system read the table first: partx --add ${disk.path} (loop devices: losetup --partscan).` },
    )
  const { path } = named
  return {
    disk,
    partition: device,
    path,
    node: device?.path ?? disk.path,
    size: named.size,
    named,
    now: () => platform.find(path),
    readDisk: (read) => {
      using whole = openWhole(disk)
      return read(whole)
    },
  }
}

/** What the system knows of a named device; a partition that it does not show as its table has it. */
export function foundOf({ kind, name, disk, device, entry, start, size }: NamedDevice): FoundDevice {
  if (kind === 'disk') return { disk }
  const unknown = { name, path: name, deviceNumber: '', number: entry?.number ?? 0, readOnly: disk.readOnly, uses: [] }
  return { disk, partition: device ?? { ...unknown, start, size } }
}

function findPath(path: string, platform: DiskPlatform): FoundDevice {
  const stat = fs.statSync(path, { throwIfNoEntry: false })
  if (stat?.isFile() === true) {
    throw usage('E_NOT_A_DEVICE', `${printable(path)} is a file, no disk or partition of this machine`, {
      hint:
        `A file is converted with: vdisk convert ${shellWord(path)} TARGET\n` +
        `It is written to a disk with: vdisk restore ${shellWord(path)} DEVICE`,
    })
  }
  return platform.find(path)
}

/** Opens the whole disk to read its table. @throws ImageError */
function tableOf(disk: Disk): PartitionTable {
  using source = openWhole(disk)
  return readPartitionTable(source)
}

function tableIfReadable(disk: Disk): PartitionTable | undefined {
  if (disk.size === 0) return undefined
  try {
    return tableOf(disk)
  } catch (error) {
    // Somebody may have the right to a partition and not to the disk; a disk's first sectors may be bad.
    if (!isImageError(error)) throw error
    return undefined
  }
}

function openWhole(disk: Disk): DeviceSource {
  return new DeviceSource(DiskStore.open(disk.path, { size: disk.size, sectorSize: disk.logicalSectorSize }))
}

/** A device open for reading, and whether nobody else can mount it meanwhile. */
export interface OpenedDevice extends Disposable {
  readonly source: BlockSource
  readonly exclusive: boolean
}

/**
 * Opens what was named, past the page cache: exclusively where nothing uses it, so that it stays so.
 * @param exclusive whether to try. @throws ImageError target E_WRITE_PERMISSION; corrupt E_READ.
 */
export function openDevice({ disk, device, start, size }: NamedDevice, exclusive: boolean): OpenedDevice {
  const whole = device === undefined
  const path = device?.path ?? disk.path
  const options = { size: device?.size ?? disk.size, sectorSize: disk.logicalSectorSize }
  const { store, taken } = openStore(path, options, exclusive)
  const source = new DeviceSource(store)
  return {
    source: whole && size !== disk.size ? new SliceSource(source, start, size) : source,
    exclusive: taken,
    [Symbol.dispose]: () => source[Symbol.dispose](),
  }
}

function openStore(
  path: string,
  options: { readonly size: number; readonly sectorSize: number },
  exclusive: boolean,
): { readonly store: DiskStore; readonly taken: boolean } {
  if (exclusive) {
    try {
      return { store: DiskStore.open(path, { ...options, exclusive: true }), taken: true }
    } catch (error) {
      if (!isImageError(error) || error.code !== 'E_DEVICE_BUSY') throw error
    }
  }
  return { store: DiskStore.open(path, options), taken: false }
}
