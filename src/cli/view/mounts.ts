import type { CleanedMount, ListedMount } from '../../operations/mount/mounts.js'
import type { Renderer } from '../render.js'
import { partText } from './mount.js'
import { firstRows, type View } from './view.js'

/** What is mounted, and what was cleaned up. */
export const view: View<{ readonly sessions: readonly ListedMount[]; readonly cleaned: readonly CleanedMount[] }> = {
  warnings: ({ cleaned }) =>
    cleaned.flatMap(({ image, problems }) => problems.map((problem) => `${image}: ${problem}`)),
  async text({ sessions, cleaned }, render) {
    const done = cleaned.filter(({ problems }) => problems.length === 0)
    return [...done.map(({ image }) => `Cleaned up: ${render.plain(image)}`), await mountsText(sessions, render)].join(
      '\n',
    )
  },
}

async function mountsText(sessions: readonly ListedMount[], render: Renderer): Promise<string> {
  if (sessions.length === 0) return 'Nothing is mounted.'
  const rows = sessions.flatMap((session) => {
    const { image, mode, mounts, attached, shown, folder, status } = session
    const places = [
      ...mounts.map(({ point, partition, type }) => [partText(partition), type, point]),
      ...attached.map(({ loop, partition, content }) => [partText(partition), content?.title ?? '', loop.device]),
      ...(shown ? [['whole disk', 'files', folder]] : []),
    ]
    return (places.length === 0 ? [['', '', '']] : places).map((place) => [...place, mode, status, image])
  })
  const table = await firstRows(render, ['what', 'type', 'where', 'changes', 'state', 'image'], rows, 14)
  const failures = sessions.flatMap(({ image, failure }) =>
    failure === undefined ? [] : [render.warning(`${image}: not all changes were written: ${failure}`)],
  )
  const dead = sessions.some(({ status }) => status !== 'served')
    ? ['', 'What is dead or failed is removed by "vdisk mounts --clean".']
    : []
  return [table, ...failures, ...dead].join('\n')
}
