import type { RunSetResult } from '../../operations/backup/run.js'
import { view as imageView } from './image.js'
import type { View } from './view.js'

export const view: View<RunSetResult> = {
  warnings: ({ image, notes }) => imageView.warnings?.({ ...image, notes }) ?? [],
  text: async ({ set, kind, why, image }, render) =>
    [
      render.plain(`Set ${set}: ${kind === 'full' ? 'a full image' : 'an incremental image'}, ${why}`),
      await imageView.text(image, render),
    ].join('\n'),
}
