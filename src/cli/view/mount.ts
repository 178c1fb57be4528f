import type { MountResult } from '../../operations/mount/mount.js'
import type { MountSession } from '../../operations/mount/session.js'
import { shortSize, sizeText, type Renderer } from '../render.js'
import type { View } from './view.js'
import { shellWord } from '../../sys/shell-word.js'

export const view: View<MountResult> = { text: ({ session }, render) => mountedText(session, render) }

async function mountedText(session: MountSession, render: Renderer): Promise<string> {
  const { mounts, attached, shown, folder, image } = session
  const lines = [
    render.heading(mounts.length > 0 ? 'Mounted' : attached.length > 0 ? 'Attached' : 'Shown'),
    render.facts([
      ['image', `${image} (${session.format})`],
      ['disk', sizeText(session.capacity)],
      ['changes', changesText(session)],
      ...mounts.map(
        ({ point, partition, type, driver, readOnly }) =>
          [
            'mounted on',
            `${point} (${partText(partition)}; ${type}, ` +
              `${readOnly ? 'read-only' : 'writable'}${driver === 'kernel' ? '' : `, by ${driver}`})`,
          ] as const,
      ),
      ...attached.map(
        ({ loop, partition, content }) =>
          ['block device', `${loop.device} (${partText(partition)}; ${content?.title ?? 'unknown content'})`] as const,
      ),
      ...(shown ? [['files in', folder] as const] : []),
    ]),
  ]
  if (shown && attached.length === 0) {
    const rows = session.files.map(({ name, length, content }) => [
      name,
      shortSize(length),
      content === undefined ? '' : `${content.title}${content.label === undefined ? '' : ` "${content.label}"`}`,
    ])
    lines.push('', indented(await render.table(['file', 'size', 'content'], rows)))
  }
  for (const { next } of attached) lines.push('', 'Next:', ...next.map((command) => `  ${render.plain(command)}`))
  if (attached.length === 0)
    lines.push('', render.plain(`To end it: vdisk unmount ${shellWord(mounts[0]?.point ?? folder)}`))
  return lines.join('\n')
}

/** Where changes go, in words. */
function changesText({ mode, overlay }: Pick<MountSession, 'mode' | 'overlay'>): string {
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

export const partText = (partition: number | undefined): string =>
  partition === undefined ? 'whole disk' : `partition ${partition}`

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n')
}
