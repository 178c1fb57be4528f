import { mostMenuEntries, type BootMenu, type MenuSearch } from './boot-menu.js'
import { wordsOf } from './boot-words.js'

interface GrubEntry {
  readonly title: string
  /** What `--id` says. */
  readonly id?: string
  kernel?: string
  initrds: readonly string[]
  parameters: readonly string[]
  searched?: MenuSearch
  partition?: number
  /** A submenu has entries of its own. */
  readonly inside?: GrubEntry[]
}

/** grub.cfg: a script, of which the commands that matter are read as they stand. */
export class GrubScript {
  /** As they are shown: submenus too. */
  readonly items: GrubEntry[] = []
  readonly searches: BootMenu['searches'][number][] = []
  /** Variables that it sets outside of entries; the first value counts, as it stands. */
  readonly variables = new Map<string, string>()
  wanted = '0'
  #entry: GrubEntry | undefined
  readonly #open: GrubEntry[] = []
  #count = 0

  constructor(text: string) {
    for (const [index, line] of text.replaceAll('\\\n', ' ').split('\n').entries())
      for (const command of commandsOf(wordsOf(line))) this.#command(command, index + 1)
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

  #command(words: readonly string[], line: number): void {
    const [command = '', ...rest] = words
    if (command === 'menuentry' || command === 'submenu') this.#begin(command === 'submenu', words)
    else if (command.startsWith('search')) this.#search(command, rest, line)
    else if (command === 'set') this.#set(rest[0] ?? '')
    else if (command === '}' && this.#entry === undefined) this.#open.pop()
    else if (this.#entry !== undefined) this.#inside(this.#entry, command, rest)
  }

  #begin(isMenu: boolean, words: readonly string[]): void {
    const at = words.findIndex((word) => word === '--id' || word === '$menuentry_id_option')
    const id = at < 0 ? undefined : words[at + 1]
    const entry: GrubEntry = { title: words[1] ?? '', id, initrds: [], parameters: [], inside: isMenu ? [] : undefined }
    if (this.#count++ < mostMenuEntries) (this.#open.at(-1)?.inside ?? this.items).push(entry)
    if (isMenu) this.#open.push(entry)
    else this.#entry = entry
  }

  #set(assignment: string): void {
    const sign = assignment.indexOf('=')
    const [name, value] = [assignment.slice(0, Math.max(0, sign)), assignment.slice(sign + 1)]
    if (this.#entry !== undefined) {
      if (name === 'root') this.#entry.partition = partitionOf(value)
    } else if (name === 'default') {
      if (!value.includes('next_entry')) this.wanted = value
    } else if (!this.variables.has(name)) this.variables.set(name, value)
  }

  #search(command: string, rest: readonly string[], line: number): void {
    const search = searchOf(command, rest)
    if (search === undefined) return
    const { kind, value } = search
    if (this.searches.length < mostMenuEntries) this.searches.push({ kind, value, line })
    if (this.#entry !== undefined && search.sets === 'root') this.#entry.searched = { kind, value }
  }

  #inside(entry: GrubEntry, command: string, rest: readonly string[]): void {
    if (/^linux(16|efi)?$/.test(command)) {
      const [path = '', ...parameters] = rest
      entry.kernel = withoutDevice(path)
      entry.parameters = parameters
      const partition = /^\(/.test(path) ? partitionOf(path) : undefined
      if (partition === undefined) return
      entry.partition = partition
      entry.searched = undefined
    } else if (/^initrd(16|efi)?$/.test(command)) entry.initrds = rest.map(withoutDevice)
    else if (command === '}') this.#entry = undefined
  }
}

function started(items: readonly GrubEntry[]): GrubEntry[] {
  return items.flatMap((entry) => (entry.inside === undefined ? [entry] : started(entry.inside)))
}

/** The commands of a line: apart by semicolons, and by the braces of an entry. */
function commandsOf(words: readonly string[]): string[][] {
  const commands: string[][] = [[]]
  for (const word of words) {
    const last = commands.at(-1)
    if (word === '}') commands.push(['}'], [])
    else if (word === '{') commands.push([])
    else if (word.endsWith(';')) {
      if (word.length > 1) last?.push(word.slice(0, -1))
      commands.push([])
    } else if (last?.length !== 0 || !['then', 'else', 'do'].includes(word)) last?.push(word)
  }
  return commands.filter((command) => command.length > 0)
}

const kinds: Readonly<Record<string, MenuSearch['kind']>> = {
  '-u': 'uuid',
  '--fs-uuid': 'uuid',
  '-l': 'label',
  '--label': 'label',
  '--fs-label': 'label',
  '-f': 'file',
  '--file': 'file',
}
const dotted: Readonly<Record<string, MenuSearch['kind']>> = {
  'search.fs_uuid': 'uuid',
  'search.fs_label': 'label',
  'search.file': 'file',
}

/** What a search looks for, and the variable that it sets (GRUB manual, "search"), unless it stands in a variable. */
function searchOf(command: string, rest: readonly string[]): (MenuSearch & { readonly sets?: string }) | undefined {
  const known = dotted[command]
  let kind = known
  let sets = known === undefined ? undefined : (rest[1] ?? 'root')
  const plain: string[] = []
  for (let index = 0; index < rest.length; index++) {
    const word = rest[index] ?? ''
    kind = kinds[word] ?? kind
    // A hint is the next word where no sign stands between them.
    if (/^(-h|--hint(-\w+)?)$/.test(word)) index++
    else if (/^(-s|--set)$/.test(word)) sets = 'root'
    else if (word.startsWith('--set=')) sets = word.slice('--set='.length)
    else if (!word.startsWith('-')) plain.push(word)
  }
  const value = known === undefined ? plain.at(-1) : plain[0]
  if (kind === undefined || value === undefined || value.includes('$')) return undefined
  return kind === 'uuid' && !/^[0-9a-f-]{4,}$/i.test(value) ? undefined : { kind, value, sets }
}

/** `hd0,gpt2`, and the like with brackets; of other disks nothing is known. */
function partitionOf(device: string): number | undefined {
  const [, number] = /^\(?hd0,(?:gpt|msdos)?(\d{1,3})\)?/.exec(device) ?? []
  return number === undefined ? undefined : Number(number)
}

function withoutDevice(path: string): string {
  return path.replace(/^\(?\$?\{?[A-Za-z0-9_,]*\}?\)?(?=\/)/, '')
}
