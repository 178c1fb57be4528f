import type { FileState, FindResult } from '../../operations/backup/find.js'
import { shellWord } from '../../sys/shell-word.js'
import { shortSize } from '../render.js'
import type { View } from './view.js'

export const view: View<FindResult> = {
  warnings: ({ problems }) =>
    problems.map(
      ({ point, partition, message }) =>
        `Warning: ${point}${partition === undefined ? '' : `, partition ${partition}`}: ${message}`,
    ),
  text({ set, path, states, without }, render) {
    if (states.length === 0)
      return [
        render.heading(`No point holds ${path}`),
        `PATH is seen from its partition. Look around in the last point: vdisk ls ${shellWord(`${set}@latest`)}`,
      ].join('\n')
    const lines = states.flatMap((state) => [
      render.plain(
        `${rangeText(state)}  ${state.kind}  ${shortSize(state.size)}  changed ${state.modified.slice(0, 19)}`,
      ),
      render.plain(`  ${state.address}`),
    ])
    return [
      render.heading(path),
      ...lines,
      ...(without.length === 0 ? [] : [render.plain(`not in ${without.join(', ')}`)]),
      `To copy one of them here: vdisk cp ${shellWord(states.at(-1)?.address ?? '')} .`,
    ].join('\n')
  },
}

function rangeText({ points }: FileState): string {
  const [first, last] = [points[0] ?? '', points.at(-1) ?? '']
  return first === last ? first : `${first} to ${last} (${points.length} points)`
}
