import { barLegend, diskBar, type BarPart } from './disk-bar.js'
import { labelOf, renderer, shortSize, sizeText, valueText, type Renderer } from './render.js'

interface ShownFilesystem {
  readonly title: string
  readonly label?: string
  readonly uuid?: string
  readonly version?: string
  readonly blockSize?: number
  readonly size?: number
  readonly used?: number
  readonly free?: number
  readonly state: string
  readonly facts: readonly { readonly name: string; readonly label?: string; readonly value: string | number | bigint | boolean; readonly unit?: 'bytes' | 'count' }[]
}

interface ShownPartition {
  readonly number: number
  readonly start: number
  readonly length: number
  readonly firstSector: number
  readonly lastSector: number
  readonly alignment: number
  readonly type: { readonly id: string; readonly name: string }
  readonly role: 'primary' | 'logical' | 'extended'
  readonly label?: string
  readonly uuid?: string
  readonly flags: readonly string[]
  readonly filesystems: readonly ShownFilesystem[]
}

/** What is on a disk, as the operation gives it (this layer may not import it). */
export interface ShownDisk {
  readonly image: { readonly path: string; readonly format: string; readonly subformat: string; readonly part?: string; readonly capacity: number; readonly sectorSize: number }
  readonly scheme: string
  readonly sectorSize: number
  readonly diskId?: string
  readonly also: readonly string[]
  readonly partitions: readonly ShownPartition[]
  readonly hybrid: readonly { readonly number: number; readonly start: number; readonly length: number; readonly type: { readonly id: string; readonly name: string } }[]
  readonly gaps: readonly { readonly start: number; readonly length: number; readonly inside?: number }[]
  readonly filesystems: readonly ShownFilesystem[]
  readonly issues: readonly { readonly severity: 'error' | 'warning' | 'note'; readonly message: string; readonly command?: string }[]
  readonly notes: readonly { readonly message: string }[]
}

interface Output { readonly isTTY?: boolean; readonly columns?: number }

const schemeTitles: Readonly<Record<string, string>> = { gpt: 'GPT', mbr: 'MBR', apm: 'Apple partition map', bsd: 'BSD disklabel', none: 'none' }

/** What `vdisk inspect` says. */
export async function inspectText(disk: ShownDisk, output: Output): Promise<string> {
  const render = await renderer(output)
  const { image } = disk
  const parts = [render.heading(`${image.part === undefined ? '' : `${image.part} of `}${image.path}: ${image.format}, ${image.subformat}`), render.facts(diskFacts(disk))]
  if (disk.partitions.length > 0) parts.push('', ...bar(disk, render), '', await partitionTable(disk, render))
  for (const partition of disk.partitions) parts.push('', ...partitionDetails(partition, disk.sectorSize, render))
  if (disk.hybrid.length > 0) parts.push('', render.heading('Hybrid MBR'), render.facts(disk.hybrid.map(({ number, start, length, type }) => [`partition ${number}`, `${typeText(type)}, ${shortSize(length)} from byte ${start}`])))
  for (const filesystem of disk.filesystems) parts.push('', render.heading(`At the disk's first byte: ${filesystem.title}`), render.facts(filesystemFacts(filesystem)))
  if (disk.gaps.length > 0) parts.push('', render.heading('In no partition'), render.facts(disk.gaps.map(({ start, length, inside }) => [`${start} to ${start + length - 1}`, `${shortSize(length)}${inside === undefined ? '' : `, inside extended partition ${inside}`}`])))
  parts.push(...problems(disk, render))
  return parts.join('\n')
}

/** What `vdisk partition list` says: the table alone. */
export async function partitionListText(disk: ShownDisk, output: Output): Promise<string> {
  const render = await renderer(output)
  const head = `${disk.image.path}: ${schemeTitle(disk)}, sectors of ${disk.sectorSize} bytes`
  return [render.heading(head), ...(disk.partitions.length === 0 ? ['  no partitions'] : [await partitionTable(disk, render)]), ...problems(disk, render)].join('\n')
}

function schemeTitle({ scheme, also }: ShownDisk): string {
  return [schemeTitles[scheme] ?? scheme, ...also.map((other) => `and ${schemeTitles[other] ?? other}`)].join(' ')
}

function diskFacts(disk: ShownDisk): [string, string][] {
  const facts: [string, string][] = [['Disk', sizeText(disk.image.capacity)], ['Partition table', schemeTitle(disk)]]
  if (disk.scheme !== 'none') facts.push(['Counts in', `sectors of ${disk.sectorSize} bytes`])
  if (disk.image.sectorSize !== disk.sectorSize) facts.push(['Presented with', `sectors of ${disk.image.sectorSize} bytes`])
  if (disk.diskId !== undefined) facts.push(['Disk id', disk.diskId])
  const misaligned = disk.partitions.filter(({ alignment }) => alignment < 4096)
  if (disk.partitions.length > 0) {
    const least = Math.min(...disk.partitions.map(({ alignment }) => alignment))
    facts.push(['Alignment', misaligned.length === 0 ? `all partitions start at multiples of ${shortSize(least)}` : `not at 4 KiB: ${misaligned.map(({ number }) => number).join(', ')}`])
  }
  const free = disk.gaps.reduce((sum, { length }) => sum + length, 0)
  if (disk.scheme !== 'none') facts.push(['In no partition', sizeText(free)])
  return facts
}

/** The disk drawn to scale, with what the marks mean. Gaps below a column's worth are left out. */
function bar(disk: ShownDisk, render: Renderer): string[] {
  const width = Math.min(render.columns, 120) - 4
  const data = disk.partitions.filter(({ role }) => role !== 'extended')
  const wide = disk.gaps.filter(({ length }) => length * width * 2 > disk.image.capacity)
  const parts: (BarPart & { start: number })[] = [
    ...data.map((partition) => ({ start: partition.start, number: partition.number, name: shortName(partition), length: partition.length, ...usedPart(partition) })),
    ...wide,
  ]
  const segments = diskBar(parts.sort((a, b) => a.start - b.start), width)
  if (segments === undefined) return [`  ${data.length} partitions: too many to be drawn here`]
  const legend = barLegend(segments)
  return [`  ${segments.map(({ text, index }) => index === undefined ? text : render.tone(text, index)).join('')}`, ...(legend === '' ? [] : [`  ${legend}`])]
}

function shortName({ label, type, filesystems }: ShownPartition): string {
  return filesystems[0]?.label ?? label ?? filesystems[0]?.title ?? type.name
}

function usedPart({ filesystems }: ShownPartition): { used?: number } {
  const [filesystem, second] = filesystems
  if (filesystem?.used === undefined || filesystem.size === undefined || filesystem.size === 0 || second !== undefined) return {}
  return { used: filesystem.used / filesystem.size }
}

function partitionTable({ partitions }: ShownDisk, render: Renderer): Promise<string> {
  const rows = partitions.map((partition) => {
    const { number, firstSector, lastSector, length, type, label, flags, filesystems } = partition
    const { used } = usedPart(partition)
    return [
      `  ${number}`, String(firstSector), String(lastSector), shortSize(length), type.name, label ?? '',
      filesystems.map(({ title }) => title).join(' or '), used === undefined ? '' : `${Math.round(used * 100)} %`, flags.join(', '),
    ]
  })
  return render.table(['  no.', 'first sector', 'last sector', 'size', 'type', 'label', 'filesystem', 'used', 'flags'], rows)
}

function partitionDetails(partition: ShownPartition, sectorSize: number, render: Renderer): string[] {
  const { number, start, length, type, role, label, uuid, flags, filesystems } = partition
  const facts: [string, string][] = [
    ['Bytes', `${start} to ${start + length - 1}`], ['Size', `${sizeText(length)}, ${(length / sectorSize).toLocaleString('en-US')} sectors`], ['Type', typeText(type)],
  ]
  if (role !== 'primary') facts.push(['Kind', role])
  if (label !== undefined) facts.push(['Label', label])
  if (uuid !== undefined) facts.push(['Id', uuid])
  if (flags.length > 0) facts.push(['Flags', flags.join(', ')])
  for (const filesystem of filesystems) facts.push(['Filesystem', filesystem.title], ...filesystemFacts(filesystem))
  return [render.heading(`Partition ${number}`), render.facts(facts)]
}

function filesystemFacts({ version, label, uuid, blockSize, size, used, free, state, facts }: ShownFilesystem): [string, string][] {
  const rows: [string, string | undefined][] = [
    ['Version', version], ['Name', label], ['UUID', uuid], ['State', state === 'unknown' ? undefined : state],
    ['Its size', size === undefined ? undefined : sizeText(size)],
    ['Used', used === undefined ? undefined : `${sizeText(used)}${size === undefined || size === 0 ? '' : `, ${Math.round(used / size * 100)} %`}`],
    ['Free', free === undefined ? undefined : sizeText(free)],
    ['Block size', blockSize === undefined ? undefined : sizeText(blockSize)],
  ]
  return [
    ...rows.filter((row): row is [string, string] => row[1] !== undefined),
    ...facts.map(({ name, label: title, value, unit }): [string, string] => [labelOf(title ?? name), valueText(value, unit)]),
  ]
}

function typeText({ id, name }: { readonly id: string; readonly name: string }): string {
  return name === id ? id : `${name} (${id})`
}

function problems({ issues, notes }: ShownDisk, render: Renderer): string[] {
  const words = { error: 'Error', warning: 'Warning', note: 'Note' } as const
  const lines = issues.flatMap(({ severity, message, command }) => {
    const text = `${words[severity]}: ${message}`
    return [severity === 'note' ? render.plain(text) : render.warning(text), ...(command === undefined ? [] : [render.plain(`  mend with: ${command}`)])]
  })
  const all = [...lines, ...notes.map(({ message }) => render.warning(`Warning: ${message}`))]
  return all.length === 0 ? [] : ['', ...all]
}
