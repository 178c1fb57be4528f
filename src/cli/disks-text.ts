import type { HeldFilesystem, ListedDisk } from '../operations/device/disks.js'
import { renderer, shortSize } from './render.js'

const buses: Readonly<Record<string, string>> = {
  ata: 'SATA or IDE',
  usb: 'USB',
  nvme: 'NVMe',
  mmc: 'SD or eMMC',
  virtio: 'virtio',
  iscsi: 'iSCSI',
  fc: 'Fibre Channel',
  sas: 'SAS',
  'hyper-v': 'Hyper-V',
  xen: 'Xen',
  thunderbolt: 'Thunderbolt',
  raid: 'RAID controller',
  virtual: 'virtual',
}

const kinds: Readonly<Record<string, string>> = {
  loop: 'loop device',
  mapped: 'mapped device',
  raid: 'RAID',
  ram: 'memory',
  optical: 'optical disc',
  network: 'network block device',
}

/** A disk's facts in one line, by which people know it: `Samsung SSD 870, 931.5 GiB, SATA or IDE, serial S5Y1`. */
export function diskTitle({
  kind,
  size,
  model,
  vendor,
  serial,
  bus,
  backingFile,
}: Pick<ListedDisk, 'kind' | 'size' | 'model' | 'vendor' | 'serial' | 'bus' | 'backingFile'>): string {
  // Vendor names that say nothing: the bus, or the driver.
  const maker =
    vendor === undefined || /^(ata|nvme|usb|0x)/i.test(vendor) || model?.startsWith(vendor) === true ? '' : `${vendor} `
  return [
    ...(kinds[kind] === undefined ? [] : [kinds[kind]]),
    ...(model === undefined ? [] : [`${maker}${model}`]),
    size === 0 ? 'no medium' : shortSize(size),
    ...(bus === undefined ? [] : [buses[bus] ?? bus]),
    ...(serial === undefined ? [] : [`serial ${serial}`]),
    ...(backingFile === undefined ? [] : [`over ${backingFile}`]),
  ].join(', ')
}

/** What `vdisk disks` prints. @param output its width and colours. */
export async function disksText(
  { disks, hidden }: { readonly disks: readonly ListedDisk[]; readonly hidden: number },
  output: { isTTY?: boolean; columns?: number },
): Promise<string> {
  const render = await renderer(output)
  const parts: string[] = []
  for (const disk of disks) {
    const lines = [render.heading(`${disk.path}: ${diskTitle(disk)}`), render.facts(facts(disk))]
    if (disk.partitions.length > 0) {
      const rows = disk.partitions.map(({ path, size, type, label, filesystems, uses }) => [
        path,
        shortSize(size),
        type ?? '',
        label ?? '',
        heldText(filesystems),
        uses.map(useText).join('; '),
      ])
      lines.push(
        (await render.table(['partition', 'size', 'type', 'label', 'filesystem', 'used by'], rows))
          .split('\n')
          .map((line) => `  ${line}`)
          .join('\n'),
      )
    }
    parts.push(lines.join('\n'))
  }
  if (disks.length === 0) parts.push('No disk was found.')
  if (hidden > 0)
    parts.push(
      `${hidden} other block ${hidden === 1 ? 'device is' : 'devices are'} not shown (loops, LVM, LUKS, RAID, ` +
        `memory): --all shows ${hidden === 1 ? 'it' : 'them'}.`,
    )
  return parts.join('\n\n')
}

function facts(disk: ListedDisk): (readonly [string, string])[] {
  const { logicalSectorSize: logical, physicalSectorSize: physical, table } = disk
  const traits = [...(disk.removable ? ['removable'] : []), ...(disk.rotational ? ['rotating'] : [])]
  return [
    [
      'sectors',
      `${logical} bytes${physical === logical ? '' : `, physically ${physical}`}${traits.length === 0 ? '' : `; ${traits.join(', ')}`}`,
    ],
    ...(disk.slaves.length === 0 ? [] : [['made of', disk.slaves.join(', ')] as const]),
    ...(table === undefined || table.scheme === 'none'
      ? []
      : [
          [
            'table',
            `${table.scheme.toUpperCase()}${table.diskId === undefined ? '' : `, disk id ${table.diskId}`}`,
          ] as const,
        ]),
    ...(disk.filesystems.length === 0 ? [] : [['holds', heldText(disk.filesystems)] as const]),
    ...(disk.uses.length === 0 ? [] : [['used by', disk.uses.map(useText).join('; ')] as const]),
    ...(disk.unreadable === undefined ? [] : [['content', `not known: ${disk.unreadable.message}`] as const]),
    ...(disk.system.length === 0 ? [] : [['system disk', `yes: it ${disk.system.join(', ')}`] as const]),
    ['writable', disk.writable.allowed ? 'yes' : `no, because ${disk.writable.reasons.join('; ')}`],
  ]
}

function heldText(held: readonly HeldFilesystem[]): string {
  return held
    .map(({ title, label }) => `${title}${label === undefined || label === '' ? '' : ` "${label}"`}`)
    .join(' or ')
}

function useText(use: ListedDisk['uses'][number]): string {
  if (use.kind === 'mount') return `mounted at ${use.point}${use.readOnly ? ' (read-only)' : ''}`
  return use.kind === 'swap'
    ? 'swap space'
    : `${use.role} ${use.title}${use.title === use.name ? '' : ` (${use.name})`}`
}
