import type { VolumeFiles } from '../files/volume-files.js'
import { fileText, mostMenuEntries, type BootEntry, type BootMenu } from './boot-menu.js'
import { GrubScript } from './grub-script.js'
import { volumeText, type GuestVolume } from './guest.js'

/** The menu of GRUB 2. */
export function grubMenu(open: GuestVolume, path: string, text: string): BootMenu {
  const where = fileText(open, path)
  const script = new GrubScript(text)
  const { searches } = script
  const found = script.entries
  const entries = found.map(({ title, kernel, initrds, parameters, searched, partition }): BootEntry => {
    return { title, kernel, initrds, parameters, searched, partition, where, open }
  })
  const named = script.named(wantedEntry(script, text, grubEnvironment(open.files, path)))
  const first =
    (named === undefined ? undefined : entries[found.indexOf(named)]) ??
    entries.find(({ kernel }) => kernel !== undefined) ??
    entries[0]
  return {
    where,
    open,
    texts: [path, environmentPath(path)].map((each) => ({ open, path: each })),
    entries,
    first,
    searches,
  }
}

/** What starts by itself: what is asked for once comes before what was saved. */
function wantedEntry({ wanted }: GrubScript, text: string, environment: ReadonlyMap<string, string>): string {
  const next = text.includes('next_entry') ? environment.get('next_entry') : undefined
  if (next !== undefined && next !== '') return next
  return wanted.includes('saved_entry') ? (environment.get('saved_entry') ?? '0') : wanted
}

/** Where GRUB keeps variables beside its menu. */
export function environmentPath(menu: string): string {
  return `${menu.slice(0, menu.lastIndexOf('/'))}/grubenv`
}

/** The variables that GRUB keeps beside its menu. */
export function grubEnvironment(files: VolumeFiles, path: string): Map<string, string> {
  const text = volumeText(files, environmentPath(path)) ?? ''
  return new Map(
    text.split('\n').flatMap((line) => {
      const sign = line.indexOf('=')
      return sign <= 0 || line.startsWith('#') ? [] : [[line.slice(0, sign), line.slice(sign + 1)] as const]
    }),
  )
}

/** Where the first GRUB, 0.97, has its menu. */
export const legacyMenuPaths = ['/boot/grub/menu.lst', '/grub/menu.lst', '/boot/grub/grub.conf', '/grub/grub.conf']

interface LegacyEntry {
  readonly title: string
  kernel?: string
  initrds: string[]
  parameters: string[]
  partition?: number
}

/** The menu of the first GRUB: titles, each with the commands below it. Partitions count from 0. */
export function legacyMenu(open: GuestVolume, path: string, text: string): BootMenu {
  const where = fileText(open, path)
  const found: LegacyEntry[] = []
  let wanted = 0
  for (const line of text.split('\n')) {
    const [, command = '', value = ''] = /^\s*([a-z]+)(?:\s+|\s*=\s*)(.*?)\s*$/.exec(line) ?? []
    const entry = found.at(-1)
    if (command === 'default') wanted = /^\d+$/.test(value) ? Number(value) : 0
    else if (command === 'title' && found.length < mostMenuEntries)
      found.push({ title: value, initrds: [], parameters: [] })
    else if (entry !== undefined) legacyCommand(entry, command, value)
  }
  const entries = found.map((entry): BootEntry => ({ ...entry, where, open }))
  return { where, open, texts: [{ open, path }], entries, first: entries[wanted] ?? entries[0], searches: [] }
}

function legacyCommand(entry: LegacyEntry, command: string, value: string): void {
  const [first = '', ...rest] = value.split(/\s+/).filter((word) => !word.startsWith('--'))
  const [, number, path = first] = /^\(hd0,(\d{1,3})\)(.*)$/.exec(first) ?? []
  if (number !== undefined && ['root', 'rootnoverify', 'kernel'].includes(command)) entry.partition = Number(number) + 1
  if (command === 'kernel') Object.assign(entry, { kernel: path, parameters: rest })
  if (command === 'initrd') entry.initrds = [path]
}
