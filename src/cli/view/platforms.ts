import type { OtherController, Platform, PlatformFormat } from '../../platforms/index.js'
import { shortSize, type Renderer } from '../render.js'
import { moreLine, type FactRow, type View } from './view.js'

/** All platforms by what they take, in a table with --verbose; one alone with its rules, or everything about it. */
export const view: View<{ readonly platforms: readonly Platform[] }> = {
  async text({ platforms }, render) {
    const [one, ...others] = platforms
    if (one !== undefined && others.length === 0) return platformText(one, render)
    if (!render.verbose) return platformList(platforms, render)
    return await render.table(
      ['platform', 'takes', 'size', 'firmware', 'what it is'],
      platforms.map((platform) => [
        platform.id,
        platform.packing === undefined
          ? platform.formats.map(({ format }) => format).join(' ')
          : `${platform.packing.extensions[0] ?? ''} of ${platform.formats[0]?.format ?? ''}`,
        platform.multiple === undefined ? 'any' : `multiple of ${shortSize(platform.multiple.bytes)}`,
        platform.firmware.join(' '),
        platform.title,
      ]),
    )
  },
}

/** Their ids, by the format that is made for them where no name chooses another. */
function platformList(platforms: readonly Platform[], render: Renderer): string {
  const byFormat = new Map<string, string[]>()
  for (const { id, packing, formats } of platforms) {
    const format = formats[0]?.format ?? 'nothing that vdisk makes'
    const takes = packing === undefined ? format : `${packing.extensions[0] ?? ''} of ${format}`
    byFormat.set(takes, [...(byFormat.get(takes) ?? []), id])
  }
  return [
    render.heading('The format that --for makes, where the name of the target says no other'),
    render.facts([...byFormat].map(([format, ids]) => [format, ids.join(' ')])),
    '',
    render.plain('What one takes: vdisk platforms azure-gen2'),
    moreLine(render, 'a table of formats, sizes and firmware'),
  ].join('\n')
}

function platformText(platform: Platform, render: Renderer): string {
  const { id, title, packing, multiple, limits, parents, firmware, table, cpus, drivers, windows } = platform
  const rows: FactRow[] = [
    ...platform.formats.map((format, index): FactRow => [index === 0 ? 'takes' : '', formatText(format)]),
    ['packed', packing?.title],
    ['or', platform.appliance === undefined ? undefined : 'an OVA (.ova)'],
    ['around it', platform.compressed?.map((extension) => `.${extension}`).join(' ')],
    ['size', multiple === undefined ? 'whole sectors' : `a multiple of ${shortSize(multiple.bytes)}`],
    ...limits.flatMap(({ least, most, of }): FactRow[] => [
      ['at least', least === undefined ? undefined : `${shortSize(least)}: ${of}`],
      ['at most', most === undefined ? undefined : `${shortSize(most)}: ${of}`],
    ]),
    ['parents', parents ? 'yes' : 'no'],
    ['firmware', `${firmware.join(', ')}${platform.secureBoot === true ? ', with Secure Boot' : ''}`],
    ['table', table?.schemes.join(', ')],
    ['CPU', cpus?.join(', ')],
    ['disk drivers', drivers?.disk.map((set) => set.join(' + ')).join(', or ')],
    ['or a controller', platform.otherControllers?.map(controllerText).join(', ')],
    ['network drivers', drivers?.net.map((set) => set.join(' + ')).join(', or ')],
    ['Windows', windows === false ? 'does not start there' : undefined],
    ['its disk drivers', windows === false ? undefined : windows?.disk.map((set) => set.join(' + ')).join(', or ')],
    ['cloud-init', platform.datasources?.join(', ')],
    ['agents', platform.agents?.map((agent) => agent.title).join(', ')],
  ]
  const first = ['takes', '', 'packed', 'or', 'size', 'at most', 'firmware', 'table']
  return [
    render.heading(`${id}: ${title}`),
    render.facts(render.verbose ? rows : rows.filter(([label]) => first.includes(label))),
    ...(platform.rules.length === 0 ? [] : ['', render.heading('Rules')]),
    ...platform.rules.map(({ text, certainty }) =>
      render.plain(`  - ${text}${certainty === 'unconfirmed' ? ' (not confirmed)' : ''}`),
    ),
    '',
    ...(render.verbose
      ? [render.heading('Afterwards'), ...platform.next.map((step) => render.plain(`  ${step}`))]
      : [
          render.plain(`Make an image for it: vdisk convert SOURCE TARGET --for ${id}`),
          moreLine(render, 'limits, drivers, agents, and the commands that follow'),
        ]),
  ].join('\n')
}

function formatText({ format, required = {}, advised = {}, refused = {} }: PlatformFormat): string {
  const parts = [
    ...Object.entries(required).map(([name, value]) => `${name}=${value}`),
    ...Object.entries(advised).map(([name, value]) => `${name}=${value} advised`),
    ...Object.entries(refused).map(
      ([name, values]) => `no ${name}${values.includes('') ? '' : `=${values.join(', ')}`}`,
    ),
  ]
  return parts.length === 0 ? format : `${format} (${parts.join(', ')})`
}

/** UEFI sees no disk on some. */
function controllerText({ title, drivers, firmware }: OtherController): string {
  return `${title} (${drivers.join(' + ')}${firmware.includes('uefi') ? '' : '; BIOS alone'})`
}
