import type { FilesystemInfo, InspectResult, PartitionInfo } from '../../operations/inspect/inspect.js'
import { labelOf, shortSize, sizeText, valueText } from '../render.js'
import { grouped } from '../../errors.js'

const schemeTitles: Readonly<Record<string, string>> = {
  gpt: 'GPT',
  mbr: 'MBR',
  apm: 'Apple partition map',
  bsd: 'BSD disklabel',
  none: 'none',
}

export function schemeTitle({ scheme, also }: InspectResult): string {
  return [schemeTitles[scheme] ?? scheme, ...also.map((other) => `and ${schemeTitles[other] ?? other}`)].join(' ')
}

/** @param first only what is asked first, and what is out of the ordinary. */
export function diskFacts(disk: InspectResult, first = false): [string, string][] {
  const facts: [string, string][] = [
    ['Disk', sizeText(disk.image.capacity)],
    ['Partition table', schemeTitle(disk)],
  ]
  if (disk.scheme !== 'none' && !(first && disk.sectorSize === 512))
    facts.push(['Counts in', `sectors of ${disk.sectorSize} bytes`])
  if (disk.image.sectorSize !== disk.sectorSize)
    facts.push(['Presented with', `sectors of ${disk.image.sectorSize} bytes`])
  if (disk.diskId !== undefined) facts.push(['Disk id', disk.diskId])
  const misaligned = disk.partitions.filter(({ alignment }) => alignment < 4096)
  if (disk.partitions.length > 0 && !(first && misaligned.length === 0)) {
    const least = Math.min(...disk.partitions.map(({ alignment }) => alignment))
    facts.push([
      'Alignment',
      misaligned.length === 0
        ? `all partitions start at multiples of ${shortSize(least)}`
        : `not at 4 KiB: ${misaligned.map(({ number }) => number).join(', ')}`,
    ])
  }
  const free = disk.gaps.reduce((sum, { length }) => sum + length, 0)
  if (disk.scheme !== 'none' && !first) facts.push(['In no partition', sizeText(free)])
  return facts
}

/** What is asked first of a disk, and what a filesystem on all of it holds. */
export function firstFacts(disk: InspectResult): [string, string][] {
  const held = disk.filesystems.map(({ title, label, used }): [string, string] => [
    'Holds',
    [
      title,
      ...(label === undefined ? [] : [`"${label}"`]),
      ...(used === undefined ? [] : [`${shortSize(used)} used`]),
    ].join(', '),
  ])
  return [...diskFacts(disk, true), ...held]
}

/** What a partition is called where there is little room. */
export function partitionName({ label, type, filesystems }: PartitionInfo): string {
  return filesystems[0]?.label ?? label ?? filesystems[0]?.title ?? type.name
}

/** The part of it that is in use, from 0 to 1, where that is known for certain. */
export function usedPart({ filesystems }: PartitionInfo): { used?: number } {
  const [filesystem, second] = filesystems
  if (filesystem?.used === undefined || filesystem.size === undefined || filesystem.size === 0 || second !== undefined)
    return {}
  return { used: filesystem.used / filesystem.size }
}

/** A partition and what it holds, in labels and values. */
export function partitionFacts(partition: PartitionInfo, sectorSize: number): [string, string][] {
  const { start, length, type, role, label, uuid, flags, filesystems } = partition
  const facts: [string, string][] = [
    ['Bytes', `${start} to ${start + length - 1}`],
    ['Size', `${sizeText(length)}, ${grouped(length / sectorSize)} sectors`],
    ['Type', typeText(type)],
  ]
  if (role !== 'primary') facts.push(['Kind', role])
  if (label !== undefined) facts.push(['Label', label])
  if (uuid !== undefined) facts.push(['Id', uuid])
  if (flags.length > 0) facts.push(['Flags', flags.join(', ')])
  for (const filesystem of filesystems) facts.push(['Filesystem', filesystem.title], ...filesystemFacts(filesystem))
  return facts
}

export function filesystemFacts({
  version,
  label,
  uuid,
  blockSize,
  size,
  used,
  free,
  state,
  facts,
}: FilesystemInfo): [string, string][] {
  const rows: [string, string | undefined][] = [
    ['Version', version],
    ['Name', label],
    ['UUID', uuid],
    ['State', state === 'unknown' ? undefined : state],
    ['Its size', size === undefined ? undefined : sizeText(size)],
    [
      'Used',
      used === undefined
        ? undefined
        : `${sizeText(used)}${size === undefined || size === 0 ? '' : `, ${Math.round((used / size) * 100)} %`}`,
    ],
    ['Free', free === undefined ? undefined : sizeText(free)],
    ['Block size', blockSize === undefined ? undefined : sizeText(blockSize)],
  ]
  return [
    ...rows.filter((row): row is [string, string] => row[1] !== undefined),
    ...facts.map(({ name, label: title, value, unit }): [string, string] => [
      labelOf(title ?? name),
      valueText(value, unit),
    ]),
  ]
}

export function typeText({ id, name }: { readonly id: string; readonly name: string }): string {
  return name === id ? id : `${name} (${id})`
}

const firmwareNames = { bios: 'BIOS', uefi: 'UEFI' } as const

/** `BIOS and UEFI`, `BIOS; may start from UEFI`, `none`: which firmware starts a disk, and which only may. */
export function firmwareTitle({ boot: { firmware, uncertain } }: Pick<InspectResult, 'boot'>): string {
  const all = firmware === 'both' ? (['bios', 'uefi'] as const) : firmware === 'none' ? [] : [firmware]
  const names = (some: readonly ('bios' | 'uefi')[]): string => some.map((one) => firmwareNames[one]).join(' and ')
  const sure = all.filter((one) => !uncertain.includes(one))
  const parts = [names(sure), uncertain.length === 0 ? '' : `may start from ${names(uncertain)}`]
  return all.length === 0 ? 'none' : parts.filter((part) => part !== '').join('; ')
}

/** Which firmware starts the disk, and which system that is. */
export function firstBootFacts(disk: InspectResult): [string, string][] {
  return [['Firmware', firmwareTitle(disk)], ...systemFacts(disk).slice(0, 2)]
}

function systemFacts({ operatingSystem }: InspectResult): [string, string][] {
  return operatingSystem.found.map(({ name, partition, evidence, by, cpu }) => [
    'Looks like',
    `${name}${cpu === undefined ? '' : ` for ${cpu}`}${inPartition(partition)}, by ` +
      `${evidence}${by === 'type' ? ' alone' : ''}`,
  ])
}

/** How the disk starts, and what with. */
export function bootFacts(disk: InspectResult): [string, string][] {
  const { boot } = disk
  const { reasons, loaders, configurations, problems } = boot
  const facts: [string, string][] = [
    ['Firmware', firmwareTitle({ boot })],
    ...reasons.map((reason, index): [string, string] => [index === 0 ? 'Because' : '', reason]),
  ]
  for (const { path, partition, title, cpu, fault } of loaders)
    facts.push([
      'Loader',
      `${path}${inPartition(partition)}: ` +
        `${title}${cpu === undefined ? '' : `, ${cpu}`}${fault === undefined ? '' : `; ${fault}`}`,
    ])
  for (const { path, partition, title, fault } of configurations)
    facts.push([
      'Configuration',
      `${path}${inPartition(partition)}: ${title}${fault === undefined ? '' : `; ${fault}`}`,
    ])
  facts.push(...systemFacts(disk))
  for (const { message, partition } of problems)
    facts.push(['Not seen', `${partition === undefined ? '' : `partition ${partition}: `}${message}`])
  return facts
}

function inPartition(partition: number | undefined): string {
  return partition === undefined ? '' : ` in partition ${partition}`
}
