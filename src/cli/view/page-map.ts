import type { CellRow } from '../../operations/inspect/disk-cells.js'
import type { InspectResult } from '../../operations/inspect/inspect.js'
import { html, type Markup } from './html.js'
import { partitionName, usedPart } from './inspect-facts.js'
import { shortSize, sizeText } from '../render.js'

const tones = 6
/** A part of the disk with less than this share of it has no room for its name. */
const narrowShare = 0.035

/** The disk to scale: partitions in their order, what belongs to none between them, and how full each is. */
export function diskPicture({ partitions, gaps, image: { capacity } }: InspectResult): Markup {
  const parts = [
    ...partitions
      .filter(({ role }) => role !== 'extended')
      .map((partition, index) => ({ start: partition.start, length: partition.length, partition, index })),
    ...gaps.map(({ start, length }) => ({ start, length, partition: undefined, index: -1 })),
  ].sort((one, other) => one.start - other.start)
  const drawn = parts.map(({ length, partition, index }) => {
    const share = length / capacity
    const width = (share * 10000).toFixed(3)
    const narrow = share < narrowShare ? 'narrow' : ''
    if (partition === undefined) {
      const title = `in no partition: ${shortSize(length)}`
      return html`<div class="gap ${narrow}" style="flex-grow:${width}" title="${title}"></div>`
    }
    const { used } = usedPart(partition)
    const full = used === undefined ? '' : `, ${Math.round(used * 100)} % used`
    const name = `${partition.number} ${partitionName(partition)}`
    const size = `${shortSize(length)}${full}`
    return html`<div class="tone${index % tones} ${narrow}" style="flex-grow:${width}" title="${name}: ${size}">${
      narrow === '' ? html`<span><b>${name}</b><br>${size}</span>` : partition.number
    }${used === undefined ? '' : html`<i style="width:${(Math.min(1, used) * 100).toFixed(2)}%"></i>`}</div>`
  })
  const marks = [0, capacity / 2, capacity].map((at) => html`<span>${at === 0 ? '0' : shortSize(at)}</span>`)
  return html`<div class="disk">${drawn}</div><p class="ruler">${marks}</p>`
}

/** What is stored and used, stretch by stretch. */
export function mapRows(rows: readonly CellRow[], disk: InspectResult): Markup[] {
  return rows.map((row) => {
    const { partition, length, stored, storedBytes, used, usedBytes, cellLength, remarks } = row
    const found = disk.partitions.find(({ number }) => number === partition)
    const name = found === undefined ? (disk.image.part ?? 'The disk') : `${found.number} ${partitionName(found)}`
    const saying = [
      `${shortSize(storedBytes)} stored of ${shortSize(length)}`,
      ...(usedBytes === undefined ? [] : [`${shortSize(usedBytes)} in use`]),
    ].join(', ')
    const strips = [
      strip(stored, 'stored', `${saying}; a cell is ${sizeText(cellLength)}`),
      ...(used === undefined ? [] : [strip(used, 'used', saying)]),
    ]
    const notes = remarks.map((remark) => html`<span class="soft">${remark}</span>`)
    return html`<div class="row"><div><b>${name}</b><br><span class="soft">${saying}</span></div>
<div>${strips}${notes}</div></div>`
  })
}

/** Neighbours of one level as one shape: a page of an empty disk stays small. */
function strip(cells: Uint8Array, kind: 'stored' | 'used', label: string): Markup {
  const shapes: string[] = ['', '', '', '', '']
  for (let start = 0; start < cells.length;) {
    const level = levelOf(cells[start] ?? 0)
    let end = start + 1
    while (end < cells.length && levelOf(cells[end] ?? 0) === level) end++
    shapes[level] = `${shapes[level] ?? ''}M${start} 0h${end - start}v1h-${end - start}z`
    start = end
  }
  const paths = shapes.flatMap((shape, level) =>
    level === 0 || shape === '' ? [] : [html`<path class="${kind} level${level}" d="${shape}"/>`],
  )
  const box = `0 0 ${cells.length} 1`
  const name = `${kind}: ${label}`
  return html`<svg viewBox="${box}" preserveAspectRatio="none" role="img" aria-label="${name}">${paths}</svg>`
}

/** 0: nothing; 1 to 4: how full. */
function levelOf(value: number): number {
  return Math.ceil(value / 64)
}
