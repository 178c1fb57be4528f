import type { ConvertTableResult } from '../../operations/partition/convert.js'
import { optionalSize, sizeText, sourceText } from '../render.js'
import { answer, targetFact, verifiedFact, type View } from './view.js'

export const view: View<ConvertTableResult> = {
  text({ source, target, before, after, dryRun, steps, verified }, render) {
    const table = ({ scheme, sectorSize }: ConvertTableResult['before']): string =>
      `${scheme.toUpperCase()}, sectors of ${sectorSize} bytes`
    return answer(
      render,
      dryRun,
      ['Converted', 'Would convert'],
      [
        ['source', sourceText(source)],
        targetFact(target),
        ['disk', sizeText(target.capacity)],
        ['table before', table(before)],
        ['table now', table(after)],
        ['target file', optionalSize(target.size)],
        verifiedFact(verified, ''),
      ],
      steps,
    )
  },
}
