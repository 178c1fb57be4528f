import { fileText, mostMenuEntries, type BootEntry, type BootMenu } from './boot-menu.js'
import { wordsOf } from './boot-words.js'
import type { GuestVolume } from './guest.js'

interface SyslinuxEntry {
  readonly title: string
  kernel?: string
  initrds: string[]
  parameters: string[]
  isDefault?: boolean
}

/** Menus of SYSLINUX and its relatives: keywords in any case. */
export function syslinuxMenu(open: GuestVolume, path: string, text: string): BootMenu {
  const where = fileText(open, path)
  const folder = path.slice(0, path.lastIndexOf('/'))
  const found: SyslinuxEntry[] = []
  let wanted: string | undefined
  for (const line of text.split('\n')) {
    const [keyword = '', ...rest] = wordsOf(line)
    const key = keyword.toLowerCase()
    const entry = found.at(-1)
    if (key === 'default') wanted = rest[0]
    else if (key === 'label' && found.length < mostMenuEntries)
      found.push({ title: rest[0] ?? '', initrds: [], parameters: [] })
    else if (entry !== undefined) entryLine(entry, key, rest, folder)
  }
  const entries = found.map((entry): BootEntry => {
    const { title, kernel, initrds, parameters } = entry
    return { title, kernel, initrds, parameters, where, open }
  })
  const at = found.findIndex(({ title }) => title === wanted)
  // DEFAULT names the program that shows the menu, where a label is marked.
  const marked = found.findIndex(({ isDefault }) => isDefault === true)
  return {
    where,
    open,
    texts: [{ open, path }],
    entries,
    first: entries[at] ?? entries[marked] ?? entries[0],
    searches: [],
  }
}

function entryLine(entry: SyslinuxEntry, key: string, rest: readonly string[], folder: string): void {
  const [first = ''] = rest
  const files = (list: string): string[] => list.split(',').map((name) => absolute(folder, name))
  if (key === 'menu' && first.toLowerCase() === 'default') entry.isDefault = true
  // Programs of SYSLINUX itself are no kernels.
  else if ((key === 'linux' || key === 'kernel') && !/\.(c32|0|bss?)$/i.test(first))
    entry.kernel = absolute(folder, first)
  else if (key === 'initrd') entry.initrds = files(first)
  else if (key === 'append') {
    entry.parameters = [...rest]
    for (const word of rest) if (word.startsWith('initrd=')) entry.initrds = files(word.slice('initrd='.length))
  }
}

/** A name beside the menu, or below the root of the volume; `..` leads to the folder above. */
function absolute(folder: string, name: string): string {
  const parts: string[] = []
  for (const part of (name.startsWith('/') ? name : `${folder}/${name}`).split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

/** The command line of a Raspberry Pi; its firmware finds the kernel. */
export function commandLineMenu(open: GuestVolume, line: string): BootMenu {
  const where = fileText(open, '/cmdline.txt')
  const entry = { where, open, title: 'cmdline.txt', initrds: [], parameters: wordsOf(line) }
  return { where, open, texts: [{ open, path: '/cmdline.txt' }], entries: [entry], first: entry, searches: [] }
}
