import type { VolumeFiles } from '../files/volume-files.js'
import { grubMenuPaths, syslinuxMenuPaths } from '../inspect/boot/configuration.js'
import { rootFolders, volumeText, type GuestVolume, type TextFile } from './guest.js'

/** What a boot loader can start. Paths are as it reads them: from the root of a volume. */
export interface BootEntry {
  /** The file it stands in, for people. */
  readonly where: string
  readonly open: GuestVolume
  readonly title: string
  readonly kernel?: string
  readonly initrds: readonly string[]
  readonly parameters: readonly string[]
  /** The id of the filesystem that GRUB looks for before it reads the kernel there. */
  readonly searched?: string
}

/** A menu, and which of its entries starts by itself. */
export interface BootMenu {
  readonly where: string
  readonly open: GuestVolume
  /** The files that it is written in. */
  readonly texts: readonly TextFile[]
  readonly entries: readonly BootEntry[]
  readonly first?: BootEntry
  /** Ids of filesystems that it looks for. */
  readonly searches: readonly { readonly uuid: string; readonly line: number }[]
}

const mostEntries = 64
/** Menus beside which the variables lie that entries of the Boot Loader Specification use. */
const menuPaths = ['/grub2/grub.cfg', '/boot/grub2/grub.cfg', '/grub/grub.cfg']

/** The menus on the volumes of a disk. */
export function bootMenus(volumes: readonly GuestVolume[]): BootMenu[] {
  return volumes.flatMap((open) => {
    const { files } = open
    if (!files.readable) return []
    const menus: BootMenu[] = []
    const vendors = files.names('/EFI').map((vendor) => `/EFI/${vendor}/grub.cfg`)
    for (const path of [...rootFolders.flatMap((root) => grubMenuPaths.map((each) => `${root}${each}`)), ...vendors]) {
      const text = volumeText(files, path)
      if (text !== undefined) menus.push(grubMenu(open, path, text))
    }
    for (const folder of ['/loader/entries', '/boot/loader/entries']) {
      const menu = loaderMenu(open, folder)
      if (menu !== undefined) menus.push(menu)
    }
    for (const path of syslinuxMenuPaths) {
      const text = volumeText(files, path)
      if (text !== undefined) menus.push(syslinuxMenu(open, path, text))
    }
    const line = files.file('/config.txt') === undefined ? undefined : volumeText(files, '/cmdline.txt')
    if (line !== undefined) menus.push(commandLineMenu(open, line))
    return menus
  })
}

/** Where a volume lies, for people. */
export function placeText({ volume: { partition }, logical }: GuestVolume): string {
  if (logical !== undefined) return `the logical volume ${logical}`
  return partition === undefined ? 'the disk' : `partition ${partition.number}`
}

/** An entry of a menu, for people. */
export function entryText({ where, title }: Pick<BootEntry, 'where' | 'title'>): string {
  return `${where}, "${title}"`
}

function place(open: GuestVolume, path: string): string {
  return `${path} in ${placeText(open)}`
}

interface GrubEntry {
  readonly title: string
  /** What `--id` says. */
  readonly id?: string
  kernel?: string
  initrds: readonly string[]
  parameters: readonly string[]
  searched?: string
  /** A submenu has entries of its own. */
  readonly inside?: GrubEntry[]
}

/** grub.cfg: a script, of which the lines that matter are read as they stand. */
class GrubScript {
  /** As they are shown: submenus too. */
  readonly items: GrubEntry[] = []
  readonly searches: { readonly uuid: string; readonly line: number }[] = []
  wanted = '0'
  #entry: GrubEntry | undefined
  readonly #open: GrubEntry[] = []
  #count = 0

  constructor(text: string) {
    for (const [index, line] of joined(text).entries()) this.#line(wordsOf(line), index + 1)
  }

  /** Those that start something. */
  get entries(): GrubEntry[] {
    return started(this.items)
  }

  /** The entry that a default names, as GRUB reads it: `1>0`, or titles and ids, of submenus too. */
  named(name: string): GrubEntry | undefined {
    let found: GrubEntry | undefined
    let items = this.items
    for (const part of name.split('>')) {
      found = /^\d+$/.test(part) ? items[Number(part)] : items.find(({ title, id }) => title === part || id === part)
      items = found?.inside ?? []
    }
    return found?.inside === undefined ? found : started(found.inside)[0]
  }

  #line(words: readonly string[], line: number): void {
    const [command = '', ...rest] = words
    if (command === 'menuentry' || command === 'submenu') this.#begin(command === 'submenu', words)
    else if (command.startsWith('search')) this.#search(command, rest, line)
    else if (command === 'set' && rest[0]?.startsWith('default=') === true && !rest[0].includes('next_entry'))
      this.wanted = rest[0].slice('default='.length)
    else if (command === '}' && this.#entry === undefined) this.#open.pop()
    else if (this.#entry !== undefined) this.#inside(this.#entry, command, rest)
  }

  #begin(isMenu: boolean, words: readonly string[]): void {
    const at = words.findIndex((word) => word === '--id' || word === '$menuentry_id_option')
    const id = at < 0 ? undefined : words[at + 1]
    const entry: GrubEntry = { title: words[1] ?? '', id, initrds: [], parameters: [], inside: isMenu ? [] : undefined }
    if (this.#count++ < mostEntries) (this.#open.at(-1)?.inside ?? this.items).push(entry)
    if (isMenu) this.#open.push(entry)
    else this.#entry = entry
  }

  #search(command: string, rest: readonly string[], line: number): void {
    const uuid = command === 'search.fs_uuid' ? rest[0] : rest.includes('--fs-uuid') ? rest.at(-1) : undefined
    if (uuid !== undefined && /^[0-9a-f-]{4,}$/i.test(uuid) && this.searches.length < mostEntries)
      this.searches.push({ uuid, line })
    if (uuid !== undefined && this.#entry !== undefined && rest.some((word) => /^(--set=)?root$/.test(word)))
      this.#entry.searched = uuid
  }

  #inside(entry: GrubEntry, command: string, rest: readonly string[]): void {
    if (/^linux(16|efi)?$/.test(command)) {
      entry.kernel = withoutDevice(rest[0] ?? '')
      entry.parameters = rest.slice(1)
    } else if (/^initrd(16|efi)?$/.test(command)) entry.initrds = rest.map(withoutDevice)
    else if (command === '}') this.#entry = undefined
  }
}

function started(items: readonly GrubEntry[]): GrubEntry[] {
  return items.flatMap((entry) => (entry.inside === undefined ? [entry] : started(entry.inside)))
}

function grubMenu(open: GuestVolume, path: string, text: string): BootMenu {
  const where = place(open, path)
  const script = new GrubScript(text)
  const { searches, wanted } = script
  const found = script.entries
  const entries = found.map(({ title, kernel, initrds, parameters, searched }): BootEntry => {
    return { title, kernel, initrds, parameters, searched, where, open }
  })
  const saved = grubEnvironment(open.files, path).get('saved_entry')
  const named = script.named(wanted.includes('saved_entry') ? (saved ?? '0') : wanted)
  const first =
    (named === undefined ? undefined : entries[found.indexOf(named)]) ??
    entries.find(({ kernel }) => kernel !== undefined) ??
    entries[0]
  return {
    where,
    open,
    texts: [
      { open, path },
      { open, path: environmentPath(path) },
    ],
    entries,
    first,
    searches,
  }
}

/** Where GRUB keeps variables beside its menu. */
function environmentPath(menu: string): string {
  return `${menu.slice(0, menu.lastIndexOf('/'))}/grubenv`
}

/** The variables that GRUB keeps beside its menu. */
function grubEnvironment(files: VolumeFiles, path: string): Map<string, string> {
  const text = volumeText(files, environmentPath(path)) ?? ''
  return new Map(
    text.split('\n').flatMap((line) => {
      const sign = line.indexOf('=')
      return sign <= 0 || line.startsWith('#') ? [] : [[line.slice(0, sign), line.slice(sign + 1)] as const]
    }),
  )
}

/** Entries of the Boot Loader Specification, type 1; GRUB of the RHEL family takes them too. */
function loaderMenu(open: GuestVolume, folder: string): BootMenu | undefined {
  const { files } = open
  const names = files.names(folder).filter((name) => name.endsWith('.conf'))
  if (names.length === 0) return undefined
  const environment = menuPaths.map((path) => grubEnvironment(files, path)).find((variables) => variables.size > 0)
  const entries = names.slice(0, mostEntries).map((name): BootEntry => {
    const path = `${folder}/${name}`
    const values = new Map<string, string[]>()
    for (const line of (volumeText(files, path) ?? '').split('\n')) {
      const [, key = '', value = ''] = /^\s*([a-z-]+)\s+(.+?)\s*$/.exec(line) ?? []
      if (key !== '') values.set(key, [...(values.get(key) ?? []), value])
    }
    const options = (values.get('options') ?? [])
      .join(' ')
      .replaceAll('$kernelopts', environment?.get('kernelopts') ?? '')
    return {
      where: place(open, path),
      open,
      title: values.get('title')?.[0] ?? name,
      kernel: values.get('linux')?.[0] ?? values.get('efi')?.[0],
      initrds: (values.get('initrd') ?? [])
        .flatMap((value) => value.split(/\s+/))
        .filter((value) => !value.startsWith('$')),
      parameters: wordsOf(options),
    }
  })
  const wanted = environment?.get('saved_entry') ?? loaderDefault(files)
  const found = names.findIndex((name) => name === wanted || name === `${wanted ?? ''}.conf`)
  // The newest is the last of their names, in the order of versions.
  const last = [...entries.keys()].sort((one, other) => byVersion(names[one] ?? '', names[other] ?? '')).at(-1) ?? 0
  const texts = [...names.map((name) => `${folder}/${name}`), ...menuPaths.map(environmentPath)]
  return {
    where: place(open, folder),
    open,
    texts: texts.map((path) => ({ open, path })),
    entries,
    first: entries[found] ?? entries[last],
    searches: [],
  }
}

function loaderDefault(files: VolumeFiles): string | undefined {
  return /^\s*default\s+(\S+)/m.exec(volumeText(files, '/loader/loader.conf') ?? '')?.[1]
}

/** Names with their numbers as numbers: 6.10 comes behind 6.9. */
export function byVersion(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true })
}

/** Menus of SYSLINUX and its relatives: keywords in any case. */
function syslinuxMenu(open: GuestVolume, path: string, text: string): BootMenu {
  const where = place(open, path)
  const folder = path.slice(0, path.lastIndexOf('/'))
  const entries: { title: string; kernel?: string; initrds: string[]; parameters: string[] }[] = []
  let wanted: string | undefined
  const absolute = (name: string): string => (name.startsWith('/') ? name : `${folder}/${name}`)
  for (const line of text.split('\n')) {
    const [keyword = '', ...rest] = wordsOf(line)
    const entry = entries.at(-1)
    const key = keyword.toLowerCase()
    if (key === 'default') wanted = rest[0]
    else if (key === 'label' && entries.length < mostEntries)
      entries.push({ title: rest[0] ?? '', initrds: [], parameters: [] })
    else if (entry === undefined) continue
    else if (key === 'linux' || key === 'kernel') entry.kernel = absolute(rest[0] ?? '')
    else if (key === 'initrd') entry.initrds = (rest[0] ?? '').split(',').map(absolute)
    else if (key === 'append') {
      entry.parameters = rest
      for (const word of rest) if (word.startsWith('initrd=')) entry.initrds = word.slice(7).split(',').map(absolute)
    }
  }
  const all = entries.map((entry) => ({ ...entry, where, open }))
  const first = all.find(({ title }) => title === wanted) ?? all[0]
  return { where, open, texts: [{ open, path }], entries: all, first, searches: [] }
}

/** The command line of a Raspberry Pi; its firmware finds the kernel. */
function commandLineMenu(open: GuestVolume, line: string): BootMenu {
  const where = place(open, '/cmdline.txt')
  const entry = { where, open, title: 'cmdline.txt', initrds: [], parameters: wordsOf(line) }
  return { where, open, texts: [{ open, path: '/cmdline.txt' }], entries: [entry], first: entry, searches: [] }
}

function joined(text: string): string[] {
  return text.replaceAll('\\\n', ' ').split('\n')
}

function withoutDevice(path: string): string {
  return path.replace(/^\(?\$?\{?[A-Za-z0-9_,]*\}?\)?(?=\/)/, '')
}

/** The words of a line, without quotes and comments. */
export function wordsOf(line: string): string[] {
  const words: string[] = []
  for (const [word] of line.matchAll(/(?:[^\s"'#]|"[^"]*"|'[^']*'|(?<=\S)#)+|#.*$/g)) {
    if (word.startsWith('#')) break
    words.push(word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'))
  }
  return words
}
