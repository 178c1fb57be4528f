import type { MendReport, MendResult } from '../../operations/doctor/mending/mend.js'
import type { Renderer } from '../render.js'
import { text } from './doctor.js'
import { targetFact, type View } from './view.js'

/** Characters of a run of bytes that are shown. */
const longestShown = 160

export const view: View<MendResult> = {
  text: (result, render) => text(result, render, mendLines(result.image.path, result.mend, render)),
}

/** What was mended, and of a dry run every range of bytes. */
function mendLines(path: string, { mended, ranges, dryRun, target }: MendReport, render: Renderer): string[] {
  if (mended.length === 0) return ['Nothing was found that can be mended here.', '']
  const lines = [render.heading(dryRun ? 'Would mend' : 'Mended')]
  for (const { id, where, found, wanted } of mended)
    lines.push(render.plain(`  ${id}: ${where}`), render.plain(`    ${found} becomes ${wanted}`))
  lines.push(
    render.facts(
      target === undefined
        ? [['image', `${path}${dryRun ? '' : ', in place'}`]]
        : [['image', path], targetFact(target)],
    ),
  )
  if (dryRun)
    for (const { file, position, length, old, new: now } of ranges)
      lines.push(
        render.plain(`  ${file}: ${length} bytes from byte ${position} of the disk`),
        render.plain(`    - ${bytesText(old)}`),
        render.plain(`    + ${bytesText(now)}`),
      )
  if (dryRun) lines.push('Nothing was written (--dry-run).')
  return [...lines, '']
}

/** Text where it is one, else hexadecimal; long runs are cut off. */
function bytesText(hex: string): string {
  const bytes = Buffer.from(hex, 'hex')
  const isText = bytes.every((byte) => byte === 9 || byte === 10 || (byte >= 32 && byte < 127))
  const shown = isText ? JSON.stringify(bytes.toString('latin1')) : hex
  return shown.length > longestShown ? `${shown.slice(0, longestShown)} …` : shown
}
