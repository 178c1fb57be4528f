import type { ConvertResult } from '../../operations/transfer/convert.js'
import { fileSizeText, shortSize, sizeText, sourceText } from '../render.js'
import { answer, nextLines, targetFact, unusedFact, verifiedFact, type View } from './view.js'

export const view: View<ConvertResult> = {
  text({ source, target, volumes, dryRun, steps, seconds, verified, platform }, render) {
    const equal = platform?.table.length === 0 ? '' : ' but for its partition table'
    const shown = answer(
      render,
      dryRun,
      ['Converted', 'Would convert'],
      [
        ['source', sourceText(source)],
        targetFact(target),
        ['disk', sizeText(target.capacity)],
        ['target file', target.size === undefined ? undefined : fileSizeText(target.size, target.allocated)],
        unusedFact(volumes, shortSize, 'read as zero'),
        ['time', dryRun ? undefined : `${seconds.toFixed(1)} s`],
        verifiedFact(verified, `, equals the source${platform === undefined ? '' : equal}`),
      ],
      steps,
    )
    return [shown, ...nextLines(render, platform)].join('\n')
  },
}
