import type { SetList } from '../../operations/backup/list.js'
import { pointLines } from './backup-set.js'
import type { View } from './view.js'

export const view: View<SetList> = {
  text: (result, render) => [render.heading(result.set), ...pointLines(result, render)].join('\n'),
}
