import type { PruneResult, PrunedImage } from '../../operations/backup/prune.js'
import { shortSize } from '../render.js'
import type { View } from './view.js'

const fates: Readonly<Record<PrunedImage['fate'], readonly [done: string, planned: string]>> = {
  kept: ['kept', 'stays'],
  removed: ['removed', 'would go'],
  merged: ['merged', 'would merge'],
  needed: ['needed', 'is needed'],
}

export const view: View<PruneResult> = {
  text({ set, images, before, after, dryRun }, render) {
    const lines = images.map(({ time, fate, why }) =>
      render.plain(`${time}  ${fates[fate][dryRun ? 1 : 0].padEnd(11)}  ${why}`),
    )
    return [
      render.heading(dryRun ? 'Would prune' : 'Pruned'),
      render.facts([
        ['set', set],
        ['images take', dryRun ? shortSize(before) : `${shortSize(after)}, before ${shortSize(before)}`],
      ]),
      ...lines,
      ...(dryRun ? ['Nothing was changed (--dry-run).'] : []),
    ].join('\n')
  },
}
