import type { ImageInfo } from '../../operations/inspect/info.js'
import { fileSizeText, labelOf, shortSize, sizeText, valueText, type Renderer } from '../render.js'
import type { View } from './view.js'

/** One image, with an empty line behind it; `headers`: every field of its structures. */
export const view: View<ShownInfo> = { text, warnings: () => [] }

interface ShownInfo {
  readonly image: ImageInfo
  readonly headers: boolean
}

async function text({ image, headers }: ShownInfo, render: Renderer): Promise<string> {
  const parts = [render.heading(`${image.path}: ${image.title}, ${image.subformat}`), render.facts(commonFacts(image))]
  for (const { title, facts, fields } of image.sections) {
    const shown = headers ? (fields ?? []) : []
    if (facts.length + shown.length > 0) parts.push('', render.heading(title))
    if (facts.length > 0)
      parts.push(
        render.facts(facts.map(({ name, label, value, unit }) => [labelOf(label ?? name), valueText(value, unit)])),
      )
    if (shown.length > 0) parts.push(await fieldTable(render, shown))
  }
  const problems = [
    ...image.notes.map(({ message }) => message),
    ...[image.unreadable?.message, image.missing?.message].filter((message) => message !== undefined),
  ]
  if (problems.length > 0) parts.push('', ...problems.map((message) => render.warning(`Warning: ${message}`)))
  if (image.missing?.hint !== undefined) parts.push(image.missing.hint)
  return `${parts.join('\n')}\n`
}

function commonFacts(image: ImageInfo): [string, string][] {
  const facts: [string, string][] = [
    ['Disk', sizeText(image.capacity)],
    ...(image.size === undefined ? [] : ([['File', fileSizeText(image.size, image.allocated)]] as [string, string][])),
    ['Sector size', `${image.sectorSize} bytes`],
  ]
  if (image.grain > image.sectorSize) facts.push(['Stored in units of', sizeText(image.grain)])
  if (image.identity !== undefined) facts.push(['Identity', image.identity])
  for (const { role, path } of image.references) facts.push([labelOf(role), path])
  if (image.parent !== undefined) {
    const { names, format, identity } = image.parent
    facts.push(['Names as parent', `${names.join(', ')}${format === undefined ? '' : ` (${format})`}`])
    if (identity !== undefined) facts.push(['Parent identity', identity])
  }
  image.chain.forEach((layer, depth) =>
    facts.push([
      depth === 0 ? 'Parent found' : 'Its parent',
      `${layer.path} (${layer.format}, ${layer.subformat}, ${shortSize(layer.capacity)})`,
    ]),
  )
  return facts
}

function fieldTable(render: Renderer, fields: NonNullable<ImageInfo['sections'][number]['fields']>): Promise<string> {
  return render.table(
    ['  position', 'length', 'field', 'value'],
    fields.map(({ name, position, length, value, display }) => [
      `  ${position}`,
      String(length),
      name,
      display === 'hex' && typeof value !== 'string'
        ? `0x${value.toString(16).padStart(length * 2, '0')}`
        : valueText(value),
    ]),
  )
}
