import type { ContentsInfo, ImageInfo } from '../../operations/inspect/info.js'
import { shellWord } from '../../sys/shell-word.js'
import { printable } from '../../errors.js'
import { fileSizeText, labelOf, shortSize, sizeText, valueText, type Renderer } from '../render.js'
import { firstLines, moreLine, type View } from './view.js'

/** One image, with an empty line behind it; `headers`: every field of its structures, whatever the renderer says. */
export const view: View<ShownInfo> = { text, warnings: () => [] }

interface ShownInfo {
  readonly image: ImageInfo
  readonly headers: boolean
}

async function text({ image, headers }: ShownInfo, render: Renderer): Promise<string> {
  const all = headers || render.verbose
  const parts = [
    render.heading(`${image.path}: ${image.title}, ${image.subformat}`),
    render.facts([...commonFacts(image, all), ...(all ? [] : keyFacts(image))]),
    ...(all ? await sectionTexts(image.sections, headers, render) : []),
  ]
  // What cannot be read is never left out; of the rest some lines are.
  const problems = [image.unreadable?.message, image.missing?.message, ...image.notes.map(({ message }) => message)]
    .filter((message) => message !== undefined)
    .map((message) => render.warning(`Warning: ${message}`))
  if (problems.length > 0) parts.push('', ...(all ? problems : firstLines(render, problems, 5)))
  if (image.missing?.hint !== undefined) parts.push(image.missing.hint)
  if (!all) parts.push('', ...nextSteps(image, render))
  return `${parts.join('\n')}\n`
}

/** What people ask for first among the facts of a format. */
function keyFacts({ sections }: ImageInfo): [string, string][] {
  return sections.flatMap(({ facts }) =>
    facts
      .filter(({ key }) => key === true)
      .map(({ name, label, value, unit }): [string, string] => [labelOf(label ?? name), valueText(value, unit)]),
  )
}

/** Where to look next: at what is stored, and at what is on the disk. */
function nextSteps({ path, sections, missing, unreadable }: ImageInfo, render: Renderer): string[] {
  const titles = sections.filter(({ facts }) => facts.some(({ key }) => key !== true)).map(({ title }) => title)
  const inside = missing === undefined && unreadable === undefined
  return [
    ...(inside ? [render.plain(`What is on the disk: vdisk inspect ${shellWord(path)}`)] : []),
    ...(titles.length === 0 ? [] : [moreLine(render, `the rest: ${titles.join(', ')}`)]),
  ]
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
    ...firstLines(
      render,
      render
        .facts(
          disks.map(({ name, id, size }, index) => [
            String(index + 1),
            `${printable(name ?? id ?? '')}${size === undefined ? '' : `, ${sizeText(size)}`}`,
          ]),
        )
        .split('\n'),
      10,
      '  ',
    ),
    ...(render.verbose ? await sectionTexts(sections, false, render) : []),
    ...(notes.length === 0 ? [] : ['', ...notes.map(({ message }) => render.warning(`Warning: ${message}`))]),
    ...(first === undefined
      ? []
      : [
          '',
          ...(sections.length === 0 || render.verbose ? [] : [moreLine(render, 'its machine')]),
          `One of them: vdisk info ${shellWord(`${path}@disk=${first.name ?? first.id ?? 1}`)}`,
        ]),
  ]
  return `${parts.join('\n')}\n`
}

function commonFacts(image: ImageInfo, all: boolean): [string, string][] {
  const facts: [string, string][] = [
    ['Disk', sizeText(image.capacity)],
    ...(image.size === undefined ? [] : ([['File', fileSizeText(image.size, image.allocated)]] as [string, string][])),
    ['Sector size', `${image.sectorSize} bytes`],
  ]
  if (image.grain > image.sectorSize) facts.push(['Stored in units of', sizeText(image.grain)])
  if (image.identity !== undefined) facts.push(['Identity', image.identity])
  const files = all || image.references.length <= 3 ? image.references : image.references.slice(0, 2)
  for (const { role, path } of files) facts.push([labelOf(role), path])
  if (files.length < image.references.length)
    facts.push(['And', `${image.references.length - files.length} files more`])
  if (image.parent !== undefined) {
    const { names, format, identity } = image.parent
    facts.push(['Names as parent', `${names.join(', ')}${format === undefined ? '' : ` (${format})`}`])
    if (identity !== undefined) facts.push(['Parent identity', identity])
  }
  const shown = all || image.chain.length <= 3 ? image.chain : image.chain.slice(0, 2)
  shown.forEach((layer, depth) =>
    facts.push([
      depth === 0 ? 'Parent found' : 'Its parent',
      `${layer.path} (${layer.format}, ${layer.subformat}, ${shortSize(layer.capacity)})`,
    ]),
  )
  if (shown.length < image.chain.length)
    facts.push([
      'And',
      `${image.chain.length - shown.length} parents of theirs, down to ${image.chain.at(-1)?.path ?? ''}`,
    ])
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
