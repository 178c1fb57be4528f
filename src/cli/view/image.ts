import type { ImageDiskResult } from '../../operations/imaging/image-result.js'
import { fileSizeText, shortSize, sizeText, type Renderer } from '../render.js'
import { guardLines } from './device.js'
import { nextLines, planLines, unusedFact, type FactRow, type View } from './view.js'

/** Bad ranges that are shown; the map has all. */
const shownRanges = 5

export const view: View<ImageDiskResult> = { warnings, text }

function warnings({ notes, unreadable }: ImageDiskResult): string[] {
  const bad =
    unreadable.bytes === 0
      ? []
      : [
          `${shortSize(unreadable.bytes)} of the source cannot be read, and ` +
            `${unreadable.count === 1 ? 'is' : 'are'} zero in the image: ${rangesText(unreadable)}`,
        ]
  return [...notes.map(({ message }) => message), ...bad].map((text) => `Warning: ${text}`)
}

function rangesText({ count, ranges }: ImageDiskResult['unreadable']): string {
  const shown = ranges.slice(0, shownRanges).map(({ offset, length }) => `${length} bytes at offset ${offset}`)
  return `${shown.join(', ')}${count > shown.length ? `, and ${count - shown.length} more ranges` : ''}`
}

function text(result: ImageDiskResult, render: Renderer): string {
  const { source, target, plan, unreadable, dryRun } = result
  const rows: FactRow[] = [
    ['source', sourceText(source)],
    ['image', `${target.path} (${target.format})`],
    ['child of', parentText(result)],
    ['disk', sizeText(target.capacity)],
    ['state', `${result.consistency.state}: ${result.consistency.why}`],
    unusedFact(result.volumes, shortSize, 'read as zero'),
  ]
  if (dryRun) {
    rows.push(['to be read', sizeText(plan.bytes)])
    return [
      render.heading(result.resumed === true ? 'Would go on with the image' : 'Would image'),
      render.facts(rows),
      ...guardLines(
        render,
        plan.guards.map(({ guard, verdict, why }) => ({ guard, verdict, message: why })),
      ),
      ...planLines(
        render,
        plan.steps.map((message) => ({ message })),
      ),
    ].join('\n')
  }
  if (target.size !== undefined) rows.push(['image file', fileSizeText(target.size, target.allocated)])
  if (unreadable.bytes > 0)
    rows.push([
      'not readable',
      `${sizeText(unreadable.bytes)} in ${unreadable.count} ${unreadable.count === 1 ? 'range' : 'ranges'}, ` +
        `zero in the image${unreadable.map === undefined ? '' : `; listed in ${unreadable.map}`}`,
    ])
  if (result.resumed === true) rows.push(['read again', `${sizeText(result.bytesWritten)}, now in the image`])
  if (result.record !== undefined) rows.push(['record', result.record])
  const rate =
    result.seconds > 0 && result.resumed !== true
      ? `, ${shortSize(Math.round(result.bytesRead / result.seconds / 2 ** 20) * 2 ** 20)} a second`
      : ''
  rows.push(['time', `${result.seconds.toFixed(1)} s${rate}`])
  if (result.verified)
    rows.push([
      'verified',
      `${result.resumed === true ? 'what was put in' : 'the image'}, read back, is what was read from the disk`,
    ])
  const heading =
    result.resumed === true ? 'Went on with the image' : unreadable.bytes > 0 ? 'Imaged in part' : 'Imaged'
  return [
    render.heading(heading),
    render.facts(rows),
    ...(unreadable.bytes > 0 && target.allocated !== undefined
      ? ['`vdisk image SOURCE IMAGE --resume` reads the ranges again that could not be read.']
      : []),
    ...nextLines(render, result.platform),
  ].join('\n')
}

function parentText({ parent }: ImageDiskResult): string | undefined {
  return parent === undefined ? undefined : `${parent.name}, which reading this image needs`
}

function sourceText({ kind, path, model, serial, size, partition }: ImageDiskResult['source']): string {
  const disk = [model, shortSize(size), ...(serial === undefined ? [] : [`serial ${serial}`])]
    .filter((text) => text !== undefined)
    .join(', ')
  if (partition === undefined) return `${kind} ${path} (${disk})`
  return (
    `partition ${partition.number} ${path}${partition.label === undefined ? '' : ` "${partition.label}"`}, ` +
    `${shortSize(partition.size)}, of a disk (${disk})`
  )
}
