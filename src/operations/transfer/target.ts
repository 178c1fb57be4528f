import { randomBytes } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import fs from '../../sys/host-fs.js'
import { basename, dirname, join, resolve } from 'node:path'
import { FileStore, writeError } from '../../block/file-store.js'
import { printable, refused, targetError, usage, type ImageError } from '../../errors.js'
import type { ImageFile } from '../../formats/opened.js'

/** Where a new file is to stand, after the checks. */
export interface TargetPlace {
  /** Absolute; a symbolic link that stood there is followed, so that what it points to is replaced, not the link. */
  readonly path: string
  /** Whether something stands there that is to be replaced. */
  readonly replaces: boolean
  /** Permission bits of the file that is replaced. */
  readonly mode?: number
}

/**
 * Checks a target before anything is read. Nothing is made, and what stands there is not touched.
 * @param force whether an existing file may be replaced. @param sources the files being read, which never may.
 * @throws ImageError target E_EXISTS, E_IS_FOLDER, E_NO_FOLDER; refused E_SAME_FILE, E_BLOCK_DEVICE; usage
 * E_NOT_A_FILE.
 */
export function checkTarget(path: string, force: boolean, sources: readonly ImageFile[]): TargetPlace {
  const name = printable(path)
  const place = followLink(resolve(path))
  const stat = statOf(place)
  if (stat === undefined) {
    if (path.endsWith('/') || basename(place) === '')
      throw targetError('E_IS_FOLDER', `the target ${name} is no name of a file`)
    const folder = statOf(dirname(place))
    if (folder?.isDirectory() !== true)
      throw targetError('E_NO_FOLDER', `the folder of the target ${name} does not exist`, {
        hint: 'Make the folder first.',
      })
    // A link to nothing: the name is taken all the same.
    if (!isFree(place)) {
      if (!force) throw exists(path)
      return { path: place, replaces: true }
    }
    return { path: place, replaces: false }
  }
  if (stat.isDirectory())
    throw targetError('E_IS_FOLDER', `the target ${name} is a directory`, {
      hint: `Name the file to be made in it: ${printable(join(path, 'disk.qcow2'))}`,
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
      hint: 'Write - to send a raw image to standard output.',
    })
  const same = sources.find(({ device, inode }) => device === stat.dev && inode === stat.ino)
  if (same !== undefined) {
    throw refused(
      'E_SAME_FILE',
      `the target ${name} is the same file as ${printable(same.path)}, which is being read`,
      { hint: 'Give the target another name; no flag overrides this.' },
    )
  }
  if (!force) throw exists(path)
  return { path: place, replaces: true, mode: Number(stat.mode) % 0o1000 }
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

function followLink(path: string): string {
  try {
    return fs.realpathSync(path)
  } catch {
    // Not there (yet): the folder's links are followed by the system.
    return path
  }
}

/** A file being written beside its place, under a name that no one takes for an image. */
class PartialFile implements Disposable {
  readonly store: FileStore
  readonly place: TargetPlace
  readonly path: string
  #state: 'partial' | 'placed' | 'gone' = 'partial'

  constructor(place: TargetPlace, durable: boolean) {
    this.place = place
    // A name has at most 255 bytes.
    const stem = Buffer.from(basename(place.path))
      .subarray(0, 200)
      .toString('utf8')
      .replace(/\ufffd+$/, '')
    this.path = join(dirname(place.path), `.${stem}.partial-${randomBytes(6).toString('hex')}`)
    this.store = FileStore.create(this.path, durable)
    try {
      if (place.mode !== undefined) fs.fchmodSync(this.store.fd, place.mode)
    } catch (cause) {
      this[Symbol.dispose]()
      throw writeError(this.path, 'cannot take the permissions of the file it replaces', cause)
    }
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
    this.store[Symbol.dispose]()
    try {
      if (this.place.replaces) fs.renameSync(this.path, this.place.path)
      else moveWithoutReplacing(this.path, this.place.path)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw exists(this.place.path)
      throw writeError(this.place.path, 'cannot be given its name', cause)
    }
    this.#state = 'placed'
  }

  /** Takes back a file that was placed where none was before. */
  takeBack(): void {
    if (this.#state === 'placed' && !this.place.replaces) fs.removeFileSync(this.place.path)
    this.#state = 'gone'
  }

  [Symbol.dispose](): void {
    this.store[Symbol.dispose]()
    if (this.#state === 'partial') fs.removeFileSync(this.path)
    this.#state = this.#state === 'partial' ? 'gone' : this.#state
  }
}

/** A hard link refuses to replace; filesystems without links get a look and a rename. */
export function moveWithoutReplacing(from: string, to: string): void {
  try {
    fs.linkSync(from, to)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EEXIST') throw cause
    if (fs.existsSync(to)) throw Object.assign(new Error('the file exists'), { code: 'EEXIST' })
    fs.renameSync(from, to)
    return
  }
  fs.unlinkSync(from)
}

/** The files of one new image: made under partial names, and given their names together when all are complete. */
export class TargetFiles implements Disposable {
  readonly #main: PartialFile
  readonly #further: PartialFile[] = []
  readonly #force: boolean
  readonly #sources: readonly ImageFile[]
  readonly #durable: boolean

  constructor(
    place: TargetPlace,
    { force, sources, durable }: { force: boolean; sources: readonly ImageFile[]; durable: boolean },
  ) {
    this.#main = new PartialFile(place, durable)
    this.#durable = durable
    this.#force = force
    this.#sources = sources
  }

  get store(): FileStore {
    return this.#main.store
  }

  /** Where the image lies while it is being written. */
  get partialPath(): string {
    return this.#main.path
  }

  /** Final path → present path, of every file. */
  get renamed(): ReadonlyMap<string, string> {
    return new Map([this.#main, ...this.#further].map((file) => [file.place.path, file.path]))
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
    if (name !== basename(name) || name === '' || name === '.' || name === '..' || name.includes('\0')) {
      throw usage('E_FILE_NAME', `${JSON.stringify(printable(name))} is no plain name of a file beside the image`)
    }
    const place = checkTarget(join(dirname(this.#main.place.path), name), this.#force, this.#sources)
    if (this.renamed.has(place.path)) throw usage('E_FILE_NAME', `${printable(name)} is a file of the image already`)
    const file = new PartialFile(place, this.#durable)
    this.#further.push(file)
    return file.store
  }

  /** Gives every file its name, the image last, and makes the names durable. */
  commit(): void {
    try {
      for (const file of [...this.#further, this.#main]) file.moveIntoPlace()
    } catch (error) {
      for (const file of this.#further) file.takeBack()
      throw error
    }
    if (this.#durable) syncFolder(dirname(this.#main.place.path))
  }

  [Symbol.dispose](): void {
    for (const file of [this.#main, ...this.#further]) file[Symbol.dispose]()
  }

  #sum(of: (file: PartialFile) => number): number {
    return [this.#main, ...this.#further].reduce((sum, file) => sum + of(file), 0)
  }
}

/** A rename is durable when its folder is. Systems that cannot flush a folder (Windows) do it on their own. */
function syncFolder(folder: string): void {
  let descriptor: number
  try {
    descriptor = fs.openSync(folder, 'r')
  } catch {
    return
  }
  try {
    fs.fsyncSync(descriptor)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EIO') throw writeError(folder, 'cannot be flushed to the medium', cause)
  } finally {
    fs.closeSync(descriptor)
  }
}
