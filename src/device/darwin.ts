import fs from '../sys/host-fs.js'
import { parsePlist, type PlistValue } from '../binary/plist.js'
import { printable, unsupported, usage } from '../errors.js'
import { runTool, type RunTool } from './commands.js'
import { systemLookup } from './place.js'
import { ToolOutput } from './tool-output.js'
import type { DeviceUse, Disk, DiskKind, DiskPartition, DiskPlatform, FoundDevice, Place } from './types.js'

/** How paths are looked at: the real system's way, or a recorded one's. */
export interface DarwinLookup {
  /** The nearest existing path at or above it, links resolved. */
  real(path: string): string
  /** What distinguishes the filesystem of a path. */
  filesystem(path: string): number | undefined
}

const systemPaths: DarwinLookup = {
  real: (path) => systemLookup.real(path),
  filesystem: (path) => fs.statSync(path, { throwIfNoEntry: false })?.dev,
}

/** A mounted volume: what it is, and the whole device that it is listed with. */
interface Volume {
  readonly point: string
  readonly device: string
  readonly whole: string
}

/** How diskutil calls buses, and how we do. */
const buses: Readonly<Record<string, string>> = {
  USB: 'usb',
  SATA: 'ata',
  ATA: 'ata',
  PCI: 'nvme',
  'PCI-Express': 'nvme',
  NVMe: 'nvme',
  'Apple Fabric': 'nvme',
  'Secure Digital': 'mmc',
  SAS: 'sas',
  'Fibre Channel Interface': 'fc',
  Thunderbolt: 'thunderbolt',
  FireWire: 'firewire',
  'Disk Image': 'virtual',
  'Virtual Interface': 'virtual',
}

/**
 * Disks of macOS, as `diskutil list -plist` and `diskutil info -plist` describe them. An APFS container is a device of
 * its own, over the
 * partitions that hold it; its volumes are listed as its partitions. Never run on a real Mac (docs/disks.md).
 */
export class DarwinDisks implements DiskPlatform {
  readonly #run: RunTool
  readonly #lookup: DarwinLookup

  constructor(run: RunTool = runTool, lookup: DarwinLookup = systemPaths) {
    this.#run = run
    this.#lookup = lookup
  }

  list(): Disk[] {
    const listing = this.#diskutil('list')
    const stores = storesOf(listing)
    const system = systemReasons(listing, stores)
    return listing.list('AllDisksAndPartitions').flatMap((entry) => {
      const name = entry.text('DeviceIdentifier')
      return name === undefined ? [] : [this.#disk(name, entry, stores, system.get(name) ?? [])]
    })
  }

  find(path: string): FoundDevice {
    const [, name, whole] = /^\/dev\/r?((disk\d+)(?:s\d+)*)$/.exec(path) ?? []
    const disk = whole === undefined ? undefined : this.list().find((each) => each.name === whole)
    const partition = disk?.partitions.find((each) => each.name === name)
    if (disk === undefined || (partition === undefined && name !== whole))
      throw usage('E_NOT_A_DEVICE', `${printable(path)} is no disk or partition of this machine`, {
        hint: '"vdisk disks" lists them.',
      })
    return partition === undefined ? { disk } : { disk, partition }
  }

  place(path: string): Place {
    const listing = this.#diskutil('list')
    const stores = storesOf(listing)
    const [, given] = /^\/dev\/r?(disk\d+)(?:s\d+)*$/.exec(path) ?? []
    if (given !== undefined) return { disks: wholeDisks(given, stores), elsewhere: [], unknown: [] }
    const real = this.#lookup.real(path)
    const filesystem = this.#lookup.filesystem(real)
    const volume =
      filesystem === undefined
        ? undefined
        : volumesOf(listing).find(({ point }) => this.#lookup.filesystem(point) === filesystem)
    if (volume === undefined)
      return {
        disks: [],
        elsewhere: [],
        unknown: [`${real} lies in no volume that diskutil lists: on a server, or in a disk image`],
      }
    return { disks: wholeDisks(volume.whole, stores), elsewhere: [], unknown: [] }
  }

  #diskutil(verb: string, ...args: readonly string[]): ToolOutput {
    return new ToolOutput(plistOf(this.#run('/usr/sbin/diskutil', [verb, '-plist', ...args])))
  }

  #disk(
    name: string,
    entry: ToolOutput,
    stores: ReadonlyMap<string, readonly string[]>,
    system: readonly string[],
  ): Disk {
    const info = this.#diskutil('info', name)
    const [bus, model] = [info.text('BusProtocol'), info.text('MediaName')]
    const sector = info.number('DeviceBlockSize') || 512
    const point = entry.text('MountPoint')
    return {
      kind: kindOf(info, stores.has(name)),
      name,
      path: `/dev/${name}`,
      deviceNumber: '',
      size: info.number('TotalSize') || entry.number('Size'),
      model,
      bus: bus === undefined ? undefined : (buses[bus] ?? bus.toLowerCase()),
      removable: info.flag('RemovableMediaOrExternalDevice') ?? info.flag('RemovableMedia') ?? false,
      readOnly: info.flag('WritableMedia') === false,
      rotational: info.flag('SolidState') === false,
      discards: false,
      logicalSectorSize: sector,
      physicalSectorSize: sector,
      slaves: stores.get(name) ?? [],
      uses: [...(point === undefined ? [] : [mountUse(info, point)]), ...containersOver(name, stores)],
      partitions: [...entry.list('Partitions'), ...entry.list('APFSVolumes')].flatMap((part) =>
        this.#partition(part, stores),
      ),
      system,
    }
  }

  #partition(entry: ToolOutput, stores: ReadonlyMap<string, readonly string[]>): DiskPartition[] {
    const name = entry.text('DeviceIdentifier')
    if (name === undefined) return []
    // Only `info` says where it starts.
    const info = this.#diskutil('info', name)
    return [
      {
        name,
        path: `/dev/${name}`,
        deviceNumber: '',
        number: Number(/s(\d+)$/.exec(name)?.[1] ?? 0),
        start: info.number('PartitionMapPartitionOffset'),
        size: entry.number('Size'),
        readOnly: info.flag('WritableMedia') === false,
        uses: [...pointsOf(entry).map((point) => mountUse(info, point)), ...containersOver(name, stores)],
      },
    ]
  }
}

function kindOf(info: ToolOutput, container: boolean): DiskKind {
  if (container) return 'mapped'
  if (info.text('BusProtocol') === 'Disk Image') return 'loop'
  if (info.text('OpticalDeviceType') !== undefined || info.text('OpticalMediaType') !== undefined) return 'optical'
  return info.text('VirtualOrPhysical') === 'Virtual' ? 'mapped' : 'disk'
}

function mountUse(info: ToolOutput, point: string): DeviceUse {
  return {
    kind: 'mount',
    point,
    filesystem: info.text('FilesystemType') ?? 'unknown',
    readOnly: info.flag('WritableVolume') === false,
  }
}

/** The container that a partition holds, or holds a part of. */
function containersOver(name: string, stores: ReadonlyMap<string, readonly string[]>): DeviceUse[] {
  return [...stores]
    .filter(([, below]) => below.includes(name))
    .map(([container]) => ({ kind: 'holder', name: container, title: container, role: 'APFS' }))
}

/** APFS containers, and the partitions each lies on. */
function storesOf(listing: ToolOutput): ReadonlyMap<string, readonly string[]> {
  return new Map(
    listing.list('AllDisksAndPartitions').flatMap((entry) => {
      const name = entry.text('DeviceIdentifier')
      const stores = entry
        .list('APFSPhysicalStores')
        .flatMap((store) => store.text('DeviceIdentifier') ?? store.text('APFSPhysicalStore') ?? [])
      return name === undefined || stores.length === 0 ? [] : [[name, stores] as const]
    }),
  )
}

/** Mount points of a volume; the running system's own is mounted as a snapshot. */
function pointsOf(entry: ToolOutput): string[] {
  return [
    entry.text('MountPoint'),
    ...entry.list('MountedSnapshots').map((snapshot) => snapshot.text('SnapshotMountPoint')),
  ].filter((point) => point !== undefined)
}

function volumesOf(listing: ToolOutput): Volume[] {
  return listing.list('AllDisksAndPartitions').flatMap((entry) => {
    const whole = entry.text('DeviceIdentifier')
    if (whole === undefined) return []
    return [entry, ...entry.list('Partitions'), ...entry.list('APFSVolumes')].flatMap((volume) =>
      pointsOf(volume).map((point) => ({ point, device: volume.text('DeviceIdentifier') ?? whole, whole })),
    )
  })
}

/** The whole disks below a device: through containers, which may lie on several. */
function wholeDisks(name: string, stores: ReadonlyMap<string, readonly string[]>): string[] {
  const found = new Set<string>()
  const visited = new Set<string>()
  const add = (device: string): void => {
    const whole = /^disk\d+/.exec(device)?.[0] ?? device
    if (visited.has(whole)) return
    visited.add(whole)
    const below = stores.get(whole)
    if (below === undefined) found.add(whole)
    else for (const each of below) add(each)
  }
  add(name)
  return [...found].sort()
}

/** By whole device, why the running system needs it. */
function systemReasons(listing: ToolOutput, stores: ReadonlyMap<string, readonly string[]>): Map<string, string[]> {
  const reasons = new Map<string, string[]>()
  for (const { point, whole } of volumesOf(listing)) {
    if (point !== '/' && !point.startsWith('/System/Volumes/')) continue
    for (const disk of new Set([...wholeDisks(whole, stores), whole]))
      reasons.set(disk, [...(reasons.get(disk) ?? []), `holds ${point}`])
  }
  return reasons
}

/** @throws ImageError unsupported E_TOOL when it is no property list. */
function plistOf(printed: string): PlistValue {
  try {
    return parsePlist(printed)
  } catch (cause) {
    throw unsupported(
      'E_TOOL',
      `what diskutil printed is no property list: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
}
