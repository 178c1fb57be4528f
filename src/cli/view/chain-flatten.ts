import type { FlattenResult } from '../../operations/chain/show.js'
import { optionalSize, sizeText } from '../render.js'
import { answer, targetFact, verifiedFact, type FactRow, type View } from './view.js'

export const view: View<FlattenResult> = {
  text({ target, flattened, parent, dryRun, steps, verified }, render) {
    return answer(
      render,
      dryRun,
      ['Flattened', 'Would flatten'],
      [
        ...flattened.map((path, depth): FactRow => [depth === 0 ? 'images' : '', path]),
        targetFact(target),
        ['its parent', parent],
        ['disk', sizeText(target.capacity)],
        ['target file', optionalSize(target.size)],
        verifiedFact(verified, ', equals the chain'),
      ],
      steps,
    )
  },
}
