import type { InitResult } from '../../operations/backup/init.js'
import { settingsRows } from './backup-set.js'
import type { View } from './view.js'

export const view: View<InitResult> = {
  text: ({ set, settings }, render) =>
    [
      render.heading('Made a backup set'),
      render.facts([['set', set], ...settingsRows(settings)]),
      'It has no points yet: vdisk backup run makes one.',
    ].join('\n'),
}
