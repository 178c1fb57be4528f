import type { MeasureResult } from '../../operations/transfer/measure.js'
import { shortSize, sizeText, sourceText } from '../render.js'
import type { View } from './view.js'

export const view: View<MeasureResult> = {
  text({ source, target, required, fullyAllocated, files }, render) {
    return render.facts([
      ['source', source === undefined ? undefined : sourceText(source)],
      ['target', `${target.format}, a disk of ${shortSize(target.capacity)}`],
      ['required', sizeText(required)],
      ...(files.length < 2 ? [] : files.map(({ name, size }) => [`  ${name ?? 'image'}`, sizeText(size)] as const)),
      ['fully allocated', sizeText(fullyAllocated)],
    ])
  },
}
