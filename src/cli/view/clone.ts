import type { CloneResult } from '../../operations/device/clone.js'
import { shortSize } from '../render.js'
import { deviceTitle, idsText, outcomeFacts, planText } from './device.js'
import { unusedFact, type View } from './view.js'

export const view: View<CloneResult> = {
  async text(result, render) {
    const { source, target, dryRun, volumes, live, ids } = result
    return [
      render.heading(dryRun ? 'Would clone' : 'Cloned'),
      render.facts([
        ['source', `${deviceTitle(source)}${live ? ', while it was in use' : ''}`],
        ['target', deviceTitle(target)],
        ...(dryRun ? [] : outcomeFacts(result)),
        unusedFact(volumes, shortSize, 'made zero'),
      ]),
      ...(ids.length > 0 ? [await idsText(render, result)] : []),
      ...(dryRun ? [planText(render, result)] : []),
    ].join('\n')
  },
}
