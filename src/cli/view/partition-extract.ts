import type { ExtractResult } from '../../operations/partition/extract.js'
import { optionalSize, sizeText, sourceText } from '../render.js'
import { answer, type View } from './view.js'

export const view: View<ExtractResult> = {
  text({ source, target, partition, wrapped, dryRun, steps, verified }, render) {
    const label = partition?.label === undefined ? '' : `, ${partition.label}`
    const disk =
      wrapped === undefined ? '' : `, a disk with ${wrapped.scheme.toUpperCase()} of ${sizeText(target.capacity)}`
    return answer(
      render,
      dryRun,
      ['Extracted', 'Would extract'],
      [
        ['source', sourceText(source)],
        [
          'partition',
          partition === undefined ? undefined : `${partition.type.name}${label}, ${sizeText(partition.length)}`,
        ],
        ['target', `${target.path} (${target.format})${disk}`],
        ['target file', optionalSize(target.size)],
        ['verified', verified ? 'every byte, read back from the target, equals the source' : undefined],
      ],
      steps,
    )
  },
}
