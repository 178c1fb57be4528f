import type { CellRow } from '../../operations/inspect/disk-cells.js'
import type { DoctorResult } from '../../operations/doctor/doctor.js'
import type { InspectResult } from '../../operations/inspect/inspect.js'
import { severityTexts, verdictTexts } from './doctor.js'
import { html, type Markup } from './html.js'
import { inspectPage } from './inspect-page.js'
import { section } from './page-parts.js'

/** The page of inspect, with what doctor found before everything else. */
export function doctorPage(result: DoctorResult, disk: InspectResult, rows: readonly CellRow[]): string {
  return inspectPage(disk, rows, { first: doctorSections(result), maker: 'vdisk doctor' })
}

/** What doctor found, as sections of a page. */
export function doctorSections({ platform, verdict, findings, looked, notLooked }: DoctorResult): Markup[] {
  const title = `Will it start${platform === undefined ? '' : ` on ${platform.title}`}?`
  const badge = html`<p><span class="badge ${verdict === 'ready' ? 'yes' : 'no'}">${verdictTexts[verdict]}</span></p>`
  const classes = { blocks: 'error', risk: 'warning', note: 'note' } as const
  const issues = findings.map(({ id, severity, where, found, wanted, why, remedy }): Markup => {
    const mend =
      remedy.text === '' ? '' : html`<br>${remedy.kind === 'command' ? 'Mend with:' : ''} <code>${remedy.text}</code>`
    return html`<div class="issue ${classes[severity]}"><b>${severityTexts[severity]} ${id}</b> ${where}: ${found}.
Wanted: ${wanted}. ${why}.${mend}</div>`
  })
  return [
    section(title, [badge, ...issues]),
    section('What was looked at', [html`<ul>${looked.map((what) => html`<li>${what}</li>`)}</ul>`]),
    ...(notLooked.length === 0
      ? []
      : [
          section('What was not looked into', [
            html`<ul>${notLooked.map(({ what, why }) => html`<li>${what}: ${why}</li>`)}</ul>`,
          ]),
        ]),
  ]
}
