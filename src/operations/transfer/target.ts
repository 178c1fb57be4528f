import type { BigIntStats } from 'node:fs'
import fs from '../../sys/host-fs.js'
import { FileStore, writeError } from '../../block/file-store.js'
import { isImageError, printable, refused, targetError, usage, type ImageError } from '../../errors.js'
import type { ImageFile } from '../../formats/opened.js'
import { HeldFolder } from '../../location/folder.js'
import { isName } from '../../location/location.js'
import { moveWithoutReplacing, partialName, removePartial } from '../../location/partial.js'
import { folderPart, inFolder, lastPart, placed, realPath } from '../../sys/host-path.js'
import { guardChange, type InUseOptions } from '../in-use/guard.js'
import { companionsOf } from '../imaging/companions.js'
import { lockReplaced } from '../in-use/replacing.js'
import { refuseOutputFile, refuseStreamName } from './stream-target.js'
import { shellWord } from '../../sys/shell-word.js'

/**
 * Refuses an address where a file of this computer is to be made, unless there is a folder of that name.
 * @param instead what can be done; what `convert` can when left out. @throws ImageError usage E_TARGET.
 */
export function refuseAddress(
  path: string,
  instead = 'Name a file. vdisk convert also writes to other computers (ssh://, Azure, exports of NBD servers), and ' +
    'to what plug-ins know: s3://bucket/key',
): void {
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(path)?.[0]
  if (scheme === undefined || placed(path) !== undefined) return
  // What follows may be a password.
  throw usage('E_TARGET', `the target is an address (${scheme}…), and this command writes to this computer`, {
    hint: instead,
  })
}

/** Where a new file is to stand, after the checks. */
export interface TargetPlace {
  /**
   * Absolute, its folder by its real path: the folder that the system means. A symbolic link that stood there is
   * followed, so that what it points to is replaced, not the link.
   */
  readonly path: string
  /** Whether something stands there that is to be replaced. */
  readonly replaces: boolean
  /** Permission bits of the file that is replaced. */
  readonly mode?: number
}

/** What of a file that is read says whether another is the same. */
export type ReadFile = Pick<ImageFile, 'path' | 'device' | 'inode'> & Partial<ImageFile>

/**
 * Checks a target before anything is read. Nothing is made, and what stands there is not touched.
 * @param force whether an existing file may be replaced. @param sources the files being read, which never may.
 * @throws ImageError target E_EXISTS, E_IS_FOLDER, E_NO_FOLDER; refused E_SAME_FILE, E_BLOCK_DEVICE, and where
 * something else has the file that would be replaced (guardChange); usage E_NOT_A_FILE, E_TARGET.
 */
export function checkTarget(
  path: string,
  force: boolean,
  sources: readonly ReadFile[],
  options: InUseOptions = {},
): TargetPlace {
  refuseStreamName(path)
  const name = printable(path)
  const stat = statOf(path)
  if (stat === undefined) {
    if (!isName(lastPart(path))) throw targetError('E_IS_FOLDER', `the target ${name} is no name of a file`)
    const place = placed(path)
    refuseAddress(path)
    if (place === undefined || statOf(folderPart(place))?.isDirectory() !== true)
      throw targetError('E_NO_FOLDER', `the folder of the target ${name} does not exist`, {
        hint: 'Make the folder first.',
      })
    // A link to nothing: the name is still taken.
    if (!isFree(place)) {
      if (!force) throw exists(path)
      return { path: place, replaces: true }
    }
    return { path: place, replaces: false }
  }
  if (stat.isDirectory())
    throw targetError('E_IS_FOLDER', `the target ${name} is a directory`, {
      hint: `Name the file to be made in it: ${shellWord(inFolder(path, 'disk.qcow2'))}`,
    })
  if (stat.isBlockDevice()) {
    throw refused(
      'E_BLOCK_DEVICE',
      `the target ${name} is a disk of this computer, and only image files are made here`,
      { hint: 'Writing an image to a disk is the work of `vdisk restore`.' },
    )
  }
  if (!stat.isFile())
    throw usage('E_NOT_A_FILE', `the target ${name} is no regular file`, {
      hint: 'Name a file. vdisk convert and vdisk partition extract write to standard output when the target is -.',
    })
  assertNotKept(path, stat, keptFiles(sources))
  refuseOutputFile(path, stat)
  if (!force) throw exists(path)
  const real = realPath(path) ?? path
  guardChange(real, 'replaced', options)
  return { path: real, replaces: true, mode: Number(stat.mode) % 0o1000 }
}

/** A file that no target may replace: one that is read, or a record that belongs to one. */
export interface KeptFile extends Pick<ImageFile, 'device' | 'inode'> {
  /** `the same file as disk.vhdx`, `a record of disk.vhdx`. */
  readonly what: string
}

/** What is kept for the sake of the files that are read. */
export function keptFiles(sources: readonly ReadFile[]): KeptFile[] {
  return sources.flatMap(({ path, device, inode }) => [
    { what: `the same file as ${printable(path)}`, device, inode },
    ...companionsOf(path).flatMap((companion) => {
      const found = fs.statSync(companion, { bigint: true, throwIfNoEntry: false })
      return found === undefined
        ? []
        : [{ what: `a record of ${printable(path)}`, device: found.dev, inode: found.ino }]
    }),
  ])
}

/** @throws ImageError refused E_SAME_FILE where what stands at a target is one of the files that are kept. */
export function assertNotKept(path: string, stat: BigIntStats | undefined, kept: readonly KeptFile[]): void {
  const same = kept.find(({ device, inode }) => device === stat?.dev && inode === stat.ino)
  if (same === undefined) return
  throw refused('E_SAME_FILE', `the target ${printable(path)} is ${same.what}, which is being read`, {
    hint: 'Give the target another name; no flag overrides this.',
  })
}

function exists(path: string): ImageError {
  return targetError('E_EXISTS', `the target ${printable(path)} exists already`, {
    hint: 'Use --force to replace it; it stays whole until the new one is complete.',
  })
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return fs.statSync(path, { bigint: true })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw writeError(path, 'cannot be looked at', cause)
  }
}

function isFree(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false }) === undefined
}

/** Under which names files are written that may be gone on with later, and whether they are there already. */
export interface KeptFiles {
  present(name: string): string
  readonly remakes: boolean
  /** Whether unfinished files stay. */
  readonly keeps: boolean
}

/** A file in the target's folder, under a partial name, that holds what is to be written already. */
export interface WrittenFile {
  readonly present: string
  /** The file is the caller's from now on: to be closed, and given its name or removed. */
  leave(): FileStore
}

interface PartialOptions {
  readonly durable: boolean
  readonly mode: number
  readonly kept?: KeptFiles
  readonly written?: WrittenFile
}

/** A file being written beside its place, under a name that no one takes for an image. */
class PartialFile implements Disposable {
  readonly store: FileStore
  readonly place: TargetPlace
  /** The name it is to have, and the one it has for now. */
  readonly name: string
  readonly present: string
  readonly #folder: HeldFolder
  /** The lock of the file that is replaced. */
  readonly #replaced: Disposable | undefined
  readonly #kept: KeptFiles | undefined
  #state: 'partial' | 'placed' | 'gone' = 'partial'

  constructor(place: TargetPlace, folder: HeldFolder, { durable, mode, kept, written }: PartialOptions) {
    this.place = place
    this.name = lastPart(place.path)
    this.present = written?.present ?? kept?.present(this.name) ?? partialName(this.name)
    this.#kept = kept
    this.#folder = folder
    this.#replaced = place.replaces ? lockReplaced(place.path) : undefined
    const shown = inFolder(folder.path, this.present)
    const remakes = kept?.remakes === true && fs.existsSync(this.path)
    this.store =
      written?.leave() ??
      (remakes ? FileStore.remake(this.path, durable, shown) : FileStore.create(this.path, durable, shown, mode))
    try {
      if (place.mode !== undefined) fs.fchmodSync(this.store.fd, place.mode)
    } catch (cause) {
      this[Symbol.dispose]()
      throw writeError(place.path, 'cannot take the permissions of the file it replaces', cause)
    }
  }

  get path(): string {
    return this.#folder.at(this.present)
  }

  /** Bytes that the filesystem holds for it. */
  get allocated(): number {
    return Number(fs.fstatSync(this.store.fd, { bigint: true }).blocks) * 512
  }

  /**
   * Gives the complete file its name. Without a file to replace, one that has appeared meanwhile is not replaced
   * either.
   */
  moveIntoPlace(): void {
    this.store.flush()
    this.#assertSame()
    this.store[Symbol.dispose]()
    try {
      const final = this.#folder.at(this.name)
      if (this.place.replaces) fs.renameSync(this.path, final)
      else moveWithoutReplacing(this.path, final)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw exists(this.place.path)
      throw writeError(this.place.path, 'cannot be given its name', cause)
    }
    this.#state = 'placed'
  }

  /** What gets the name is what was written, not what somebody else put in its place. */
  #assertSame(): void {
    const { dev, ino } = fs.fstatSync(this.store.fd, { bigint: true })
    const found = fs.lstatSync(this.path, { bigint: true, throwIfNoEntry: false })
    if (found?.dev === dev && found.ino === ino) return
    const shown = printable(inFolder(this.#folder.path, this.present))
    throw targetError(
      'E_WRITE',
      `the unfinished file ${shown} was ${found === undefined ? 'removed' : 'replaced'} while it was written`,
      { hint: 'Keep other programs out of the folder (cleaning, synchronising), and run the command again.' },
    )
  }

  /** Takes back a file that was placed where none was before. */
  takeBack(): void {
    if (this.#state === 'placed' && !this.place.replaces) fs.removeFileSync(this.#folder.at(this.name))
    this.#state = 'gone'
  }

  [Symbol.dispose](): void {
    const unfinished = this.#state === 'partial'
    try {
      this.store[Symbol.dispose]()
    } catch (error) {
      // Of a file that goes away it does not matter what was not written.
      if (!unfinished) throw error
    }
    this.#replaced?.[Symbol.dispose]()
    if (unfinished) this.#state = 'gone'
    if (unfinished && this.#kept?.keeps !== true) removePartial(this.path, inFolder(this.#folder.path, this.present))
  }
}

/** What others than the owner may do with every one of the sources; the owner reads and writes. */
export function commonMode(modes: readonly number[]): number {
  const shared = [0o040, 0o020, 0o004, 0o002].filter((bit) => modes.every((mode) => Math.floor(mode / bit) % 2 === 1))
  return shared.reduce((sum, bit) => sum + bit, 0o600)
}

/** The files of one new image: made under partial names, and given their names together when all are complete. */
export class TargetFiles implements Disposable {
  readonly #folder: HeldFolder
  readonly #main: PartialFile
  readonly #further: PartialFile[] = []
  readonly #force: boolean
  readonly #sources: readonly ImageFile[]
  /** Permission bits of new files, before the umask. */
  readonly #mode: number
  readonly #durable: boolean
  readonly #kept: KeptFiles | undefined
  readonly #guards: InUseOptions

  constructor(
    place: TargetPlace,
    {
      force,
      guards = {},
      sources,
      durable,
      modes = sources.flatMap(({ mode }) => mode ?? []),
      kept,
      written,
    }: {
      readonly force: boolean
      /** What overrides the guards of further files; the image's own place was checked. */
      readonly guards?: InUseOptions
      readonly sources: readonly ImageFile[]
      readonly durable: boolean
      readonly modes?: readonly number[]
      readonly kept?: KeptFiles
      /** The image, where it is written already. */
      readonly written?: WrittenFile
    },
  ) {
    this.#kept = kept
    this.#mode = commonMode(modes)
    this.#folder = new HeldFolder(folderPart(place.path))
    try {
      this.#main = new PartialFile(place, this.#folder, { durable, mode: this.#mode, kept, written })
    } catch (error) {
      this.#folder[Symbol.dispose]()
      throw error
    }
    this.#durable = durable
    this.#force = force
    this.#guards = guards
    this.#sources = sources
  }

  get store(): FileStore {
    return this.#main.store
  }

  /** What the image is called in its folder. */
  get name(): string {
    return this.#main.name
  }

  /** Where the image lies while it is being written. */
  get partialPath(): string {
    return this.#main.path
  }

  /** Final name → present name, of every file; all lie in one folder. */
  get renamed(): ReadonlyMap<string, string> {
    return new Map([this.#main, ...this.#further].map((file) => [file.name, file.present]))
  }

  /** All of them, the image first. */
  get stores(): FileStore[] {
    return [this.#main, ...this.#further].map(({ store }) => store)
  }

  /** The complete files, by the names that they are to have. */
  get files(): { readonly name: string; readonly inode: string; readonly size: string }[] {
    return [this.#main, ...this.#further].map(({ name, store }) => {
      const { ino, size } = fs.fstatSync(store.fd, { bigint: true })
      return { name, inode: String(ino), size: String(size) }
    })
  }

  get size(): number {
    return this.#sum((file) => file.store.size)
  }

  get allocated(): number {
    return this.#sum((file) => file.allocated)
  }

  /**
   * A further file beside the image. @throws ImageError usage E_FILE_NAME when the name has folders; those of {@link
   * checkTarget}.
   */
  createFile(name: string): FileStore {
    if (!isName(name)) {
      throw usage('E_FILE_NAME', `${JSON.stringify(printable(name))} is no plain name of a file beside the image`)
    }
    const path = inFolder(this.#folder.path, name)
    // Before the lock of the image's own file would be met.
    if (this.renamed.has(lastPart(realPath(path) ?? name)))
      throw usage('E_FILE_NAME', `${printable(name)} is a file of the image already`)
    const place = checkTarget(path, this.#force, this.#sources, this.#guards)
    if (folderPart(place.path) !== folderPart(this.#main.place.path))
      throw usage('E_FILE_NAME', `${printable(name)} is a link to a file in another folder`)
    const file = new PartialFile(place, this.#folder, { durable: this.#durable, mode: this.#mode, kept: this.#kept })
    this.#further.push(file)
    return file.store
  }

  /** Gives every file its name, the image last, and makes the names durable. */
  commit(): void {
    try {
      for (const file of [...this.#further, this.#main]) file.moveIntoPlace()
    } catch (error) {
      this.#takeBack(this.#further)
      throw error
    }
    if (!this.#durable) return
    try {
      this.#folder.flush()
    } catch (error) {
      this.#takeBack([...this.#further, this.#main])
      if (!isImageError(error) || !this.#main.place.replaces) throw error
      throw targetError(error.code, error.message, {
        cause: error,
        hint: 'The new image is complete and in place; whether it outlives a power cut is not known.',
      })
    }
  }

  [Symbol.dispose](): void {
    try {
      for (const file of [this.#main, ...this.#further]) file[Symbol.dispose]()
    } finally {
      this.#folder[Symbol.dispose]()
    }
  }

  /** After a failure, which is the cause whatever fails here. */
  #takeBack(files: readonly PartialFile[]): void {
    for (const file of files) {
      try {
        file.takeBack()
      } catch {
        // It stays, and is whole.
      }
    }
  }

  #sum(of: (file: PartialFile) => number): number {
    return [this.#main, ...this.#further].reduce((sum, file) => sum + of(file), 0)
  }
}
