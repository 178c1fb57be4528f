import type { ConvertResult } from '../../operations/transfer/convert.js'
import { optionalSize, sizeText } from '../render.js'
import { answer, targetFact, verifiedFact, type View } from './view.js'

export const view: View<ConvertResult & { readonly image: string; readonly snapshot: string }> = {
  text({ image, snapshot, target, dryRun, verified }, render) {
    return answer(
      render,
      dryRun,
      ['Extracted', 'Would extract'],
      [
        ['image', image],
        ['snapshot', snapshot],
        targetFact(target),
        ['disk', sizeText(target.capacity)],
        ['target file', optionalSize(target.size)],
        verifiedFact(verified, ', equals the snapshot'),
      ],
    )
  },
}
