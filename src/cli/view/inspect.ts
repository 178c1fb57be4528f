import type { InspectResult } from '../../operations/inspect/inspect.js'
import { barLegend, diskBar, type BarPart } from './disk-bar.js'
import {
  bootFacts,
  diskFacts,
  filesystemFacts,
  partitionFacts,
  partitionName,
  typeText,
  usedPart,
} from './inspect-facts.js'
import { shortSize, type Renderer } from '../render.js'
import type { View } from './view.js'

export const view: View<InspectResult> = { text, warnings: () => [] }

async function text(disk: InspectResult, render: Renderer): Promise<string> {
  const { image } = disk
  const parts = [
    render.heading(
      `${image.part === undefined ? '' : `${image.part} of `}${image.path}: ${image.format}, ${image.subformat}`,
    ),
    render.facts(diskFacts(disk)),
  ]
  if (disk.partitions.length > 0) parts.push('', ...bar(disk, render), '', await partitionTable(disk, render))
  for (const partition of disk.partitions)
    parts.push(
      '',
      render.heading(`Partition ${partition.number}`),
      render.facts(partitionFacts(partition, disk.sectorSize)),
    )
  if (disk.hybrid.length > 0)
    parts.push(
      '',
      render.heading('Hybrid MBR'),
      render.facts(
        disk.hybrid.map(({ number, start, length, type }) => [
          `partition ${number}`,
          `${typeText(type)}, ${shortSize(length)} from byte ${start}`,
        ]),
      ),
    )
  for (const filesystem of disk.filesystems)
    parts.push(
      '',
      render.heading(`At the disk's first byte: ${filesystem.title}`),
      render.facts(filesystemFacts(filesystem)),
    )
  if (disk.gaps.length > 0)
    parts.push(
      '',
      render.heading('In no partition'),
      render.facts(
        disk.gaps.map(({ start, length, inside }) => [
          `${start} to ${start + length - 1}`,
          `${shortSize(length)}${inside === undefined ? '' : `, inside extended partition ${inside}`}`,
        ]),
      ),
    )
  parts.push('', render.heading('Start'), render.facts(bootFacts(disk)), ...problems(disk, render))
  return parts.join('\n')
}

/** The disk drawn to scale, with what the marks mean. Gaps below a column's worth are left out. */
function bar(disk: InspectResult, render: Renderer): string[] {
  const width = Math.min(render.columns, 120) - 4
  const data = disk.partitions.filter(({ role }) => role !== 'extended')
  const wide = disk.gaps.filter(({ length }) => length * width * 2 > disk.image.capacity)
  const parts: (BarPart & { start: number })[] = [
    ...data.map((partition) => ({
      start: partition.start,
      number: partition.number,
      name: partitionName(partition),
      length: partition.length,
      ...usedPart(partition),
    })),
    ...wide,
  ]
  const segments = diskBar(
    parts.sort((a, b) => a.start - b.start),
    width,
  )
  if (segments === undefined) return [`  ${data.length} partitions: too many to be drawn here`]
  const legend = barLegend(segments)
  return [
    `  ${segments.map(({ text, index }) => (index === undefined ? text : render.tone(text, index))).join('')}`,
    ...(legend === '' ? [] : [`  ${legend}`]),
  ]
}

export function partitionTable({ partitions }: InspectResult, render: Renderer): Promise<string> {
  const rows = partitions.map((partition) => {
    const { number, firstSector, lastSector, length, type, label, flags, filesystems } = partition
    const { used } = usedPart(partition)
    return [
      `  ${number}`,
      String(firstSector),
      String(lastSector),
      shortSize(length),
      type.name,
      label ?? '',
      filesystems.map(({ title }) => title).join(' or '),
      used === undefined ? '' : `${Math.round(used * 100)} %`,
      flags.join(', '),
    ]
  })
  return render.table(
    ['  no.', 'first sector', 'last sector', 'size', 'type', 'label', 'filesystem', 'used', 'flags'],
    rows,
  )
}

export function problems({ issues, notes }: InspectResult, render: Renderer): string[] {
  const words = { error: 'Error', warning: 'Warning', note: 'Note' } as const
  const lines = issues.flatMap(({ severity, message, command }) => {
    const text = `${words[severity]}: ${message}`
    return [
      severity === 'note' ? render.plain(text) : render.warning(text),
      ...(command === undefined ? [] : [render.plain(`  mend with: ${command}`)]),
    ]
  })
  const all = [...lines, ...notes.map(({ message }) => render.warning(`Warning: ${message}`))]
  return all.length === 0 ? [] : ['', ...all]
}
