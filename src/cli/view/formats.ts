import type { FormatInfo, WrapperInfo } from '../../operations/inspect/formats.js'
import type { Renderer } from '../render.js'
import { moreLine, type View } from './view.js'

/**
 * All formats by what can be done with them, in tables with --verbose; one alone (without `wrappers`) with its
 * options.
 */
export const view: View<{ readonly formats: readonly FormatInfo[]; readonly wrappers?: readonly WrapperInfo[] }> = {
  async text({ formats, wrappers }, render) {
    if (wrappers === undefined)
      return (await Promise.all(formats.map((format) => formatText(format, render)))).join('\n')
    if (!render.verbose) return formatLists(formats, wrappers, render)
    const formatTable = await render.table(
      ['format', 'read', 'write', 'kinds', 'parents', 'snapshots', 'compression', 'sectors', 'extensions', 'from'],
      formats.map((format) => [
        format.id,
        'yes',
        yesNo(format.canCreate),
        format.subformats.map(({ id }) => id).join(' '),
        parentsText[format.parents],
        yesNo(format.snapshots),
        format.compression.join(' ') || 'no',
        format.sectorSizes.join(' '),
        extensionsText(format),
        format.origin,
      ]),
    )
    const wrapperTable = await render.table(
      ['around any image', 'read', 'write', 'how it is reached', 'extensions'],
      wrappers.map((wrapper) => [wrapper.id, 'yes', yesNo(wrapper.canCreate), wrapper.access, extensionsText(wrapper)]),
    )
    return `${formatTable}\n\n${wrapperTable}`
  },
}

function formatLists(formats: readonly FormatInfo[], wrappers: readonly WrapperInfo[], render: Renderer): string {
  const ids = (some: readonly { readonly id: string }[]): string | undefined =>
    some.length === 0 ? undefined : some.map(({ id }) => id).join(' ')
  const [first] = formats.filter(({ canCreate, options }) => canCreate && options.length > 0)
  return [
    render.facts([
      ['read and written', ids(formats.filter(({ canCreate }) => canCreate))],
      ['read', ids(formats.filter(({ canCreate }) => !canCreate))],
      ['around any image', ids(wrappers)],
      ['of those written', ids(wrappers.filter(({ canCreate }) => canCreate))],
      ['from plug-ins', ids(formats.filter(({ origin }) => origin !== 'vdisk'))],
    ]),
    '',
    ...(first === undefined ? [] : [render.plain(`Kinds and options of one: vdisk formats ${first.id}`)]),
    moreLine(render, 'what each can do, and the extensions'),
  ].join('\n')
}

async function formatText(format: FormatInfo, render: Renderer): Promise<string> {
  const parts = [
    render.heading(`${format.id}: ${format.title}`),
    render.facts([
      ['extensions', extensionsText(format)],
      ['vdisk', abilities(format)],
      ['from', format.origin === 'vdisk' && !render.verbose ? undefined : format.origin],
    ]),
  ]
  if (format.subformats.length > 0)
    parts.push(
      '',
      await render.table(
        ['kind', 'what it is'],
        format.subformats.map(({ id, summary }) => [id, summary]),
      ),
    )
  parts.push(...(await optionTable(render, 'option (-o NAME=VALUE)', format.options)))
  if (render.verbose)
    parts.push(...(await optionTable(render, 'reading option (--from-option NAME=VALUE)', format.openOptions)))
  else if (format.openOptions.length > 0)
    parts.push('', moreLine(render, `options for reading: ${format.openOptions.map(({ name }) => name).join(', ')}`))
  return parts.join('\n')
}

function abilities({ canCreate, parents, snapshots }: FormatInfo): string {
  const parts = [
    canCreate ? 'reads and makes it' : 'reads it',
    parents === 'none'
      ? 'without parents'
      : parents === 'read'
        ? 'reads children of others'
        : 'reads and makes children',
    ...(snapshots ? ['reads its snapshots'] : []),
  ]
  return parts.join(', ')
}

async function optionTable(render: Renderer, heading: string, options: FormatInfo['options']): Promise<string[]> {
  if (options.length === 0) return []
  const rows = options.map(({ name, type, choices, default: usual, summary }) => [
    name,
    choices?.join(' ') ?? type,
    usual === undefined ? '' : String(usual),
    summary,
  ])
  return ['', await render.table([heading, 'values', 'default', 'what it does'], rows)]
}

const parentsText: Readonly<Record<FormatInfo['parents'], string>> = { none: 'no', read: 'read', create: 'read, make' }

function extensionsText({ extensions }: { readonly extensions: readonly string[] }): string {
  return extensions.map((extension) => `.${extension}`).join(' ')
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}
