import type { InjectResult } from '../../operations/partition/inject.js'
import { sizeText, sourceText } from '../render.js'
import { answer, targetFact, verifiedFact, type View } from './view.js'

export const view: View<InjectResult> = {
  text({ disk, partition, source, slack: { filesystem }, target, dryRun, verified }, render) {
    return answer(
      render,
      dryRun,
      ['Injected', 'Would inject'],
      [
        ['source', `${sourceText(source)}, ${sizeText(source.capacity)}`],
        ['into', `partition ${partition.number} of ${disk.path}, ${sizeText(partition.length)}`],
        [
          'filesystem',
          filesystem === undefined
            ? undefined
            : `${filesystem.title}, ${sizeText(filesystem.size)}; ${sizeText(filesystem.unused)} of ` +
              `the partition unused`,
        ],
        target === undefined ? ['changed', `${disk.path}, in place`] : targetFact(target),
        verifiedFact(verified, ''),
      ],
    )
  },
}
