import type { CommitResult } from '../../operations/chain/commit.js'
import { sizeText, writtenText } from '../render.js'
import { answer, type View } from './view.js'

export const view: View<CommitResult> = {
  warnings: ({ notes, otherChildren, parent }) => [
    ...notes.map(({ message }) => `Warning: ${message}`),
    ...otherChildren.map((path) => `Warning: ${path} does not fit its parent ${parent.path} any more`),
  ],
  text({ child, parent, written, childDeleted, dryRun, verified }, render) {
    return answer(
      render,
      dryRun,
      ['Committed', 'Would commit'],
      [
        [childDeleted ? 'child (deleted)' : 'child', `${child.path} (${child.format})`],
        [dryRun ? 'would change' : 'changed', `${parent.path} (${parent.format})`],
        [
          'its disk',
          parent.capacityAfter === parent.capacityBefore
            ? undefined
            : `${sizeText(parent.capacityBefore)}, then ${sizeText(parent.capacityAfter)}`,
        ],
        ['written', writtenText(written)],
        ['verified', verified ? 'the disk of the parent equals that of its child' : undefined],
      ],
    )
  },
}
