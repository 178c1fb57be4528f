import type { DoctorResult } from '../../operations/doctor/doctor.js'
import type { DoctorFinding, DoctorVerdict } from '../../operations/doctor/report.js'
import type { Renderer } from '../render.js'
import { firstNames, moreLine, type View } from './view.js'

/** As many as a screen holds; the worst come first. */
const mostFindings = 4

export const view: View<DoctorResult> = { text: (result, render) => text(result, render), warnings: () => [] }

export const verdictTexts: Readonly<Record<DoctorVerdict, string>> = {
  ready: 'ready: nothing was found that keeps it from starting',
  mendable: 'mendable: it does not start as it is; the commands below mend that',
  blocked: 'blocked: it does not start as it is',
  unknown: 'unknown: nothing was found, but something that decides it was not looked into',
}

export const severityTexts: Readonly<Record<DoctorFinding['severity'], string>> = {
  blocks: 'Blocks',
  risk: 'Risk',
  note: 'Note',
}

/** @param mended of a disk that was mended: what was done, before what was found then. */
export function text(
  { image, platform, verdict, operatingSystem, findings, looked, notLooked }: DoctorResult,
  render: Renderer,
  mended?: readonly string[],
): string {
  const parts = [
    ...(mended ?? []),
    render.heading(`${image.path}${platform === undefined ? '' : ` for ${platform.title}`}`),
    render.facts([
      [mended === undefined ? 'verdict' : 'verdict then', verdictTexts[verdict]],
      ['system', operatingSystem ?? 'none was recognised'],
    ]),
  ]
  // One finding is explained in full; of several the first answer has what, where and the remedy.
  const brief = !render.verbose && findings.length > 1
  const shown = brief ? findings.slice(0, mostFindings) : findings
  for (const { id, severity, where, found, wanted, why, remedy } of shown)
    parts.push(
      ...(brief ? [] : ['']),
      severity === 'note'
        ? render.plain(`${severityTexts[severity]} ${id}: ${where}`)
        : render.warning(`${severityTexts[severity]} ${id}: ${where}`),
      render.facts([
        ['found', found],
        ['wanted', brief ? undefined : wanted],
        ['why', brief ? undefined : why],
        [
          remedy.kind === 'command' ? 'mend with' : remedy.kind === 'none' ? 'note' : 'in the guest',
          remedy.text === '' ? undefined : remedy.text,
        ],
      ]),
    )
  if (shown.length < findings.length) parts.push(`and ${findings.length - shown.length} more findings`)
  if (!render.verbose) return [...parts, '', ...firstLooked({ looked, notLooked }, brief, render)].join('\n')
  parts.push('', render.heading('Looked at'), ...looked.map((what) => render.plain(`  - ${what}`)))
  if (notLooked.length > 0)
    parts.push(
      '',
      render.heading('Not looked into'),
      ...notLooked.map(({ what, why }) => render.plain(`  - ${what}: ${why}`)),
    )
  return parts.join('\n')
}

/** How much was looked at, and what was not, which a verdict depends on. */
function firstLooked(
  { looked, notLooked }: Pick<DoctorResult, 'looked' | 'notLooked'>,
  brief: boolean,
  render: Renderer,
): string[] {
  const named = firstNames(
    notLooked.map(({ what }) => what),
    3,
  )
  return [
    render.facts([
      ['looked at', `${looked.length} things`],
      ['not looked into', named.length === 0 ? undefined : named.join(', ')],
    ]),
    moreLine(render, brief ? 'what is wanted and why, and what was looked at' : 'what was looked at, and what was not'),
  ]
}
