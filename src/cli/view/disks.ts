import type { DisksResult, HeldFilesystem, ListedDisk } from '../../operations/device/disks.js'
import { shortSize, type Renderer } from '../render.js'
import { firstLines, firstNames, moreLine, type FactRow, type View } from './view.js'

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

export const view: View<Pick<DisksResult, 'disks' | 'hidden'>> = { text }

async function text({ disks, hidden }: Pick<DisksResult, 'disks' | 'hidden'>, render: Renderer): Promise<string> {
  if (disks.length === 0) return ['No disk was found.', ...hiddenLines(hidden)].join('\n\n')
  if (!render.verbose) return firstText({ disks, hidden }, render)
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
  return [...parts, ...hiddenLines(hidden)].join('\n\n')
}

function hiddenLines(hidden: number): string[] {
  if (hidden === 0) return []
  return [
    `${hidden} other block ${hidden === 1 ? 'device is' : 'devices are'} not shown (loops, LVM, LUKS, RAID, ` +
      `memory): --all shows ${hidden === 1 ? 'it' : 'them'}.`,
  ]
}

/** Two lines a disk: by what it is known, and what is on it; whether it can be written. */
function firstText({ disks, hidden }: Pick<DisksResult, 'disks' | 'hidden'>, render: Renderer): string {
  const lines = disks.map((disk) =>
    [render.heading(`${disk.path}: ${diskTitle(disk)}`), render.plain(`  ${firstFacts(disk).join('; ')}`)].join('\n'),
  )
  return [
    ...firstLines(render, lines, 8),
    '',
    ...hiddenLines(hidden),
    moreLine(render, 'sectors, ids, each partition, and who uses it'),
  ].join('\n')
}

function firstFacts({ table, partitions, filesystems, unreadable, system, writable }: ListedDisk): string[] {
  const held = partitions.map(({ filesystems: inside, type }) => heldText(inside) || (type ?? 'unknown'))
  const named = firstNames(held, 4)
  const content =
    named.length > 0
      ? `${table === undefined ? '' : `${table.scheme.toUpperCase()}: `}${named.join(', ')}`
      : heldText(filesystems)
  const [reason, ...more] = writable.reasons
  return [
    ...(unreadable === undefined ? [content === '' ? 'nothing known on it' : content] : ['content not known']),
    ...(system.length === 0 ? [] : ['system disk']),
    writable.allowed
      ? 'can be written'
      : `not written: ${reason ?? ''}${more.length === 0 ? '' : `, and ${more.length} more`}`,
  ]
}

function facts(disk: ListedDisk): FactRow[] {
  const { logicalSectorSize: logical, physicalSectorSize: physical, table } = disk
  const traits = [...(disk.removable ? ['removable'] : []), ...(disk.rotational ? ['rotating'] : [])]
  const sectors = `${logical} bytes${physical === logical ? '' : `, physically ${physical}`}`
  const id = table?.diskId === undefined ? '' : `, disk id ${table.diskId}`
  return [
    ['sectors', `${sectors}${traits.length === 0 ? '' : `; ${traits.join(', ')}`}`],
    ['made of', some(disk.slaves.join(', '))],
    ['table', table === undefined || table.scheme === 'none' ? undefined : `${table.scheme.toUpperCase()}${id}`],
    ['holds', some(heldText(disk.filesystems))],
    ['used by', some(disk.uses.map(useText).join('; '))],
    ['content', disk.unreadable === undefined ? undefined : `not known: ${disk.unreadable.message}`],
    ['system disk', disk.system.length === 0 ? undefined : `yes: it ${disk.system.join(', ')}`],
    ['writable', disk.writable.allowed ? 'yes' : `no, because ${disk.writable.reasons.join('; ')}`],
  ]
}

const some = (text: string): string | undefined => (text === '' ? undefined : text)

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
