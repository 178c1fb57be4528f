import { labelOf, renderer, shortSize, sizeText, valueText, type Renderer } from './render.js'

/** The rows of `--headers` and the facts, as the operation gives them (this layer may not import it). */
interface Shown {
  readonly path: string
  readonly title: string
  readonly format: string
  readonly subformat: string
  readonly capacity: number
  readonly size?: number
  readonly allocated?: number
  readonly sectorSize: number
  readonly grain: number
  readonly identity?: string
  readonly chain: readonly {
    readonly path: string
    readonly format: string
    readonly subformat: string
    readonly capacity: number
  }[]
  readonly parent?: { readonly names: readonly string[]; readonly format?: string; readonly identity?: string }
  readonly missing?: { readonly message: string; readonly hint?: string }
  readonly unreadable?: { readonly message: string }
  readonly references: readonly { readonly role: string; readonly path: string }[]
  readonly sections: readonly {
    readonly title: string
    readonly facts: readonly {
      readonly name: string
      readonly label?: string
      readonly value: string | number | bigint | boolean
      readonly unit?: 'bytes' | 'count'
    }[]
    readonly fields?: readonly {
      readonly name: string
      readonly position: number
      readonly length: number
      readonly value: string | number | bigint
      readonly display: string
    }[]
  }[]
  readonly notes: readonly { readonly message: string }[]
}

/** What `vdisk info` says of one image. */
export async function infoText(
  image: Shown,
  headers: boolean,
  output: { isTTY?: boolean; columns?: number },
): Promise<string> {
  const render = await renderer(output)
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

function commonFacts(image: Shown): [string, string][] {
  const facts: [string, string][] = [
    ['Disk', sizeText(image.capacity)],
    ...(image.size === undefined
      ? []
      : ([['File', `${sizeText(image.size)}, ${shortSize(image.allocated ?? 0)} allocated`]] as [string, string][])),
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

function fieldTable(render: Renderer, fields: NonNullable<Shown['sections'][number]['fields']>): Promise<string> {
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
