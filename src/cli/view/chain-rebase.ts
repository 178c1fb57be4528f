import type { RebaseResult } from '../../operations/chain/rebase.js'
import { writtenText } from '../render.js'
import { linkFacts } from './chain-links.js'
import { answer, type View } from './view.js'

export const view: View<RebaseResult> = {
  text(result, render) {
    const { dryRun, taken } = result
    return answer(
      render,
      dryRun,
      ['Rebased', 'Would rebase'],
      [...linkFacts(result), [dryRun ? 'would take in' : 'taken in', writtenText(taken)]],
    )
  },
}
