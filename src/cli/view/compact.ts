import type { CompactResult } from '../../operations/change/compact.js'
import { fileSizeText, sizeText } from '../render.js'
import { answer, type View } from './view.js'

export const view: View<CompactResult> = {
  text({ path, target, format, subformat, before, after, zeros }, render) {
    const inPlace = target === path
    return answer(
      render,
      false,
      ['Compacted', ''],
      [
        [inPlace ? 'image' : 'source', `${path} (${format}, ${subformat})`],
        ['target', inPlace ? undefined : target],
        ['file before', fileSizeText(before.size, before.allocated)],
        ['file after', fileSizeText(after.size, after.allocated)],
        ['zeros given back', sizeText(zeros)],
      ],
    )
  },
}
