import type { FileState, FindResult } from '../../operations/backup/find.js'
import { shortSize } from '../render.js'
import type { View } from './view.js'

export const view: View<FindResult> = {
  warnings: ({ problems }) =>
    problems.map(
      ({ point, partition, message }) =>
        `Warning: ${point}${partition === undefined ? '' : `, partition ${partition}`}: ${message}`,
    ),
  text({ path, states, without }, render) {
    const lines = states.flatMap((state) => [
      render.plain(
        `${rangeText(state)}  ${state.kind}  ${shortSize(state.size)}  changed ${state.modified.slice(0, 19)}`,
      ),
      render.plain(`  ${state.address}`),
    ])
    return [
      render.heading(states.length === 0 ? `No point holds ${path}` : path),
      ...lines,
      ...(without.length === 0 || states.length === 0 ? [] : [render.plain(`not in ${without.join(', ')}`)]),
    ].join('\n')
  },
}

function rangeText({ points }: FileState): string {
  const [first, last] = [points[0] ?? '', points.at(-1) ?? '']
  return first === last ? first : `${first} to ${last} (${points.length} points)`
}
