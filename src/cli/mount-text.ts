import type { MountSession } from '../operations/mount/session.js'
import type { ListedMount } from '../operations/mount/mounts.js'
import type { Renderer } from './render.js'

/** Where changes go, in words. */
export function changesText({ mode, overlay }: Pick<MountSession, 'mode' | 'overlay'>): string {
  switch (mode) {
    case 'read-only':
      return 'none are possible'
    case 'throwaway':
      return 'thrown away; the image is only read'
    case 'overlay':
      return `kept in ${overlay ?? ''}; the image is only read`
    case 'write':
      return 'written into the image itself'
  }
}

const partOf = (partition: number | undefined): string =>
  partition === undefined ? 'whole disk' : `partition ${partition}`

/** What `mount` says when it is done. */
export async function mountedText(
  session: MountSession,
  render: Renderer,
  sizes: { sizeText(bytes: number): string; shortSize(bytes: number): string },
): Promise<string> {
  const { mounts, attached, shown, folder, image } = session
  const lines = [
    render.heading(mounts.length > 0 ? 'Mounted' : attached.length > 0 ? 'Attached' : 'Shown'),
    render.facts([
      ['image', `${image} (${session.format})`],
      ['disk', sizes.sizeText(session.capacity)],
      ['changes', changesText(session)],
      ...mounts.map(
        ({ point, partition, type, driver, readOnly }) =>
          [
            'mounted on',
            `${point} (${partOf(partition)}; ${type}, ` +
              `${readOnly ? 'read-only' : 'writable'}${driver === 'kernel' ? '' : `, by ${driver}`})`,
          ] as const,
      ),
      ...attached.map(
        ({ loop, partition, content }) =>
          ['block device', `${loop.device} (${partOf(partition)}; ${content?.title ?? 'unknown content'})`] as const,
      ),
      ...(shown ? [['files in', folder] as const] : []),
    ]),
  ]
  if (shown && attached.length === 0) {
    const rows = session.files.map(({ name, length, content }) => [
      name,
      sizes.shortSize(length),
      content === undefined ? '' : `${content.title}${content.label === undefined ? '' : ` "${content.label}"`}`,
    ])
    lines.push('', indented(await render.table(['file', 'size', 'content'], rows)))
  }
  for (const { next } of attached) lines.push('', 'Next:', ...next.map((command) => `  ${render.plain(command)}`))
  if (attached.length === 0) lines.push('', render.plain(`To end it: vdisk unmount ${mounts[0]?.point ?? folder}`))
  return lines.join('\n')
}

/** What `mounts` lists. */
export async function mountsText(sessions: readonly ListedMount[], render: Renderer): Promise<string> {
  if (sessions.length === 0) return 'Nothing is mounted.'
  const rows = sessions.flatMap((session) => {
    const { image, mode, mounts, attached, shown, folder, status } = session
    const places = [
      ...mounts.map(({ point, partition, type }) => [partOf(partition), type, point]),
      ...attached.map(({ loop, partition, content }) => [partOf(partition), content?.title ?? '', loop.device]),
      ...(shown ? [['whole disk', 'files', folder]] : []),
    ]
    return (places.length === 0 ? [['', '', '']] : places).map((place) => [...place, mode, status, image])
  })
  const table = await render.table(['what', 'type', 'where', 'changes', 'state', 'image'], rows)
  const failures = sessions.flatMap(({ image, failure }) =>
    failure === undefined ? [] : [render.warning(`${image}: not all changes were written: ${failure}`)],
  )
  const dead = sessions.some(({ status }) => status !== 'served')
    ? ['', 'What is dead or failed is taken away by "vdisk mounts --clean".']
    : []
  return [table, ...failures, ...dead].join('\n')
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}
