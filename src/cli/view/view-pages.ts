import type { ChainLayer, ChainResult } from '../../operations/chain/show.js'
import type { SnapshotListResult } from '../../operations/change/snapshot.js'
import type { CheckResult, LayerCheck } from '../../operations/check/check.js'
import type { FileList } from '../../operations/files/list.js'
import type { ListedFile } from '../../operations/files/listed-files.js'
import type { Problem } from '../../operations/inspect/info.js'
import { listPlatforms } from '../../operations/inspect/platforms.js'
import { link } from '../../operations/view/links.js'
import type { FilesPlace, PageFrame, PageName, ViewPages } from '../../operations/view/pages.js'
import { lastPart } from '../../sys/host-path.js'
import { shortSize } from '../render.js'
import { chainFacts } from './chain-show.js'
import { checkSummary } from './check.js'
import { doctorSections } from './doctor-page.js'
import { html, type Markup } from './html.js'
import { diskSections } from './inspect-page.js'
import { modeText } from './ls.js'
import { facts, pageHead, problemText, section, warning } from './page-parts.js'
import { snapshotColumns, snapshotRows } from './snapshot-list.js'
import { choice, job } from './view-restore.js'
import { restoreScript } from './view-script.js'
import { viewStyle } from './view-style.js'

const titles: Readonly<Record<PageName, string>> = {
  images: 'Images',
  overview: 'Disk',
  files: 'Files',
  check: 'Check',
  doctor: 'Will it start?',
  chain: 'Chain and snapshots',
  restore: 'Restore',
}

/** The pages of `vdisk view`, as HTML. Texts from images are escaped. */
export const viewPages: ViewPages = {
  start,
  end: () => '</main>\n</body>\n</html>\n',
  images: (frame) => section('Images', [imageList(frame)]).text,
  overview: (disk, rows) => joined(diskSections(disk, rows)),
  places: (places) => placeList(places).text,
  files: (list, part) => files(list, part).text,
  beforeCheck: () => beforeCheck().text,
  waiting: (text) => html`<p class="waiting" role="status">${text}</p>`.text,
  checked: (result) => joined(checked(result)),
  platforms: (chosen) => platformForm(chosen).text,
  diagnosed: (result) => joined(doctorSections(result)),
  chain: (result, snapshots) => joined(chain(result, snapshots)),
  choice: (frame, choices) => choice(frame, choices).text,
  job: (frame, current) => joined(job(frame, current)),
  problem: (problem) => problemSection(problem).text,
  script: restoreScript,
}

function joined(parts: readonly Markup[]): string {
  return parts.map(({ text }) => text).join('\n')
}

function start(frame: PageFrame): string {
  const { page, root, image, images, live } = frame
  const name = image === undefined ? undefined : images[image]
  const title = name === undefined ? titles[page] : `${titles[page]}: ${lastPart(name)}`
  const script = live === true ? `${root}restore/script.js` : undefined
  return html`${pageHead(title, { style: viewStyle, script })}
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>${name === undefined ? 'vdisk' : lastPart(name)}</h1>
${name === undefined ? '' : html`<p class="soft">${name}</p>`}
${navigation(frame)}
</header>
<main id="content">
`.text
}

function navigation({ page, root, image, images, restores }: PageFrame): Markup {
  const entry = (name: PageName, to: string): Markup =>
    html`<li><a href="${to}"${name === page ? html` aria-current="page"` : ''}>${titles[name]}</a></li>`
  const own = (['overview', 'files', 'check', 'doctor', 'chain'] as const).map((name) =>
    entry(name, `${root}${(image ?? 0) + 1}/${name === 'overview' ? '' : name}`),
  )
  return html`<nav aria-label="Pages"><ul>${[
    ...(images.length === 1 && image !== undefined ? [] : [entry('images', root)]),
    ...(image === undefined ? [] : own),
    ...(restores ? [entry('restore', `${root}restore/`)] : []),
  ]}</ul></nav>`
}

function imageList({ root, images }: PageFrame): Markup {
  return html`<ul>${images.map((name, index) => html`<li><a href="${root}${index + 1}/">${name}</a></li>`)}</ul>`
}

function placeList(places: readonly FilesPlace[]): Markup {
  if (places.length === 0) return section('Files', [html`<p>No filesystem that vdisk can read is in this image.</p>`])
  const rows = places.map(
    ({ part, title, size }) =>
      html`<li><a href="${link('files', { part, path: '/' })}">${title}</a>
${size === undefined ? '' : html`<span class="soft">${shortSize(size)}</span>`}</li>`,
  )
  return section('Where to look', [html`<ul>${rows}</ul>`])
}

function files({ path, filesystem, files: found, failures, notes }: FileList, part: string): Markup {
  const folders = path === '/' ? [] : path.slice(1).split('/')
  const crumbs = ['/', ...folders].map((name, index) => {
    const to = `/${folders.slice(0, index).join('/')}`
    return index === folders.length
      ? html`<li aria-current="location">${name}</li>`
      : html`<li><a href="${link('files', { part, path: to })}">${name}</a></li>`
  })
  const rows = found.map((file) => fileRow(file, part))
  return section('Files', [
    html`<nav aria-label="Folder"><ol class="crumbs">${crumbs}</ol></nav>`,
    ...[...notes, ...failures].map(({ message }) => warning(message)),
    found.length === 0
      ? html`<p>This folder is empty.</p>`
      : html`<div class="scroll"><table>
<caption class="soft">${found.length} in ${path} (${filesystem})</caption>
<thead><tr><th scope="col">name</th><th scope="col" class="number">bytes</th><th scope="col">changed (UTC)</th>
<th scope="col">mode</th><th scope="col">owner</th></tr></thead>
<tbody>${rows}</tbody></table></div>`,
  ])
}

const kindTitles: Readonly<Record<ListedFile['kind'], string>> = {
  file: 'file',
  directory: 'folder',
  link: 'link',
  device: 'device',
  other: 'other',
}

function fileRow({ name, path, kind, size, modified, mode, owner, group, target }: ListedFile, part: string): Markup {
  const text = kind === 'directory' ? `${name}/` : name
  const shown =
    kind === 'directory'
      ? html`<a href="${link('files', { part, path })}">${text}</a>`
      : kind === 'file'
        ? html`<a href="${link('file', { part, path })}" download>${text}</a>`
        : html`${text} <span class="soft">${kindTitles[kind]}${target === undefined ? '' : html` → ${target}`}</span>`
  return html`<tr><td>${shown}</td><td class="number">${kind === 'directory' ? '' : size}</td>
<td>${modified.slice(0, 19).replace('T', ' ')}</td><td><code>${mode === undefined ? '' : modeText(mode)}</code></td>
<td>${owner === undefined ? '' : `${owner}:${group ?? ''}`}</td></tr>`
}

function beforeCheck(): Markup {
  return section('Check', [
    html`<p>Checks every structure of the image and of its parents, and that they belong together.
Nothing is written.</p>
<form method="get" action="check">
<button name="start" value="structures">Check the structures</button>
<button name="start" value="deep">Also read everything that is stored</button>
</form>`,
  ])
}

function checked(result: CheckResult): Markup[] {
  const problems = [result.missing, result.unreadable].filter((one) => one !== undefined)
  return [
    section('Check', [
      html`<p><span class="badge ${result.clean ? 'yes' : 'no'}">${result.clean ? 'clean' : 'not clean'}</span></p>`,
      ...problems.map((one) => problemText(one)),
    ]),
    ...result.layers.map((layer) => layerCheck(layer, result.deep)),
  ]
}

function layerCheck(layer: LayerCheck, deep: boolean): Markup {
  const { path, title, subformat, counts, findings, repairable } = layer
  const rows = findings.map(
    ({ severity, code, position, structure, message }) =>
      html`<tr><td class="${severity === 'error' ? 'error' : 'warning'}"><b>${severity}</b></td><td>${code}</td>
<td class="number">${position ?? ''}</td><td>${structure}</td><td>${message}</td></tr>`,
  )
  return section(`${lastPart(path)}: ${title}, ${subformat}`, [
    html`<p>${checkSummary(counts, layer.checked, deep)}</p>`,
    rows.length === 0
      ? html``
      : html`<div class="scroll"><table><thead><tr><th scope="col">severity</th><th scope="col">code</th>
<th scope="col" class="number">position</th><th scope="col">structure</th>
<th scope="col">what is wrong</th></tr></thead>
<tbody>${rows}</tbody></table></div>`,
    repairable && findings.length > 0
      ? html`<p>What of this can be mended: <code>vdisk repair ${path} --dry-run</code></p>`
      : html``,
  ])
}

function platformForm(chosen: string | undefined): Markup {
  const options = listPlatforms().map(
    ({ id, title }) => html`<option value="${id}"${id === chosen ? html` selected` : ''}>${title}</option>`,
  )
  return html`<form method="get" action="doctor"><label for="for">Where is it to start?</label>
<select id="for" name="for"><option value="">anywhere</option>${options}</select> <button>Look</button></form>`
}

function chain({ layers, broken }: ChainResult, snapshots: SnapshotListResult | undefined): Markup[] {
  const boxes = layers.map(
    (layer) => html`<li class="${layer.state === 'broken' ? 'broken' : ''}">${layerBox(layer)}</li>`,
  )
  const missing = broken === undefined ? [] : [html`<li class="missing" role="alert">${problemText(broken)}</li>`]
  return [
    section(layers.length === 1 && broken === undefined ? 'A single image' : 'Chain', [
      html`<p class="soft">Each image reads what it does not store from the one below it.</p>
<ol class="chain">${[...boxes, ...missing]}</ol>`,
    ]),
    ...(snapshots === undefined ? [] : [snapshotSection(snapshots)]),
  ]
}

function layerBox(layer: ChainLayer): Markup {
  return html`<h3>${lastPart(layer.path)}</h3>${facts([['path', layer.path], ...chainFacts(layer)])}`
}

function snapshotSection({ snapshots }: SnapshotListResult): Markup {
  if (snapshots.length === 0) return section('Snapshots', [html`<p>There are none in this image.</p>`])
  const marks = snapshots.map(
    ({ name, date }) => html`<li><b>${name}</b><br><span class="soft">${date?.slice(0, 10) ?? ''}</span></li>`,
  )
  return section('Snapshots', [
    html`<ol class="timeline">${[...marks, html`<li class="now"><b>the disk now</b></li>`]}</ol>
<div class="scroll"><table><thead><tr>${snapshotColumns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${snapshotRows(snapshots).map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
</table></div>`,
  ])
}

function problemSection(problem: Problem): Markup {
  return html`<section role="alert"><h2>That did not work</h2>${problemText(problem)}</section>`
}
