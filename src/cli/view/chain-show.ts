import type { ChainLayer, ChainResult } from '../../operations/chain/show.js'
import { shortSize, type Renderer } from '../render.js'
import { firstLines, moreLine, type FactRow, type View } from './view.js'

export const view: View<ChainResult> = {
  warnings: ({ layers }) =>
    layers.flatMap(({ path, notes }) => notes.map(({ message }) => `Warning: ${path}: ${message}`)),
  text({ layers, broken }, render) {
    const lines = render.verbose
      ? layers.flatMap((layer) => [render.heading(`${layer.depth}  ${layer.path}`), render.facts(chainFacts(layer))])
      : firstLines(
          render,
          layers.map((layer) => layerLines(layer, render)),
          6,
        )
    if (!render.verbose) lines.push('', moreLine(render, 'ids, sizes of the files, and what each image needs'))
    if (broken !== undefined) {
      lines.push('', render.warning(broken.message))
      if (broken.looked.length > 0)
        lines.push('Looked for:', ...broken.looked.map((path) => render.facts([['', path]])))
      if (broken.hint !== undefined) lines.push(render.warning(broken.hint))
    }
    return lines.join('\n')
  },
}

/** The image, and what it is: two lines, three where it cannot be read. */
function layerLines(
  { depth, path, format, subformat, capacity, state, unreadable }: ChainLayer,
  render: Renderer,
): string {
  return [
    render.heading(`${depth}  ${path}`),
    render.plain(`   ${format}, ${subformat}, ${shortSize(capacity)}; ${state}`),
    ...(unreadable === undefined ? [] : [render.warning(`   ${unreadable.message}`)]),
  ].join('\n')
}

/** What is known of an image of a chain. */
export function chainFacts(layer: ChainLayer): FactRow[] {
  const { format, subformat, capacity, size, allocated, identity, state, parent, foundBy, unreadable } = layer
  const id = parent?.identity === undefined ? '' : ` with the id ${parent.identity}`
  return [
    ['format', `${format}, ${subformat}`],
    ['disk', shortSize(capacity)],
    ['file', size === undefined ? undefined : `${shortSize(size)}, ${shortSize(allocated ?? 0)} allocated`],
    ['id', identity],
    ['found', foundBy === undefined ? undefined : ways[foundBy]],
    ['state', state],
    ['needs', parent === undefined ? undefined : `${parent.names.join(', ')}${id}`],
    ['unreadable', unreadable?.message],
  ]
}

const ways: Readonly<Record<NonNullable<ChainLayer['foundBy']>, string>> = {
  name: 'where its child says',
  beside: 'beside its child',
  search: 'by --search',
  map: 'by --parent-map',
  allowed: 'by --allow-reference',
}
