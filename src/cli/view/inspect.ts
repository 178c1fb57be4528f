import type { InspectResult } from '../../operations/inspect/inspect.js'
import { barLegend, diskBar, type BarPart } from './disk-bar.js'
import {
  bootFacts,
  firstBootFacts,
  diskFacts,
  filesystemFacts,
  firstFacts,
  partitionFacts,
  partitionName,
  typeText,
  usedPart,
} from './inspect-facts.js'
import { shortSize, type Renderer } from '../render.js'
import { firstLines, firstRows, moreLine, type View } from './view.js'
import { shellWord } from '../../sys/shell-word.js'

export const view: View<InspectResult> = {
  text: (disk, render) => (render.verbose ? fullText(disk, render) : firstText(disk, render)),
  warnings: () => [],
}

/** What fits on a screen: how the disk is divided, what its parts hold, what starts it, and what is wrong. */
async function firstText(disk: InspectResult, render: Renderer): Promise<string> {
  const wrong = problems(disk, render)
  const rows = wrong.length === 0 ? 6 : 4
  const table = await partitionTable(disk, render, { rows, sectors: false })
  return [
    heading(disk, render),
    render.facts([...firstFacts(disk), ...firstBootFacts(disk)]),
    ...(disk.partitions.length === 0 ? [] : ['', ...bar(disk, render), table]),
    ...wrong,
    '',
    ...nextSteps(disk, render),
  ].join('\n')
}

function nextSteps({ image, partitions }: InspectResult, render: Renderer): string[] {
  // Of several the fullest: what somebody looks for is there, as a rule.
  const [files] = partitions
    .filter(({ filesystems }) => filesystems.length === 1)
    .sort((a, b) => (b.filesystems[0]?.used ?? 0) - (a.filesystems[0]?.used ?? 0))
  const part = files === undefined ? image.path : `${image.path}@${files.number}`
  return [
    ...(image.part === undefined && files !== undefined
      ? [render.plain(`Files of partition ${files.number}: vdisk ls ${shellWord(part)}`)]
      : []),
    moreLine(render, 'each partition and filesystem, gaps, and how it starts'),
  ]
}

function heading({ image }: InspectResult, render: Renderer): string {
  const part = image.part === undefined ? '' : `${image.part} of `
  return render.heading(`${part}${image.path}: ${image.format}, ${image.subformat}`)
}

async function fullText(disk: InspectResult, render: Renderer): Promise<string> {
  const parts = [heading(disk, render), render.facts(diskFacts(disk))]
  if (disk.partitions.length > 0)
    parts.push('', ...bar(disk, render), '', await partitionTable(disk, render, { rows: Infinity, sectors: true }))
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

/** @param options rows: how many are shown without --verbose; sectors: where partitions begin and end. */
export function partitionTable(
  { partitions }: InspectResult,
  render: Renderer,
  options: { rows: number; sectors: boolean },
): Promise<string> {
  const rows = partitions.map((partition) => {
    const { number, firstSector, lastSector, length, type, label, flags, filesystems } = partition
    const { used } = usedPart(partition)
    return [
      `  ${number}`,
      ...(options.sectors ? [String(firstSector), String(lastSector)] : []),
      shortSize(length),
      type.name,
      label ?? '',
      filesystems.map(({ title }) => title).join(' or '),
      used === undefined ? '' : `${Math.round(used * 100)} %`,
      flags.join(', '),
    ]
  })
  const sectors = options.sectors ? ['first sector', 'last sector'] : []
  const headings = ['  no.', ...sectors, 'size', 'type', 'label', 'filesystem', 'used', 'flags']
  return firstRows(render, headings, rows, options.rows)
}

const ranks = ['error', 'warning', 'note'] as const

export function problems({ issues, notes }: InspectResult, render: Renderer): string[] {
  const words = { error: 'Error', warning: 'Warning', note: 'Note' } as const
  const ranked = [...issues].sort((a, b) => ranks.indexOf(a.severity) - ranks.indexOf(b.severity))
  const lines = ranked.map(({ severity, message, command }) => {
    const text = `${words[severity]}: ${message}`
    return [
      severity === 'note' ? render.plain(text) : render.warning(text),
      ...(command === undefined ? [] : [render.plain(`  mend with: ${command}`)]),
    ].join('\n')
  })
  const all = [...lines, ...notes.map(({ message }) => render.warning(`Warning: ${message}`))]
  return all.length === 0 ? [] : ['', ...firstLines(render, all, 3)]
}
