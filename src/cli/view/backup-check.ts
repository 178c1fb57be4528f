import type { CheckSetResult } from '../../operations/backup/check.js'
import { shortSize } from '../render.js'
import type { View } from './view.js'

const shown = 20

export const view: View<CheckSetResult> = {
  text({ set, points, stored, read, problems, more, next }, render) {
    const lines = problems
      .slice(0, shown)
      .map(({ point, code, message, offset }) =>
        render.plain(`${point}  ${code}  ${message}${offset === undefined ? '' : ` (at offset ${offset})`}`),
      )
    const hidden = problems.length + more - lines.length
    return [
      render.heading(problems.length === 0 ? 'Nothing is wrong' : 'Something is wrong'),
      render.facts([
        ['set', set],
        ['points', String(points)],
        ['read', `${shortSize(read)} of ${shortSize(stored)} that the images store`],
        ['next check', next === undefined ? undefined : `goes on in ${next.point}`],
      ]),
      ...lines,
      ...(hidden === 0 ? [] : [`and ${hidden} more`]),
    ].join('\n')
  },
}
