import type { RestoreResult } from '../../operations/device/restore.js'
import { sourceText } from '../render.js'
import { deviceTitle, idsText, outcomeFacts, planText } from './device.js'
import type { View } from './view.js'

export const view: View<RestoreResult> = {
  async text(result, render) {
    const { source, target, dryRun, origin, ids } = result
    return [
      render.heading(dryRun ? 'Would restore' : 'Restored'),
      render.facts([
        ['source image', sourceText(source)],
        ['target', deviceTitle(target)],
        ['origin', origin?.message],
        ...(dryRun ? [] : outcomeFacts(result)),
      ]),
      ...(ids.length > 0 ? [await idsText(render, result)] : []),
      ...(dryRun ? [planText(render, result)] : []),
    ].join('\n')
  },
}
