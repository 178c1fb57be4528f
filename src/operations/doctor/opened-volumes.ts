import { entryText, parameterRemedy, type BootEntry } from './boot-menu.js'
import type { Guest, TextFile } from './guest.js'
import type { DoctorReport } from './report.js'
import { parameterEdits } from './text-edits.js'

/** What dracut is asked to open: nothing else of LVM is opened then (dracut.cmdline(7)). */
const parameters = { volume: 'rd.lvm.lv', group: 'rd.lvm.vg' } as const

/** What is started, as far as an initramfs goes by it. */
export interface StartedEntry {
  readonly entry: BootEntry
  readonly texts: readonly TextFile[]
  /** What the initramfs holds. */
  readonly names: readonly string[]
}

/** What an initramfs of dracut is asked to open of LVM: whether that is there, and the root among it. */
export function checkOpenedVolumes(guest: Guest, started: StartedEntry, report: DoctorReport): void {
  const { entry, texts, names } = started
  const root = guest.root.open.logical
  if (root === undefined || !names.some((name) => /(^|\/)lib\/dracut\//.test(name))) return
  const volumes = valuesOf(entry, parameters.volume)
  const groups = valuesOf(entry, parameters.group)
  if (volumes.length + groups.length === 0) return
  const there = guest.volumes.flatMap(({ logical }) => logical ?? [])
  const known = new Set(there.map(groupOf))
  // Of a group that is not on this disk nothing is known.
  const gone = volumes.filter((volume) => known.has(groupOf(volume)) && !there.includes(volume))
  const isOpened = volumes.includes(root) || groups.includes(groupOf(root))
  if (gone.length === 0 && isOpened) return
  const own = `${parameters.volume}=${root}`
  const [first, ...others] = gone
  const replaced = isOpened ? gone : others
  const last = [...volumes, ...groups].at(-1) ?? ''
  const asked = `${volumes.includes(last) ? parameters.volume : parameters.group}=${last}`
  const edits = texts.flatMap((text) => [
    ...replaced.flatMap((volume) => parameterEdits(text, `${parameters.volume}=${volume}`, '')),
    ...(isOpened
      ? []
      : first === undefined
        ? parameterEdits(text, asked, `${asked} ${own}`)
        : parameterEdits(text, `${parameters.volume}=${first}`, own)),
  ])
  report.add(
    {
      id: 'L-ROOT-OPENED',
      severity: 'blocks',
      where: entryText(entry),
      found: isOpened
        ? `${gone.map((volume) => `${parameters.volume}=${volume}`).join(' ')}, which the group does not have`
        : `${[...volumes, ...groups].join(', ')}, and not ${root}`,
      wanted: isOpened ? `no ${parameters.volume}= of what is gone` : own,
      why: isOpened
        ? 'the initramfs waits for the logical volume, and stops'
        : 'the initramfs opens what these parameters name, and nothing else of LVM',
      remedy: { kind: 'inside-guest', text: parameterRemedy(entry, `Correct ${parameters.volume}=`) },
    },
    edits,
  )
}

function valuesOf({ parameters: words }: BootEntry, name: string): string[] {
  return words.flatMap((word) => (word.startsWith(`${name}=`) ? [word.slice(name.length + 1)] : []))
}

function groupOf(volume: string): string {
  return volume.slice(0, Math.max(0, volume.indexOf('/')))
}
