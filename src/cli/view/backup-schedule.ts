import type { ScheduleResult } from '../../operations/backup/schedule.js'
import type { View } from './view.js'

export const view: View<ScheduleResult> = {
  text: ({ files, next }, render) =>
    [
      ...files.flatMap(({ path, text }) => [
        render.plain(`# ${path}`),
        ...text.split('\n').map((line) => render.plain(line)),
      ]),
      ...(next.length === 0 ? [] : ['# then']),
      ...next.map((command) => render.plain(command)),
    ].join('\n'),
}
