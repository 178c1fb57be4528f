import type { ContentsInfo, ImageInfo } from '../../operations/inspect/info.js'
import { shellWord } from '../../sys/shell-word.js'
import { printable } from '../../errors.js'
import { fileSizeText, labelOf, shortSize, sizeText, valueText, type Renderer } from '../render.js'
import type { View } from './view.js'

/** One image, with an empty line behind it; `headers`: every field of its structures. */
export const view: View<ShownInfo> = { text, warnings: () => [] }

interface ShownInfo {
  readonly image: ImageInfo
  readonly headers: boolean
}

async function text({ image, headers }: ShownInfo, render: Renderer): Promise<string> {
  const parts = [
    render.heading(`${image.path}: ${image.title}, ${image.subformat}`),
    render.facts(commonFacts(image)),
    ...(await sectionTexts(image.sections, headers, render)),
  ]
  const problems = [
    ...image.notes.map(({ message }) => message),
    ...[image.unreadable?.message, image.missing?.message].filter((message) => message !== undefined),
  ]
  if (problems.length > 0) parts.push('', ...problems.map((message) => render.warning(`Warning: ${message}`)))
  if (image.missing?.hint !== undefined) parts.push(image.missing.hint)
  return `${parts.join('\n')}\n`
}

async function sectionTexts(
  sections: ImageInfo['sections'],
  headers: boolean,
  render: Renderer,
): Promise<readonly string[]> {
  const parts: string[] = []
  for (const { title, facts, fields } of sections) {
    const shown = headers ? (fields ?? []) : []
    if (facts.length + shown.length > 0) parts.push('', render.heading(title))
    if (facts.length > 0)
      parts.push(
        render.facts(facts.map(({ name, label, value, unit }) => [labelOf(label ?? name), valueText(value, unit)])),
      )
    if (shown.length > 0) parts.push(await fieldTable(render, shown))
  }
  return parts
}

/** A file that holds several disks, with how each is named. */
export async function contentsText(contents: ContentsInfo, render: Renderer): Promise<string> {
  const { path, title, disks, sections, notes } = contents
  const [first] = disks
  const parts = [
    render.heading(`${path}: ${title}, ${disks.length === 1 ? 'one file' : `${disks.length} files`} in it`),
    render.facts(
      disks.map(({ name, id, size }, index) => [
        String(index + 1),
        `${printable(name ?? id ?? '')}${size === undefined ? '' : `, ${sizeText(size)}`}`,
      ]),
    ),
    ...(await sectionTexts(sections, false, render)),
    ...(notes.length === 0 ? [] : ['', ...notes.map(({ message }) => render.warning(`Warning: ${message}`))]),
    ...(first === undefined
      ? []
      : ['', `One of them: vdisk info ${shellWord(`${path}@disk=${first.name ?? first.id ?? 1}`)}`]),
  ]
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
