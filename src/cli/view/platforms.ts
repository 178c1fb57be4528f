import type { Platform, PlatformFormat } from '../../platforms/index.js'
import { shortSize, type Renderer } from '../render.js'
import type { FactRow, View } from './view.js'

/** All platforms in a table; one alone with everything about it. */
export const view: View<{ readonly platforms: readonly Platform[] }> = {
  async text({ platforms }, render) {
    const [one, ...others] = platforms
    if (one !== undefined && others.length === 0) return platformText(one, render)
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
    ['firmware', firmware.join(', ')],
    ['table', table?.schemes.join(', ')],
    ['CPU', cpus?.join(', ')],
    ['disk drivers', drivers?.disk.map((set) => set.join(' + ')).join(', or ')],
    ['network drivers', drivers?.net.map((set) => set.join(' + ')).join(', or ')],
    ['Windows', windows === false ? 'does not start there' : undefined],
    ['its disk drivers', windows === false ? undefined : windows?.disk.map((set) => set.join(' + ')).join(', or ')],
    ['cloud-init', platform.datasources?.join(', ')],
    ['agents', platform.agents?.map((agent) => agent.title).join(', ')],
  ]
  return [
    render.heading(`${id}: ${title}`),
    render.facts(rows),
    ...(platform.rules.length === 0 ? [] : ['', render.heading('Rules')]),
    ...platform.rules.map(({ text, certainty }) =>
      render.plain(`  - ${text}${certainty === 'unconfirmed' ? ' (not confirmed)' : ''}`),
    ),
    '',
    render.heading('Afterwards'),
    ...platform.next.map((step) => render.plain(`  ${step}`)),
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
