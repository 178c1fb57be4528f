import type { DoctorResult } from '../../operations/doctor/doctor.js'
import type { DoctorFinding, DoctorVerdict } from '../../operations/doctor/report.js'
import type { Renderer } from '../render.js'
import type { View } from './view.js'

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
  for (const { id, severity, where, found, wanted, why, remedy } of findings)
    parts.push(
      '',
      severity === 'note'
        ? render.plain(`${severityTexts[severity]} ${id}: ${where}`)
        : render.warning(`${severityTexts[severity]} ${id}: ${where}`),
      render.facts([
        ['found', found],
        ['wanted', wanted],
        ['why', why],
        [
          remedy.kind === 'command' ? 'mend with' : remedy.kind === 'none' ? 'note' : 'in the guest',
          remedy.text === '' ? undefined : remedy.text,
        ],
      ]),
    )
  parts.push('', render.heading('Looked at'), ...looked.map((what) => render.plain(`  - ${what}`)))
  if (notLooked.length > 0)
    parts.push(
      '',
      render.heading('Not looked into'),
      ...notLooked.map(({ what, why }) => render.plain(`  - ${what}: ${why}`)),
    )
  return parts.join('\n')
}
