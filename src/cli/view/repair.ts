import type { RepairResult } from '../../operations/check/repair.js'
import { fileSizeText, type Renderer } from '../render.js'
import { grouped } from '../../errors.js'
import type { View } from './view.js'

/** What was done, and what is left. */
export const view: View<RepairResult> = { text }

async function text(result: RepairResult, render: Renderer): Promise<string> {
  const { image, target, dryRun, inPlace, actions, actionCount, remaining } = result
  const where = inPlace || target === undefined ? '' : `, in the copy ${target.path}`
  const done = actionCount === 0 ? 'nothing to mend' : dryRun ? 'would be mended' : 'mended'
  const parts = [render.heading(`${image.path}: ${image.title}: ${done}${where}`)]
  if (actions.length > 0)
    parts.push(await render.table(['  for', 'position', 'structure', 'what is done'], actions.map(cells)))
  if (actionCount > actions.length) parts.push(`  and ${grouped(actionCount - actions.length)} more`)
  if (target !== undefined) parts.push(`  file  ${fileSizeText(target.size, target.allocated)}`)
  parts.push(...(await leftText(render, remaining, dryRun)))
  if (dryRun) parts.push('Nothing was written (--dry-run).')
  return parts.join('\n')
}

async function leftText(
  render: Renderer,
  { counts, groups, findings }: RepairResult['remaining'],
  dryRun: boolean,
): Promise<string[]> {
  const left = (['error', 'leak', 'warning'] as const)
    .filter((severity) => counts[severity] > 0)
    .map((severity) => `${grouped(counts[severity])} ${severity}${counts[severity] === 1 ? '' : 's'}`)
  if (left.length === 0) return [dryRun ? 'A check would find nothing afterwards.' : 'A check finds nothing now.']
  const parts = [render.warning(`Left, and not to be mended without guessing: ${left.join(', ')}`)]
  parts.push(
    await render.table(
      ['  severity', 'code', 'position', 'structure', 'what is wrong'],
      findings.map((finding) => [`  ${finding.severity}`, finding.code, ...cells(finding).slice(1)]),
    ),
  )
  for (const { code, severity, count } of groups) {
    const more = count - findings.filter((finding) => finding.code === code && finding.severity === severity).length
    if (more > 0) parts.push(`  and ${grouped(more)} more ${more === 1 ? severity : `${severity}s`} ${code}`)
  }
  return parts
}

function cells({
  code,
  position,
  structure,
  message,
}: RepairResult['actions'][number] | RepairResult['remaining']['findings'][number]): string[] {
  return [`  ${code}`, position === undefined ? '' : String(position), structure, message]
}
