import type { RelinkResult } from '../../operations/chain/relink.js'
import { linkFacts } from './chain-links.js'
import { answer, type View } from './view.js'

export const view: View<RelinkResult> = {
  warnings: ({ notes, forced, before, parent }) => [
    ...notes.map(({ message }) => `Warning: ${message}`),
    ...(forced
      ? [
          `Warning: the recorded id was ${before.identity ?? 'none'}, that of ${parent.path} is ` +
            `${parent.identity ?? 'none'} (--force-identity)`,
        ]
      : []),
  ],
  text: (result, render) => answer(render, result.dryRun, ['Relinked', 'Would relink'], linkFacts(result)),
}
