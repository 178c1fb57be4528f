import type { FormatInfo, WrapperInfo } from '../../operations/inspect/formats.js'
import type { Renderer } from '../render.js'
import type { View } from './view.js'

/** All formats in a table; one alone (without `wrappers`) with its options. */
export const view: View<{ readonly formats: readonly FormatInfo[]; readonly wrappers?: readonly WrapperInfo[] }> = {
  async text({ formats, wrappers }, render) {
    if (wrappers === undefined)
      return (await Promise.all(formats.map((format) => formatText(format, render)))).join('\n')
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

async function formatText(format: FormatInfo, render: Renderer): Promise<string> {
  const parts = [
    render.heading(`${format.id}: ${format.title}`),
    render.facts([
      ['extensions', extensionsText(format)],
      ['can be made', yesNo(format.canCreate)],
      ['parents', parentsText[format.parents]],
      ['snapshots', yesNo(format.snapshots)],
      ['from', format.origin],
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
  parts.push(...(await optionTable(render, 'reading option (--from-option NAME=VALUE)', format.openOptions)))
  return parts.join('\n')
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
