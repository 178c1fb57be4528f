import type { ShownSet } from '../../operations/backup/list.js'
import { shortSize } from '../render.js'
import { pointLines, settingsRows } from './backup-set.js'
import type { View } from './view.js'

export const view: View<ShownSet> = {
  text: (result, render) =>
    [
      render.heading(result.set),
      render.facts([
        ...settingsRows(result.settings),
        ['images take', shortSize(result.size)],
        ['free', result.free === undefined ? undefined : shortSize(result.free)],
      ]),
      '',
      ...pointLines(result, render),
    ].join('\n'),
}
