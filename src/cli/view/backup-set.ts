import type { ListedPoint, SetList } from '../../operations/backup/list.js'
import type { Policy, SetSettings } from '../../operations/backup/settings.js'
import { shortSize, type Renderer } from '../render.js'
import type { FactRow } from './view.js'

/** What a set is of, and how its images are made. */
export function settingsRows(settings: SetSettings): FactRow[] {
  const { source, format, compress, usedOnly, parts, snapshot, fullEvery } = settings
  const { kind, path, model, serial, size } = source
  const disk = [model, shortSize(source.partition?.size ?? size), serial === undefined ? undefined : `serial ${serial}`]
  return [
    ['source', `${kind} ${path} (${disk.filter((text) => text !== undefined).join(', ')})`],
    ['images', [format, compress, usedOnly ? 'what is in use' : 'everything'].filter(Boolean).join(', ')],
    ['partitions', parts?.join(', ')],
    ['snapshot', snapshot],
    ['full image', fullEvery === undefined ? 'the first only' : `after every ${fullEvery} incremental ones`],
    ['policy', policyText(settings)],
  ]
}

function policyText({ keepLast, keepDaily, keepWeekly, keepMonthly }: Policy): string {
  const parts = (
    [
      [keepLast, 'last'],
      [keepDaily, 'daily'],
      [keepWeekly, 'weekly'],
      [keepMonthly, 'monthly'],
    ] as const
  ).flatMap(([count = 0, name]) => (count === 0 ? [] : [`${count} ${name}`]))
  return parts.length === 0 ? 'none: nothing is deleted' : `keep ${parts.join(', ')}`
}

/** One line a point. */
export function pointLines({ points, damaged, others }: SetList, render: Renderer): string[] {
  const lines = points.map((point) => render.plain(pointLine(point)))
  const rest = others.map((name) =>
    render.plain(`${name}  no point: an image that others need, or that was not finished`),
  )
  const unknown = damaged.map(({ time, problem }) => render.plain(`${time}  not known: ${problem}`))
  const all = [...lines, ...unknown, ...rest]
  return all.length === 0 ? ['It has no points yet: vdisk backup run makes one.'] : all
}

function pointLine({ time, kind, size, consistency, kept, unreadable, problem }: ListedPoint): string {
  return [
    time,
    kind.padEnd(11),
    shortSize(size).padStart(11),
    consistency.state,
    kept.length === 0 ? 'not kept by the policy' : `kept: ${kept.join(', ')}`,
    ...(unreadable === 0 ? [] : [`${shortSize(unreadable)} of the disk could not be read`]),
    ...(problem === undefined ? [] : [`cannot be read: ${problem}`]),
  ].join('  ')
}
