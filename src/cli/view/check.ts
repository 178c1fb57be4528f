import type { CheckResult } from '../../operations/check/check.js'
import type { Severity } from '../../operations/check/findings.js'
import type { Renderer } from '../render.js'
import { grouped } from '../../errors.js'
import { firstRows, type View } from './view.js'
import { shellWord } from '../../sys/shell-word.js'

/** For each image one line, then a table of what was found. */
export const view: View<CheckResult> = { text, warnings: () => [] }

async function text(result: CheckResult, render: Renderer): Promise<string> {
  const parts: string[] = []
  for (const { path, title, subformat, checked, repairable, counts, groups, findings } of result.layers) {
    if (parts.length > 0) parts.push('')
    parts.push(render.heading(`${path}: ${title}, ${subformat}: ${checkSummary(counts, checked, result.deep)}`))
    if (findings.length === 0) continue
    parts.push(
      await firstRows(
        render,
        ['  severity', 'code', 'position', 'structure', 'what is wrong'],
        findings.map(({ severity, code, position, structure, message }) => [
          `  ${severity}`,
          code,
          position === undefined ? '' : String(position),
          structure,
          message,
        ]),
        Math.max(3, Math.floor(12 / result.layers.length)),
      ),
    )
    for (const { code, severity, count } of groups) {
      const more = count - findings.filter((finding) => finding.code === code && finding.severity === severity).length
      if (more > 0) parts.push(`  and ${grouped(more)} more ${more === 1 ? severity : `${severity}s`} ${code}`)
    }
    if (repairable) parts.push('', `What of this can be mended: vdisk repair ${shellWord(path)} --dry-run`)
  }
  for (const problem of [result.missing, result.unreadable]) {
    if (problem === undefined) continue
    parts.push('', render.warning(`Error: ${problem.message}`))
    if (problem.hint !== undefined) parts.push(problem.hint)
  }
  return parts.join('\n')
}

/** What a check found, in one line. */
export function checkSummary(counts: Readonly<Record<Severity, number>>, checked: boolean, deep: boolean): string {
  const found = (['error', 'leak', 'warning'] as const)
    .filter((severity) => counts[severity] > 0)
    .map((severity) => `${grouped(counts[severity])} ${severity}${counts[severity] === 1 ? '' : 's'}`)
    .join(', ')
  if (!checked) {
    const not = `not checked, vdisk knows no check of this format's structures${deep ? '; its data was read' : ''}`
    return found === '' ? not : `${found}; ${not}`
  }
  if (found !== '') return found
  return deep ? 'clean; everything it stores was read' : 'clean'
}
