import { grouped, printable } from '../../errors.js'
import type { DiskMap, MapExtent } from '../../operations/inspect/map.js'
import type { QemuExtent } from '../../operations/inspect/qemu-map.js'
import { sizeText, type Renderer } from '../render.js'
import { moreLine } from './view.js'

/** The map is written line by line: it may have millions of them. */
export class MapText {
  readonly #map: DiskMap
  readonly #render: Renderer
  readonly #width: number

  constructor(map: DiskMap, render: Renderer) {
    this.#map = map
    this.#render = render
    this.#width = Math.max(8, String(map.source.capacity).length)
  }

  /** Runs that are printed; the rest is in the sums. */
  get room(): number {
    return this.#render.verbose ? Infinity : 10
  }

  get head(): string {
    const row = this.#row(['offset', 'length', 'kind', 'depth', 'position', 'file'])
    return `${this.#render.heading(row.trimEnd())}\n`
  }

  line({ offset, length, kind, depth, position, file, storedLength }: MapExtent): string {
    const name = file === undefined ? '' : printable(this.#map.files[file] ?? '')
    const stored = storedLength === undefined ? '' : ` (${storedLength} bytes)`
    const place = position === undefined ? '' : String(position)
    return this.#row([String(offset), String(length), kind, String(depth), place, `${name}${stored}`])
  }

  /** The sums, once all extents were given. */
  get totals(): string {
    const { extents, compressedStored, ...kinds } = this.#map.totals
    const facts = Object.entries(kinds).map(([kind, bytes]): readonly [string, string | undefined] => {
      const stored = kind === 'compressed' ? `, stored in ${sizeText(compressedStored)}` : ''
      return [kind, bytes > 0 ? `${sizeText(bytes)}${stored}` : undefined]
    })
    const more = extents > this.room ? `${moreLine(this.#render, `all ${grouped(extents)} runs`)}\n` : ''
    return `${more}\n${this.#render.facts([['runs', grouped(extents)], ...facts])}\n`
  }

  #row(cells: readonly string[]): string {
    const widths = [0, 0, 10, 5, this.#width]
    const text = cells.map((cell, column) =>
      column < 2 ? cell.padStart(this.#width) : cell.padEnd(widths[column] ?? 0),
    )
    return `${text.join('  ').trimEnd()}\n`
  }
}

/** An element of the array that `qemu-img map --output json` prints. */
export function qemuLine(extent: QemuExtent, index: number): string {
  const { start, length, depth, present, zero, data, compressed, offset } = extent
  const fields: readonly (readonly [string, number | boolean])[] = [
    ['start', start],
    ['length', length],
    ['depth', depth],
    ['present', present],
    ['zero', zero],
    ['data', data],
    ['compressed', compressed],
    ...(offset === undefined ? [] : [['offset', offset] as const]),
  ]
  return `${index === 0 ? '[' : ',\n'}{ ${fields.map(([name, value]) => `"${name}": ${value}`).join(', ')}}`
}
