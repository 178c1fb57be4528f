import { win32 } from 'node:path'
import { printable, unsupported, usage } from '../errors.js'
import { runTool, type RunTool } from './commands.js'
import { ToolOutput } from './tool-output.js'
import type { DeviceUse, Disk, DiskPartition, DiskPlatform, FoundDevice, Place } from './types.js'

/** One call for all: PowerShell takes a second to start. */
const script = `$ErrorActionPreference = 'Stop'
[Console]::OutputEncoding = [Text.Encoding]::UTF8
@{
  disks = @(Get-Disk | Select-Object Number, FriendlyName, Manufacturer, Model, SerialNumber, UniqueId, BusType,
    Size, LogicalSectorSize, PhysicalSectorSize, IsReadOnly, IsSystem, IsBoot, IsOffline)
  partitions = @(Get-Partition | Select-Object DiskNumber, PartitionNumber, Offset, Size, AccessPaths,
    IsReadOnly, IsHidden)
  volumes = @(Get-Volume | Select-Object UniqueId, FileSystem, FileSystemLabel)
} | ConvertTo-Json -Depth 4 -Compress`

/** BusType as Windows' MSFT_Disk numbers it, and as PowerShell calls it; and how we do. */
const buses: Readonly<Record<string, string>> = {
  SCSI: 'scsi',
  ATAPI: 'ata',
  ATA: 'ata',
  'Fibre Channel': 'fc',
  USB: 'usb',
  RAID: 'raid',
  iSCSI: 'iscsi',
  SAS: 'sas',
  SATA: 'ata',
  SD: 'mmc',
  MMC: 'mmc',
  'File Backed Virtual': 'virtual',
  'Storage Spaces': 'storage spaces',
  NVMe: 'nvme',
}
const busNumbers: readonly (string | undefined)[] = [
  undefined,
  'SCSI',
  'ATAPI',
  'ATA',
  '1394',
  'SSA',
  'Fibre Channel',
  'USB',
  'RAID',
  'iSCSI',
  'SAS',
  'SATA',
  'SD',
  'MMC',
  undefined,
  'File Backed Virtual',
  'Storage Spaces',
  'NVMe',
]

/** Disks of Windows, as PowerShell's Storage module lists them. Never run on a real Windows (docs/disks.md). */
export class WindowsDisks implements DiskPlatform {
  readonly #run: RunTool

  constructor(run: RunTool = runTool) {
    this.#run = run
  }

  list(): Disk[] {
    const listing = this.#listing()
    const partitions = listing.list('partitions')
    const filesystems = new Map(
      listing.list('volumes').map((volume) => [volume.text('UniqueId') ?? '', volume.text('FileSystem')]),
    )
    return listing
      .list('disks')
      .map((disk) => diskOf(disk, partitions, filesystems))
      .sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  }

  find(path: string): FoundDevice {
    const disks = this.list()
    const wanted = path.toLowerCase()
    const disk = disks.find((each) => each.path.toLowerCase() === wanted)
    if (disk !== undefined) return { disk }
    for (const each of disks) {
      const partition = each.partitions.find((one) => one.path.toLowerCase() === wanted)
      if (partition !== undefined) return { disk: each, partition }
    }
    throw usage('E_NOT_A_DEVICE', `${printable(path)} is no disk or partition of this machine`, {
      hint: '"vdisk disks" lists them.',
    })
  }

  place(path: string): Place {
    const [, drive] =
      /^\\\\\.\\PhysicalDrive(\d+)$/i.exec(path) ?? /^\\\\\?\\GLOBALROOT\\Device\\Harddisk(\d+)\\/i.exec(path) ?? []
    const disks = this.list()
    if (drive !== undefined)
      return placeOn(
        disks.find(({ name }) => name === `PhysicalDrive${drive}`),
        path,
      )
    const full = win32.resolve(path).toLowerCase()
    if (/^\\\\[^?.]/.test(full)) return { disks: [], elsewhere: [`the server of ${full}`], unknown: [] }
    let best: { readonly disk: Disk; readonly length: number } | undefined
    for (const disk of disks) {
      for (const use of disk.partitions.flatMap(({ uses }) => uses)) {
        // A folder can be a mount point too: the longest one counts.
        if (use.kind === 'mount' && full.startsWith(use.point.toLowerCase()) && use.point.length > (best?.length ?? 0))
          best = { disk, length: use.point.length }
      }
    }
    return placeOn(best?.disk, path)
  }

  #listing(): ToolOutput {
    const text = this.#run('powershell.exe', ['-NoProfile', '-NonInteractive', '-Command', script])
    try {
      return new ToolOutput(JSON.parse(text.replace(/^\ufeff/, '')))
    } catch (cause) {
      throw unsupported('E_TOOL', 'what PowerShell printed of the disks is no JSON', { cause })
    }
  }
}

function placeOn(disk: Disk | undefined, path: string): Place {
  if (disk === undefined)
    return { disks: [], elsewhere: [], unknown: [`${path} lies on no partition that Windows lists`] }
  if (disk.bus === 'storage spaces')
    return {
      disks: [disk.name],
      elsewhere: [],
      unknown: [`${disk.path} is a storage space: the disks of its pool are not known`],
    }
  if (disk.bus === 'virtual')
    return {
      disks: [disk.name],
      elsewhere: [],
      unknown: [`${disk.path} is a virtual disk: where its file lies is not known`],
    }
  return { disks: [disk.name], elsewhere: [], unknown: [] }
}

function diskOf(
  entry: ToolOutput,
  partitions: readonly ToolOutput[],
  filesystems: ReadonlyMap<string, string | undefined>,
): Disk {
  const number = entry.number('Number')
  const busName = entry.text('BusType') ?? busNumbers[entry.number('BusType')]
  const bus = busName === undefined ? undefined : (buses[busName] ?? busName.toLowerCase())
  const own = partitions
    .filter((partition) => partition.number('DiskNumber') === number)
    .map((partition) => partitionOf(partition, number, filesystems))
  const sector = entry.number('LogicalSectorSize') || 512
  const optional = <Key extends string>(key: Key, value: string | undefined): Partial<Record<Key, string>> =>
    value === undefined ? {} : ({ [key]: value } as Record<Key, string>)
  return {
    kind: bus === 'virtual' ? 'loop' : bus === 'storage spaces' ? 'raid' : 'disk',
    name: `PhysicalDrive${number}`,
    path: `\\\\.\\PhysicalDrive${number}`,
    deviceNumber: '',
    size: entry.number('Size'),
    ...optional('model', entry.text('FriendlyName') ?? entry.text('Model')),
    ...optional('vendor', entry.text('Manufacturer')),
    ...optional('serial', entry.text('SerialNumber')),
    ...optional('wwn', entry.text('UniqueId')),
    ...optional('bus', bus),
    removable: bus === 'usb' || bus === 'mmc',
    readOnly: entry.flag('IsReadOnly') === true,
    rotational: false,
    discards: false,
    logicalSectorSize: sector,
    physicalSectorSize: entry.number('PhysicalSectorSize') || sector,
    slaves: [],
    uses: [],
    partitions: own.sort((a, b) => a.number - b.number),
    system: [
      ...(entry.flag('IsBoot') === true ? ['holds the running Windows'] : []),
      ...(entry.flag('IsSystem') === true ? ['holds what starts Windows'] : []),
    ],
  }
}

function partitionOf(
  entry: ToolOutput,
  disk: number,
  filesystems: ReadonlyMap<string, string | undefined>,
): DiskPartition {
  const number = entry.number('PartitionNumber')
  const paths = entry.texts('AccessPaths')
  const filesystem = paths.map((path) => filesystems.get(path)).find((found) => found !== undefined) ?? 'unknown'
  const readOnly = entry.flag('IsReadOnly') === true
  // A volume without a letter or folder is reached by its own name, and is mounted too.
  const points = paths.filter((path) => !path.startsWith('\\\\?\\'))
  return {
    name: `Harddisk${disk}Partition${number}`,
    path: `\\\\?\\GLOBALROOT\\Device\\Harddisk${disk}\\Partition${number}`,
    deviceNumber: '',
    number,
    start: entry.number('Offset'),
    size: entry.number('Size'),
    readOnly,
    uses: (points.length > 0 ? points : paths).map((point): DeviceUse => ({
      kind: 'mount',
      point,
      filesystem,
      readOnly,
    })),
  }
}
