import type { CellRow } from '../../operations/inspect/disk-cells.js'
import type { InspectResult } from '../../operations/inspect/inspect.js'
import { html, type Markup } from './html.js'
import {
  bootFacts,
  diskFacts,
  filesystemFacts,
  firmwareTitle,
  partitionFacts,
  partitionName,
  typeText,
} from './inspect-facts.js'
import { diskPicture, mapRows } from './page-map.js'
import { facts, pageHead, section, warning } from './page-parts.js'
import { shortSize } from '../render.js'

/** Nothing is run, and nothing fetched. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

/**
 * What is on a disk as one page that stands alone: no script, and nothing that a browser would fetch; its policy says
 * so to the browser. Texts from the image are escaped. @param first sections before all others.
 */
export function inspectPage(
  disk: InspectResult,
  rows: readonly CellRow[],
  { first = [], maker = 'vdisk inspect' }: { readonly first?: readonly Markup[]; readonly maker?: string } = {},
): string {
  const { image } = disk
  const file = image.path.slice(Math.max(image.path.lastIndexOf('/'), image.path.lastIndexOf('\\')) + 1)
  const name = `${image.part === undefined ? '' : `${image.part} of `}${file}`
  const kind = `${image.format}, ${image.subformat}`
  return html`${pageHead(name, { policy })}
<body>
<header>
<h1>${name}</h1>
<p class="soft">${kind} · ${shortSize(image.capacity)} · ${image.path}</p>
</header>
<main>${[...first, ...diskSections(disk, rows)]}</main>
<footer><p class="soft">Made by ${maker}. The image was only read.</p></footer>
</body>
</html>
`.text
}

/** What is on a disk, as sections of a page. */
export function diskSections(disk: InspectResult, rows: readonly CellRow[]): Markup[] {
  return [
    section('Disk', [disk.partitions.length > 0 ? diskPicture(disk) : html``, facts(diskFacts(disk))]),
    issues(disk),
    section('Stored and used', [legend(rows), ...mapRows(rows, disk)]),
    start(disk),
    contents(disk),
    gaps(disk),
  ]
}

function issues({ issues: found, notes }: InspectResult): Markup {
  if (found.length === 0 && notes.length === 0) return html``
  const words = { error: 'Error', warning: 'Warning', note: 'Note' } as const
  return section('What is wrong', [
    ...found.map(({ severity, message, command }) => {
      const mend = command === undefined ? '' : html`<br>Mend with: <code>${command}</code>`
      return html`<div class="issue ${severity}"><b>${words[severity]}</b> ${message}${mend}</div>`
    }),
    ...notes.map(({ message }) => warning(message)),
  ])
}

function legend(rows: readonly CellRow[]): Markup {
  const used = rows.some((row) => row.used !== undefined)
    ? html`<span class="key used" style="background:var(--used)"></span>in use by its filesystem`
    : ''
  return html`<p><span class="key" style="background:var(--stored);margin-left:0"></span>stored in the image ${used}
<span class="key" style="background:var(--empty)"></span>zero, or free. Paler: only a part of the cell.</p>`
}

function start(disk: InspectResult): Markup {
  const { boot, operatingSystem } = disk
  const { firmware, uncertain, reasons } = boot
  const sure = firmware !== 'none' && uncertain.length < (firmware === 'both' ? 2 : 1)
  const title = firmwareTitle(disk)
  const badge = firmware === 'none' ? 'starts from neither BIOS nor UEFI' : sure ? `starts from ${title}` : title
  const guess =
    operatingSystem.looksLike === undefined
      ? 'No operating system was recognised.'
      : `Looks like ${operatingSystem.looksLike}.`
  return section('Start', [
    html`<p><span class="badge ${sure ? 'yes' : 'no'}">${badge}</span> ${guess}</p>`,
    html`<ul>${reasons.map((reason) => html`<li>${reason}</li>`)}</ul>`,
    facts(bootFacts(disk).slice(1 + reasons.length)),
  ])
}

function contents({ partitions, hybrid, filesystems, sectorSize }: InspectResult): Markup {
  const cards = [
    ...partitions.map((partition) =>
      card(`Partition ${partition.number}: ${partitionName(partition)}`, partitionFacts(partition, sectorSize)),
    ),
    ...filesystems.map((filesystem) =>
      card(`At the disk's first byte: ${filesystem.title}`, filesystemFacts(filesystem)),
    ),
    ...(hybrid.length === 0
      ? []
      : [
          card(
            'Hybrid MBR',
            hybrid.map(({ number, start: first, length, type }) => [
              `partition ${number}`,
              `${typeText(type)}, ${shortSize(length)} from byte ${first}`,
            ]),
          ),
        ]),
  ]
  return html`<div class="cards">${cards}</div>`
}

function card(title: string, rows: readonly (readonly [string, string])[]): Markup {
  return html`<article><h3>${title}</h3>${facts(rows)}</article>`
}

function gaps({ gaps: found }: InspectResult): Markup {
  if (found.length === 0) return html``
  const rows = found.map(({ start: first, length, inside }) => {
    const place = inside === undefined ? '' : `inside extended partition ${inside}`
    return html`<tr><td class="number">${first}</td><td class="number">${first + length - 1}</td>
<td>${shortSize(length)}</td><td>${place}</td></tr>`
  })
  return section('In no partition', [
    html`<div class="scroll"><table>
<tr><th class="number">first byte</th><th class="number">last byte</th><th>size</th><th>where</th></tr>
${rows}</table></div>`,
  ])
}
