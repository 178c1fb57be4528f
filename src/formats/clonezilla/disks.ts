import { printable } from '../../errors.js'
import type { BackupFolder } from './folder.js'

/** A disk, or what was saved without one: a logical volume, a device without partitions. */
export interface SavedDisk {
  /** `sda`, `vg-root`. */
  readonly name: string
  readonly kind: 'disk' | 'volume' | 'device'
}

/** A volume group of LVM on a partition. */
export interface PhysicalVolume {
  readonly group: string
  readonly device: string
  readonly uuid: string
}

const tableEnd = '-pt.sf'

/** What can be read of a folder: its disks in the order of their names, then logical volumes, then other devices. */
export function disksOf(folder: BackupFolder): readonly SavedDisk[] {
  const tables = folder.names.filter((name) => name.endsWith(tableEnd)).map((name) => name.slice(0, -tableEnd.length))
  const volumes = logicalVolumes(folder)
  const others = folder
    .words('parts')
    .concat(folder.words('disk'))
    .map((name) => name.replaceAll('/', '-'))
    .filter((name) => !tables.some((table) => isPartitionOf(name, table)) && !volumes.includes(name))
  return [
    ...tables.map((name): SavedDisk => ({ name, kind: 'disk' })),
    ...volumes
      .filter((name) => folder.imageOf(name) !== undefined)
      .map((name): SavedDisk => ({ name, kind: 'volume' })),
    ...[...new Set(others)]
      .filter((name) => folder.imageOf(name) !== undefined)
      .map((name): SavedDisk => ({ name, kind: 'device' })),
  ]
}

/** `sda1` of `sda`, `nvme0n1p2` of `nvme0n1`; a disk is its own. */
function isPartitionOf(device: string, disk: string): boolean {
  return device === disk || (device.startsWith(disk) && /^p?\d+$/.test(device.slice(disk.length)))
}

/** Logical volumes by the names of their files: `vg-root`. */
function logicalVolumes(folder: BackupFolder): readonly string[] {
  return (folder.text('lvm_logv.list') ?? '')
    .split('\n')
    .map((line) => /^\/dev\/(\S+)/.exec(line)?.[1]?.replaceAll('/', '-') ?? '')
    .filter((name) => name !== '')
}

/** Partitions that are physical volumes of LVM. */
export function physicalVolumes(folder: BackupFolder): readonly PhysicalVolume[] {
  return (folder.text('lvm_vg_dev.list') ?? '').split('\n').flatMap((line) => {
    const [, group, device, uuid = ''] = /^(\S+)\s+\/dev\/(\S+)(?:\s+(\S+))?/.exec(line) ?? []
    return group === undefined || device === undefined ? [] : [{ group, device: device.replaceAll('/', '-'), uuid }]
  })
}

/** When it was saved, and by which version, as the log says. */
export function savedFacts(
  folder: BackupFolder,
  log: string | undefined,
): { readonly at?: string; readonly by?: string } {
  const text = log ?? folder.text('clonezilla-img') ?? ''
  const at = /^This image was saved by Clonezilla at (.+?)\.?\s*$/m.exec(text)?.[1]
  const by = /^Saved by (.+?)\.?\s*$/m.exec(text)?.[1]
  return { at: at === undefined ? undefined : printable(at), by: by === undefined ? undefined : printable(by) }
}
