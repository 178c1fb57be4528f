import type { CreateResult } from '../../operations/transfer/create.js'
import { optionalSize, sizeText } from '../render.js'
import { answer, nextLines, targetFact, type View } from './view.js'

export const view: View<CreateResult> = {
  text({ target, parent, dryRun, platform }, render) {
    const shown = answer(
      render,
      dryRun,
      ['Created', 'Would create'],
      [
        targetFact(target),
        ['disk', sizeText(target.capacity)],
        ['parent', parent === undefined ? undefined : `${parent.path} (${parent.format})`],
        ['target file', optionalSize(target.size)],
      ],
    )
    return [shown, ...nextLines(render, platform)].join('\n')
  },
}
