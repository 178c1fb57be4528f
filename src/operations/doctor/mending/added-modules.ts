import { Input } from '../../../codec/stream/input.js'
import { streamCodecFor } from '../../../codec/stream/index.js'
import { refused } from '../../../errors.js'
import type { Guest } from '../guest.js'
import type { GuestFile } from '../guest-file.js'
import type { Initramfs } from '../initramfs.js'
import type { FileEdit } from '../report.js'
import { textLines, type ModuleFolder, type StartedKernel } from '../started-kernel.js'
import { moduleLists, softDependency, type SystemLists } from './module-lists.js'
import { newcArchive, type ArchiveEntry } from './newc-archive.js'
import { isModuleFile, moduleName } from '../module-names.js'

/** What is looked at to add modules to an initramfs. */
export interface ModulesAsked {
  readonly guest: Guest
  readonly started: StartedKernel
  readonly modules: ModuleFolder
  /** What each initramfs holds, in their order. */
  readonly inside: readonly Initramfs[]
  /** Names of modules; what they need comes with them. */
  readonly wanted: readonly string[]
}

/** Behind these the kernel unpacks another archive (init/initramfs.c); zstd was tried in QEMU (docs/doctor.md). */
const continued = ['cpio', 'gzip', 'xz', 'zstd', 'lz4']
/** From this version on zeros end an archive in lz4 (lib/decompress_unlz4.c); before, what follows is lost. */
const lz4Since = [5, 14] as const
const lz4Zeros = 8
const alignment = 4
/** Of modules and lists together. */
const mostBytes = 64 * 1048576
const suffixCodecs: Readonly<Record<string, string>> = { xz: 'xz', zst: 'zstd', gz: 'gzip' }

/**
 * An archive with modules of the system, behind the last initramfs of the kernel that starts: the modules, what they
 * need, and the lists in which udev and kmod look drivers up, which replace those that the initramfs has.
 * @throws ImageError refused E_NOT_MENDED: the initramfs is of another kind, or a module cannot be read; corrupt.
 */
export async function addedModules(asked: ModulesAsked): Promise<FileEdit> {
  const { guest, started, inside } = asked
  const file = started.initrds.at(-1)
  const open = guest.volumes.find(({ files }) => files === file?.files)
  if (file === undefined || open === undefined || file.part !== undefined)
    throw unlike('it is no file of its own, as in a unified kernel image')
  const codec = requireContinued(inside.at(-1)?.archives.at(-1) ?? '', started.version)
  const names = new Set(inside.flatMap((each) => [...each.names]))
  const folder = modulesPlace(names, started.version ?? '')
  const present = presentModules(names, folder)
  const lists = systemLists(asked)
  const stranger = [...present.keys()].find((name) => !lists.loadable.has(name))
  if (stranger !== undefined) throw unlike(`it has the module ${stranger}, which the system does not list`)
  const added = await readModules(asked, lists, present)
  const paths = new Map([...present, ...[...added].map(([path]) => [moduleName(path), path] as const)])
  const entries = archiveEntries(names, folder, new Map([...added, ...moduleLists(paths, lists)]))
  const archive = newcArchive(entries)
  if (archive.length > mostBytes) throw refused('E_NOT_MENDED', `its modules have ${archive.length} bytes`)
  const { size } = file.node
  const zeros = (codec === 'lz4' ? lz4Zeros : 0) + ((alignment - (size % alignment)) % alignment)
  const bytes = Buffer.concat([Buffer.alloc(zeros), archive])
  const becomes = `an initramfs with ${[...added.keys()].map(moduleName).join(', ')} behind it`
  return { open, path: file.path, offset: size, old: new Uint8Array(0), bytes, allocates: true, becomes }
}

function unlike(why: string): Error {
  return refused('E_NOT_MENDED', `the initramfs is of a kind that is not changed here: ${why}`)
}

function requireContinued(codec: string, version: string | undefined): string {
  if (!continued.includes(codec)) throw unlike(`what follows an archive in ${codec} may be lost`)
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version ?? '') ?? []
  const isOld = Number(major) < lz4Since[0] || (Number(major) === lz4Since[0] && Number(minor) < lz4Since[1])
  if (codec === 'lz4' && (major === undefined || isOld))
    throw unlike(`before Linux ${lz4Since.join('.')} what follows an archive in lz4 is lost`)
  return codec
}

/** Where the initramfs has its modules: what loads drivers by the names of devices has its lists there. */
function modulesPlace(names: ReadonlySet<string>, version: string): string {
  const folders = ['usr/lib/modules', 'lib/modules'].map((path) => `${path}/${version}`)
  const found = folders.find((path) =>
    ['modules.dep.bin', 'modules.alias.bin'].every((name) => names.has(`${path}/${name}`)),
  )
  if (found === undefined) throw unlike(`it has no lists of the modules of ${version}`)
  if (![...names].some((name) => /(^|\/)(systemd-udevd|udevd|udevadm)$/.test(name)))
    throw unlike('it has no udev, which loads drivers')
  return found
}

/** The modules that an initramfs has, with their paths in the folder of the modules. */
function presentModules(names: ReadonlySet<string>, folder: string): Map<string, string> {
  const present = new Map<string, string>()
  for (const name of names)
    if (name.startsWith(`${folder}/`) && isModuleFile(name))
      present.set(moduleName(name), name.slice(folder.length + 1))
  return present
}

function systemLists({ guest, modules: { folder, loadable } }: ModulesAsked): SystemLists {
  const alias = textLines(guest, `${folder}/modules.alias`)
  if (loadable === undefined || alias === undefined)
    throw refused('E_NOT_MENDED', `${folder} has no modules.dep or no modules.alias`)
  const softdep = textLines(guest, `${folder}/modules.softdep`) ?? []
  return { loadable, alias, softdep, order: textLines(guest, `${folder}/modules.order`) ?? [] }
}

/** The modules that are missing, by the paths that they are to have. */
async function readModules(
  asked: ModulesAsked,
  lists: SystemLists,
  present: ReadonlyMap<string, string>,
): Promise<Map<string, Uint8Array>> {
  const { guest, modules } = asked
  const suffixes = new Set([...present.values()].map((path) => suffixOf(path)))
  const added = new Map<string, Uint8Array>()
  let total = 0
  for (const name of missingModules(asked, lists, present)) {
    const path = lists.loadable.get(name)?.path ?? ''
    if (path.startsWith('/') || path.split('/').includes('..'))
      throw refused('E_NOT_MENDED', `the module ${name} is listed outside ${modules.folder}`)
    const file = guest.file(`${modules.folder}/${path}`)
    if (file === undefined) throw refused('E_NOT_MENDED', `there is no file ${modules.folder}/${path}`)
    total += file.node.size
    if (total > mostBytes) throw refused('E_NOT_MENDED', `its modules have more than ${mostBytes} bytes`)
    const suffix = suffixOf(path)
    // What loads the modules that are there knows their compression; of another one that is not certain.
    const asItIs = suffix === '' || suffixes.has(suffix)
    added.set(asItIs ? path : path.slice(0, -suffix.length - 1), await content(file, asItIs ? '' : suffix))
  }
  return added
}

function suffixOf(path: string): string {
  return /\.ko\.(gz|xz|zst)$/.exec(path)?.[1] ?? ''
}

/** What is wanted, with what it needs and what is to be loaded with it. */
function missingModules(
  { modules, wanted }: ModulesAsked,
  { loadable, softdep, alias }: SystemLists,
  present: ReadonlyMap<string, string>,
): Set<string> {
  const soft = new Map(softdep.flatMap((line) => softDependency(line) ?? []).map(({ name, others }) => [name, others]))
  const missing = new Set<string>()
  const queue = [...wanted]
  for (const name of queue) {
    if (missing.has(name) || present.has(name) || modules.builtin.has(name)) continue
    const module = loadable.get(name)
    if (module === undefined) throw refused('E_NOT_MENDED', `the system has no module ${name}`)
    missing.add(name)
    const others = (soft.get(name) ?? []).flatMap((one) => known(one, loadable, alias))
    queue.push(...module.needs.map(moduleName), ...others)
  }
  return missing
}

/** The modules that a name or an alias means; what is in none is left out, as kmod does. */
function known(name: string, loadable: SystemLists['loadable'], alias: readonly string[]): string[] {
  const plain = moduleName(name)
  if (loadable.has(plain)) return [plain]
  const start = `alias ${name} `
  return alias.filter((line) => line.startsWith(start)).map((line) => moduleName(line.slice(start.length)))
}

async function content({ files, path, node }: GuestFile, suffix: string): Promise<Uint8Array> {
  const unread = (): Error => refused('E_NOT_MENDED', `the module ${path} cannot be read`)
  const codec = suffixCodecs[suffix]
  if (codec === undefined) {
    const bytes = new Uint8Array(node.size)
    if (!files.fill(node, 0, bytes)) throw unread()
    return bytes
  }
  const read = (position: number, target: Uint8Array): void => {
    if (!files.fill(node, position, target)) throw unread()
  }
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of streamCodecFor(codec).decode(new Input(path, read, 0, node.size))) {
    length += piece.length
    if (length > mostBytes) throw refused('E_NOT_MENDED', `the module ${path} has more than ${mostBytes} bytes`)
    pieces.push(Uint8Array.from(piece))
  }
  return Buffer.concat(pieces)
}

/** Files below the folder of the modules, each behind the folders that are not there yet. */
function archiveEntries(
  names: ReadonlySet<string>,
  folder: string,
  files: ReadonlyMap<string, Uint8Array>,
): ArchiveEntry[] {
  const made = new Set<string>()
  return [...files].flatMap(([path, bytes]) => {
    const parts = path.split('/')
    const above = parts.slice(1).map((_part, index) => `${folder}/${parts.slice(0, index + 1).join('/')}`)
    // A folder that is a link there must not be made again: the kernel would remove the link.
    const folders = above.filter((one) => !names.has(one) && !made.has(one))
    for (const one of folders) made.add(one)
    return [...folders.map((one): ArchiveEntry => ({ path: one })), { path: `${folder}/${path}`, content: bytes }]
  })
}
