import type { FixTableResult } from '../../operations/partition/fix.js'
import { idsText } from './device.js'
import { targetFact, type View } from './view.js'

export const view: View<FixTableResult> = {
  async text(result, render) {
    const { image, mends, ids, left, target, dryRun } = result
    const lines = [mends.length === 0 ? 'Nothing to mend.' : render.heading(dryRun ? 'Would mend' : 'Mended')]
    lines.push(...mends.map(({ message }) => render.plain(`  ${message}`)))
    if (mends.length > 0)
      lines.push(
        render.facts(
          target === undefined
            ? [['image', `${image.path}${dryRun ? '' : ', in place'}`]]
            : [['image', image.path], targetFact(target)],
        ),
      )
    if (ids.length > 0) lines.push('', await idsText(render, result))
    for (const { severity, message } of left) if (severity !== 'note') lines.push(render.warning(`Left: ${message}`))
    if (dryRun && mends.length > 0) lines.push('Nothing was written (--dry-run).')
    return lines.join('\n')
  },
}
