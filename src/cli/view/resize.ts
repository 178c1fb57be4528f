import type { ResizeResult } from '../../operations/change/resize.js'
import { sizeText } from '../render.js'
import { answer, type View } from './view.js'

export const view: View<ResizeResult> = {
  text({ path, format, subformat, before, after, cutContent, size, dryRun }, render) {
    return answer(
      render,
      dryRun,
      ['Resized', 'Would resize'],
      [
        ['image', `${path} (${format}, ${subformat})`],
        ['disk before', sizeText(before)],
        ['disk after', sizeText(after)],
        [
          dryRun ? 'would be lost' : 'lost',
          cutContent === undefined ? undefined : `content from offset ${cutContent} on`,
        ],
        ['file', sizeText(size)],
      ],
    )
  },
}
