import type { RestoreResult } from '../../operations/device/restore.js'
import { shortSize, sourceText } from '../render.js'
import { deviceTitle, idsText, outcomeFacts, planText } from './device.js'
import type { View } from './view.js'

export const view: View<RestoreResult> = {
  async text(result, render) {
    const { source, target, dryRun, origin, ids, blockMap } = result
    return [
      render.heading(dryRun ? 'Would restore' : 'Restored'),
      render.facts([
        ['source image', sourceText(source)],
        ['target', deviceTitle(target)],
        ['origin', origin?.message],
        [
          'block map',
          blockMap === undefined ? undefined : `${blockMap.path}: ${shortSize(blockMap.mapped)} are mapped`,
        ],
        ...(dryRun ? [] : outcomeFacts(result)),
      ]),
      ...(ids.length > 0 ? [await idsText(render, result)] : []),
      ...(dryRun ? [planText(render, result)] : []),
    ].join('\n')
  },
}
