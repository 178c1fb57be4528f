import { grouped, printable } from '../../errors.js'
import type { CopyFilesResult } from '../../operations/files/copy.js'
import { sizeText } from '../render.js'
import type { View } from './view.js'

export const view: View<CopyFilesResult> = {
  warnings: ({ notes, failures, failed, otherStreams }) => [
    ...notes.map(({ message }) => `Warning: ${message}`),
    ...failures.map(
      ({ path, message, hint }) => `Not copied: ${path}: ${message}${hint === undefined ? '' : ` ${hint}`}`,
    ),
    ...(failed > failures.length ? [`Not copied: ${failed - failures.length} more`] : []),
    ...(otherStreams > 0
      ? [`Warning: ${otherStreams} of the files have alternate data streams, which were not copied`]
      : []),
  ],
  text({ files, folders, links, target, bytes, failed }) {
    const counts = (
      [
        [files, 'file'],
        [folders, 'folder'],
        [links, 'link'],
      ] as const
    )
      .filter(([count, word]) => count > 0 || word === 'file')
      .map(([count, word]) => `${grouped(count)} ${word}${count === 1 ? '' : 's'}`)
    const rest = failed > 0 ? `; ${failed} not` : ''
    return `Copied ${counts.join(', ')} to ${printable(target.path)}: ${sizeText(bytes)}${rest}`
  },
}
