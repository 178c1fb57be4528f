import { printable, unsupported, usage, type HostPath } from '../errors.js'
import type { Trail } from './bytes.js'
import { systemFiles, type FileLookup } from './file-lookup.js'
import { HolderFinder } from './holders.js'
import { parseMounts, parseSwaps, type Mount } from './mounts.js'
import { PlaceFinder, systemLookup, type PathLookup } from './place.js'
import { attribute, attributeNumber, sysfsSector, Sysfs } from './sysfs.js'
import { TrailFinder, type SystemView } from './trail.js'
import type {
  DeviceUse,
  Disk,
  DiskKind,
  DiskPartition,
  DiskPlatform,
  FoundDevice,
  Holder,
  HolderRole,
  Place,
  Purpose,
} from './types.js'
import { inFolder } from '../sys/host-path.js'
import { namesInFolder, textOfFile } from '../sys/readable.js'

/** Where Linux describes its devices; a recorded tree for tests. */
export interface LinuxRoots {
  readonly sys: string
  readonly mountinfo: string
  readonly swaps: string
  readonly udev: string
  /** A folder with an entry for each journal of an ext filesystem. */
  readonly journals: string
  readonly lookup: PathLookup
  readonly files: FileLookup
}

const systemRoots: LinuxRoots = {
  sys: '/sys',
  mountinfo: '/proc/self/mountinfo',
  swaps: '/proc/swaps',
  udev: '/run/udev/data',
  journals: '/proc/fs/jbd2',
  lookup: systemLookup,
  files: systemFiles(),
}

/** The running system needs the disks below these. */
const systemPoints = ['/', '/boot', '/boot/efi', '/efi', '/usr', '/var', '/home', '/nix', '/etc']

/** Disks of Linux: /sys, mountinfo, swaps and what udev noted; no tool is started. */
export class LinuxDisks implements DiskPlatform {
  readonly #roots: LinuxRoots
  readonly #sysfs: Sysfs

  constructor(roots: Partial<LinuxRoots> = {}) {
    this.#roots = { ...systemRoots, ...roots }
    this.#sysfs = new Sysfs(this.#roots.sys)
  }

  /** @throws ImageError unsupported E_PLATFORM where it cannot be seen what is mounted. */
  list(): Disk[] {
    const mounts = this.#knownMounts()
    const swaps = this.#swapDevices()
    const system = this.#system(mounts)
    return this.#sysfs.names().flatMap((name) => {
      const disk = this.#disk(name, mounts, swaps, system.get(name) ?? [])
      // Empty loops and network slots are no disks; a card reader without a card is.
      return disk.size > 0 || disk.removable ? [disk] : []
    })
  }

  find(path: string): FoundDevice {
    const number = this.#roots.lookup.node(path)
    const folder = number === undefined ? undefined : this.#sysfs.folderOf(number)
    if (number === undefined || folder === undefined)
      throw usage('E_NOT_A_DEVICE', `${printable(path)} is no disk or partition of this machine`, {
        hint: '"vdisk disks" lists them.',
      })
    const name = this.#sysfs.wholeName(folder)
    const mounts = this.#knownMounts()
    const disk = this.#disk(name, mounts, this.#swapDevices(), this.#system(mounts).get(name) ?? [])
    const partition = disk.partitions.find((each) => each.deviceNumber === number)
    return partition === undefined ? { disk } : { disk, partition }
  }

  place(path: string): Place {
    return new PlaceFinder(this.#sysfs, this.#mounts(), this.#roots.lookup).addPath(path).place
  }

  trail(path: HostPath, purpose: Purpose, range?: { readonly start: number; readonly length: number }): Trail {
    const finder = new TrailFinder(this.#view(), purpose)
    if (range === undefined) return finder.addPath(path)
    return finder.addPath(path, { start: range.start, end: range.start + range.length, how: 'exact' })
  }

  holders(written: Trail): readonly Holder[] {
    return new HolderFinder(this.#view(), {
      swaps: parseSwaps(textOfFile(this.#roots.swaps) ?? '').map(({ path }) => path),
      journals: this.#roots.journals,
    }).holders(written)
  }

  isBusy(path: HostPath): boolean {
    return this.#roots.files.isBusy(path)
  }

  #view(): SystemView {
    return { sysfs: this.#sysfs, mounts: this.#mounts(), files: this.#roots.files }
  }

  /** Without it a disk in use would look as if it were not. @throws ImageError unsupported E_PLATFORM */
  #knownMounts(): Mount[] {
    const { mountinfo } = this.#roots
    const text = textOfFile(mountinfo)
    if (text !== undefined) return parseMounts(text)
    throw unsupported('E_PLATFORM', `${mountinfo} cannot be read, and only it shows what is mounted`)
  }

  #mounts(): Mount[] {
    return parseMounts(textOfFile(this.#roots.mountinfo) ?? '')
  }

  /** Device numbers of swap partitions. */
  #swapDevices(): Set<string> {
    return new Set(
      parseSwaps(textOfFile(this.#roots.swaps) ?? '').flatMap(({ path }) => this.#roots.lookup.node(path) ?? []),
    )
  }

  /** By disk, why the running system needs it. */
  #system(mounts: readonly Mount[]): Map<string, string[]> {
    const reasons = new Map<string, string[]>()
    const add = (finder: PlaceFinder, what: string): void => {
      for (const disk of finder.place.disks) reasons.set(disk, [...(reasons.get(disk) ?? []), what])
    }
    const finder = (): PlaceFinder => new PlaceFinder(this.#sysfs, mounts, this.#roots.lookup)
    for (const point of systemPoints) {
      const mount = mounts.findLast((each) => each.point === point)
      if (mount !== undefined) add(finder().addMount(mount), `holds ${point}`)
    }
    for (const { path } of parseSwaps(textOfFile(this.#roots.swaps) ?? ''))
      add(finder().addPath(path), `holds swap space (${path})`)
    return reasons
  }

  #disk(name: string, mounts: readonly Mount[], swaps: ReadonlySet<string>, system: readonly string[]): Disk {
    const folder = this.#sysfs.folder(name)
    const deviceNumber = attribute(folder, 'dev') ?? ''
    const noted = this.#udev(deviceNumber)
    const optional = <Key extends string, Value>(key: Key, value: Value | undefined): Partial<Record<Key, Value>> =>
      value === undefined ? {} : ({ [key]: value } as Record<Key, Value>)
    const sequence = attributeNumber(folder, 'diskseq')
    return {
      kind: kindOf(name, attribute(folder, 'device/type')),
      name,
      path: devicePath(name),
      deviceNumber,
      ...optional('sequence', sequence === 0 ? undefined : sequence),
      size: attributeNumber(folder, 'size') * sysfsSector,
      ...optional(
        'model',
        attribute(folder, 'device/model') ??
          attribute(folder, 'dm/name') ??
          encodedText(noted.get('ID_MODEL_ENC')) ??
          noted.get('ID_MODEL'),
      ),
      ...optional('vendor', attribute(folder, 'device/vendor')),
      ...optional(
        'serial',
        attribute(folder, 'serial') ??
          attribute(folder, 'device/serial') ??
          noted.get('ID_SERIAL_SHORT') ??
          noted.get('ID_SCSI_SERIAL'),
      ),
      ...optional('wwn', attribute(folder, 'wwid') ?? attribute(folder, 'device/wwid')),
      ...optional('bus', busOf(folder)),
      removable: attributeNumber(folder, 'removable') === 1,
      readOnly: attributeNumber(folder, 'ro') === 1,
      rotational: attributeNumber(folder, 'queue/rotational') === 1,
      discards: attributeNumber(folder, 'queue/discard_max_bytes') > 0,
      logicalSectorSize: attributeNumber(folder, 'queue/logical_block_size') || sysfsSector,
      physicalSectorSize: attributeNumber(folder, 'queue/physical_block_size') || sysfsSector,
      ...optional('backingFile', attribute(folder, 'loop/backing_file')),
      slaves: namesInFolder(inFolder(folder, 'slaves')),
      uses: this.#uses(folder, name, mounts, swaps),
      partitions: this.#partitions(folder, mounts, swaps),
      system,
    }
  }

  #partitions(folder: string, mounts: readonly Mount[], swaps: ReadonlySet<string>): DiskPartition[] {
    return namesInFolder(folder)
      .flatMap((name) => {
        const own = inFolder(folder, name)
        if (!this.#sysfs.isPartition(own)) return []
        return [
          {
            name,
            path: devicePath(name),
            deviceNumber: attribute(own, 'dev') ?? '',
            number: attributeNumber(own, 'partition'),
            start: attributeNumber(own, 'start') * sysfsSector,
            size: attributeNumber(own, 'size') * sysfsSector,
            readOnly: attributeNumber(own, 'ro') === 1,
            uses: this.#uses(own, name, mounts, swaps),
          },
        ]
      })
      .sort((a, b) => a.number - b.number)
  }

  #uses(folder: string, name: string, mounts: readonly Mount[], swaps: ReadonlySet<string>): DeviceUse[] {
    const deviceNumber = attribute(folder, 'dev') ?? ''
    // A btrfs is mounted under a number of its own: its devices are known by name.
    const mounted = mounts.filter(
      (mount) =>
        mount.deviceNumber === deviceNumber ||
        (mount.deviceNumber.startsWith('0:') &&
          mount.filesystem === 'btrfs' &&
          this.#isSource(mount.source, deviceNumber)),
    )
    const holders = namesInFolder(inFolder(folder, 'holders')).map((holder): DeviceUse => {
      const above = this.#sysfs.folder(holder)
      return {
        kind: 'holder',
        name: holder,
        title: attribute(above, 'dm/name') ?? holder,
        role: roleOf(holder, attribute(above, 'dm/uuid')),
      }
    })
    return [
      ...mounted.map(({ point, filesystem, readOnly }): DeviceUse => ({ kind: 'mount', point, filesystem, readOnly })),
      ...(swaps.has(deviceNumber) ? [{ kind: 'swap' } as const] : []),
      ...holders,
      ...this.#loopsOver(name),
    ]
  }

  /** A loop device over this one is no holder in sysfs' eyes. */
  #loopsOver(name: string): DeviceUse[] {
    return this.#sysfs.names().flatMap((each) => {
      if (!each.startsWith('loop') || attribute(this.#sysfs.folder(each), 'loop/backing_file') !== devicePath(name))
        return []
      return [{ kind: 'holder', name: each, title: each, role: 'loop' } as const]
    })
  }

  #isSource(source: string, deviceNumber: string): boolean {
    return this.#roots.lookup.node(source) === deviceNumber
  }

  /** What udev noted of a device: E:KEY=value lines. */
  #udev(deviceNumber: string): Map<string, string> {
    return new Map(
      (textOfFile(inFolder(this.#roots.udev, `b${deviceNumber}`)) ?? '').split('\n').flatMap((line) => {
        const [, key, value] = /^E:(\w+)=(.*)$/.exec(line) ?? []
        return key === undefined || value === undefined ? [] : [[key, value] as const]
      }),
    )
  }
}

/** udev's text with `\x20` for a space; its plain variant has underscores instead. */
function encodedText(text: string | undefined): string | undefined {
  return text?.replace(/\\x([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 16))).trim()
}

/** sysfs writes `!` where a device's path has `/` (cciss!c0d0). */
function devicePath(name: string): string {
  return `/dev/${name.replaceAll('!', '/')}`
}

function kindOf(name: string, scsiType: string | undefined): DiskKind {
  if (name.startsWith('loop')) return 'loop'
  if (name.startsWith('dm-')) return 'mapped'
  if (/^md(\d|_)/.test(name)) return 'raid'
  if (/^z?ram\d/.test(name)) return 'ram'
  if (/^nbd\d/.test(name)) return 'network'
  return /^sr\d/.test(name) || scsiType === '5' ? 'optical' : 'disk'
}

/** USB comes before ATA: a bridge shows both. */
const buses: readonly (readonly [RegExp, string])[] = [
  [/\/usb\d+\//, 'usb'],
  [/\/nvme\//, 'nvme'],
  [/\/nvme\d+\//, 'nvme'],
  [/\/session\d+\//, 'iscsi'],
  [/\/rport-/, 'fc'],
  [/\/ata\d+\//, 'ata'],
  [/\/mmc_host\//, 'mmc'],
  [/\/virtio\d+\//, 'virtio'],
  [/\/vmbus/i, 'hyper-v'],
  [/\/xen/, 'xen'],
  [/\/end_device-/, 'sas'],
]

function busOf(folder: string): string | undefined {
  return buses.find(([pattern]) => pattern.test(folder))?.[1]
}

function roleOf(name: string, mappedId: string | undefined): HolderRole {
  if (/^md(\d|_)/.test(name)) return 'RAID'
  if (name.startsWith('bcache')) return 'bcache'
  if (!name.startsWith('dm-')) return 'device'
  if (mappedId?.startsWith('LVM-') === true) return 'LVM'
  if (mappedId?.startsWith('CRYPT-') === true) return 'LUKS'
  return mappedId?.startsWith('mpath-') === true ? 'multipath' : 'device mapper'
}
