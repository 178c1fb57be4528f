import { writeZeros } from './zeros.js'
import type { BigIntStats } from 'node:fs'
import fs from '../sys/host-fs.js'
import {
  corrupt,
  isOutOfFiles,
  ImageError,
  printable,
  refused,
  systemCode,
  systemError,
  systemReason,
  targetError,
  type HostPath,
  type ImageErrorOptions,
  type Label,
} from '../errors.js'
import { syscalls } from '../sys/syscalls.js'
import { deviceSize } from './device-size.js'
import { folderError } from './folder-image.js'
import type { ByteStore } from './types.js'
import { WriteBehind } from './write-behind.js'

/** Windows has no such flag, whatever the types say. */
const nonBlocking = (fs.constants as Partial<typeof fs.constants>).O_NONBLOCK ?? 0

/** What an open file is for. */
interface FileUse {
  readonly writable: boolean
  /** Whether it was made empty: what was not written reads as zero. */
  readonly fresh: boolean
  /** Whether a flush waits for the medium. */
  readonly durable: boolean
  /** A second descriptor, past the page cache. */
  readonly direct?: number
  readonly behind?: WriteBehind
}

/** A file or block device of the host. Sources are opened read-only, always. */
export class FileStore implements ByteStore {
  readonly alignment = 1
  readonly name: Label
  readonly path: string
  readonly growable: boolean
  readonly zeroed: boolean
  readonly directDescriptor?: number
  readonly #behind: WriteBehind | undefined
  readonly #durable: boolean
  /** What the file was like when it was opened for reading. */
  #opened: BigIntStats | undefined
  #failed: ImageError | undefined
  /** Ranges that were written since {@link remake}. */
  #remade: { readonly position: number; end: number }[] | undefined
  #sealed = false
  #fd: number | undefined
  #size: number

  private constructor(path: string, fd: number, size: number, { writable, fresh, durable, direct, behind }: FileUse) {
    if (direct !== undefined) this.directDescriptor = direct
    this.#behind = behind
    this.#durable = durable
    this.path = path
    this.name = printable(path)
    this.#fd = fd
    this.#size = size
    this.growable = writable
    this.zeroed = fresh
  }

  /**
   * Opens an existing regular file or block device for reading. @throws ImageError E_NOT_FOUND, E_NOT_A_FILE,
   * E_PERMISSION, E_READ.
   */
  static openRead(path: HostPath): FileStore {
    let fd: number
    try {
      // A FIFO would block here for ever without O_NONBLOCK; on files and devices the flag changes nothing.
      fd = fs.openSync(path, fs.constants.O_RDONLY + nonBlocking)
    } catch (cause) {
      throw openError(path, cause, 'read')
    }
    try {
      const stat = fs.fstatSync(fd, { bigint: true })
      if (stat.isDirectory()) throw folderError(path)
      if (!stat.isFile() && !stat.isBlockDevice()) throw notAFile(path, { hint: streamHint })
      const store = new FileStore(path, fd, stat.isFile() ? Number(stat.size) : deviceSize(fd), {
        writable: false,
        fresh: false,
        durable: true,
      })
      if (stat.isFile()) store.#opened = stat
      return store
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
  }

  /**
   * Makes a new empty file for writing and reading; it must not exist (O_EXCL).
   * @param durable whether `flush` waits for the medium. Without it everything stays in the page cache for the system
   * to write when it likes. @param shown what messages call it, where the path is for the system alone. @param mode
   * permission bits, less the umask.
   * @throws ImageError target E_EXISTS, E_WRITE_PERMISSION, E_WRITE.
   */
  static create(path: HostPath, durable = true, shown: string = path, mode = 0o666): FileStore {
    try {
      const fd = fs.openSync(path, fs.constants.O_RDWR + fs.constants.O_CREAT + fs.constants.O_EXCL, mode)
      return new FileStore(shown, fd, 0, newFile(path, fd, durable))
    } catch (cause) {
      throw writeError(shown, 'cannot be created', cause)
    }
  }

  /**
   * Opens a file that {@link create} made and that is not finished, to make it anew: its size is 0, and counts up as
   * what it is to hold is written or reported by {@link grown} again, whatever is in it. {@link settle} ends that.
   * @throws ImageError target E_WRITE_PERMISSION, E_WRITE, E_NO_FOLDER.
   */
  static remake(path: HostPath, durable: boolean, shown: string): FileStore {
    try {
      const fd = fs.openSync(path, fs.constants.O_RDWR)
      const store = new FileStore(shown, fd, 0, newFile(path, fd, durable))
      store.#remade = []
      return store
    } catch (cause) {
      throw writeError(shown, 'cannot be opened', cause)
    }
  }

  /**
   * Opens an existing file to change it, for nobody else meanwhile where the system has locks.
   * @throws ImageError E_NOT_FOUND, E_NOT_A_FILE, E_PERMISSION; refused E_LOCKED when somebody else has it open for
   * changes.
   */
  static openWrite(path: HostPath): FileStore {
    let fd: number
    try {
      fd = fs.openSync(path, fs.constants.O_RDWR + nonBlocking)
    } catch (cause) {
      throw openError(path, cause, 'change')
    }
    try {
      const stat = fs.fstatSync(fd)
      if (!stat.isFile())
        throw new ImageError(
          'usage',
          'E_NOT_A_FILE',
          `${printable(path)} is no regular file, not an image that can be changed`,
        )
      if (syscalls()?.lock(fd) === false)
        throw refused('E_LOCKED', `${printable(path)} is in use by another program`, {
          hint: 'Stop the virtual machine, server or mount that uses it first.',
        })
      return new FileStore(path, fd, stat.size, { writable: true, fresh: false, durable: true })
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
  }

  /** Whether the last change or flush failed: what the medium holds of what came after the last flush is unknown. */
  get failed(): boolean {
    return this.#failed !== undefined
  }

  /** Nothing is written any more, until it is closed. */
  seal(): void {
    this.#sealed = true
  }

  get fd(): number {
    if (this.#fd === undefined) throw new Error(`${this.name} is closed`)
    return this.#fd
  }

  /** For a file being written this follows the highest byte written through the store or reported by {@link grown}. */
  get size(): number {
    return this.#size
  }

  /** The engine wrote up to `end` through the descriptor. */
  grown(end: number): void {
    if (end > this.#size) this.#size = end
  }

  written(position: number, length: number, took: number): Promise<void> | undefined {
    this.grown(position + length)
    return this.#behind?.wrote(position, length, took)?.catch((cause: unknown) => {
      throw (this.#failed = writeError(this.path, 'cannot be written to the medium', cause))
    })
  }

  read(position: number, target: Uint8Array): void {
    let done = 0
    while (done < target.length) {
      let count: number
      try {
        count = fs.readSync(this.fd, target, done, target.length - done, position + done)
      } catch (cause) {
        throw corrupt(
          'E_READ',
          `${this.name}: cannot read ${target.length} bytes at byte ${position}: ${systemReason(cause)}`,
          { cause, details: { position } },
        )
      }
      if (count === 0) {
        throw corrupt(
          'E_TRUNCATED',
          `${this.name}: ${target.length} bytes were to be read at byte ${position}, but the file ends at ` +
            `byte ${position + done}`,
          {
            details: { position, length: target.length, size: position + done },
          },
        )
      }
      done += count
    }
  }

  write(position: number, bytes: Uint8Array): void {
    this.#assertOpen()
    let done = 0
    while (done < bytes.length) {
      try {
        done += fs.writeSync(this.fd, bytes, done, bytes.length - done, position + done)
      } catch (cause) {
        throw (this.#failed = writeError(this.path, `cannot be written at byte ${position + done}`, cause))
      }
    }
    this.grown(position + bytes.length)
    this.#remade?.push({ position, end: position + bytes.length })
  }

  /**
   * Ends what {@link remake} began: behind `end` everything is as in a new file, but for what was written again.
   * @param end where what is known to be right ends. @returns the size that the file had. @throws ImageError target.
   */
  settle(end: number): number {
    const size = Number(fs.fstatSync(this.fd, { bigint: true }).size)
    const written = (this.#remade ?? []).sort((a, b) => a.position - b.position)
    this.#remade = undefined
    const wanted = this.#size
    this.#size = size
    let at = end
    for (const range of written) {
      if (range.position > at) this.zero(at, Math.min(range.position, size) - at)
      at = Math.max(at, range.end)
    }
    if (at < Math.min(size, wanted)) this.zero(at, Math.min(size, wanted) - at)
    this.truncate(wanted)
    return size
  }

  changed(): string | undefined {
    const before = this.#opened
    if (before === undefined || this.#fd === undefined) return undefined
    const now = fs.fstatSync(this.fd, { bigint: true })
    if (now.size !== before.size) return `it had ${before.size} bytes, and has ${now.size} now`
    if (now.mtimeNs !== before.mtimeNs) return 'it was written to'
    // A file that was only removed or renamed is still read whole.
    const named = statOf(this.path)
    return named === undefined || (named.dev === before.dev && named.ino === before.ino)
      ? undefined
      : 'another file has its name now'
  }

  truncate(size: number): void {
    this.#assertOpen()
    try {
      // What is made anew keeps what it has until it is settled.
      if (this.#remade === undefined || size > fs.fstatSync(this.fd).size) fs.ftruncateSync(this.fd, size)
    } catch (cause) {
      throw (this.#failed = writeError(this.path, `cannot be set to ${size} bytes`, cause))
    }
    this.#size = size
  }

  zero(position: number, length: number): void {
    this.#assertOpen()
    const inside = Math.max(0, Math.min(length, this.#size - position))
    if (inside > 0 && syscalls()?.punchHole(this.fd, position, inside) !== true) writeZeros(this, position, inside)
    if (position + length > this.#size) this.truncate(position + length)
  }

  flush(): void {
    if (!this.#durable) return
    this.#assertOpen()
    try {
      fs.fsyncSync(this.fd)
    } catch (cause) {
      throw (this.#failed = writeError(this.path, 'cannot be flushed to the medium', cause))
    }
    this.#failed = undefined
  }

  /** As {@link flush}, of what was written so far, without keeping this thread waiting. @throws ImageError target. */
  async flushLater(): Promise<void> {
    if (!this.#durable) return
    this.#assertOpen()
    const { fd } = this
    await new Promise<void>((resolve, reject) => {
      fs.fdatasync(fd, (cause) => {
        if (cause === null) resolve()
        else reject((this.#failed = writeError(this.path, 'cannot be flushed to the medium', cause)))
      })
    })
  }

  #assertOpen(): void {
    if (this.#sealed && this.#failed !== undefined) throw this.#failed
  }

  /** @throws ImageError target where the system reports only now that something was not written (NFS, quotas). */
  [Symbol.dispose](): void {
    if (this.#fd === undefined) return
    const fd = this.#fd
    this.#fd = undefined
    try {
      try {
        if (this.directDescriptor !== undefined) fs.closeSync(this.directDescriptor)
      } finally {
        fs.closeSync(fd)
      }
    } catch (cause) {
      if (this.growable) throw writeError(this.path, 'cannot be closed', cause)
      throw corrupt('E_READ', `${this.name}: cannot be closed: ${systemReason(cause)}`, { cause })
    }
  }
}

function statOf(path: string): BigIntStats | undefined {
  try {
    return fs.statSync(path, { bigint: true, throwIfNoEntry: false })
  } catch {
    // Its folder went away, or may not be searched any more: the descriptor still has the file.
    return undefined
  }
}

/**
 * A file that is made: how its bulk data gets to the medium while it is written, from the page cache where the system
 * can be asked to begin, past it otherwise.
 */
function newFile(path: string, fd: number, durable: boolean): FileUse {
  const use = { writable: true, fresh: true, durable }
  const system = syscalls()
  if (system !== undefined) return { ...use, behind: new WriteBehind(fd, system, durable) }
  return durable ? { ...use, direct: openDirect(path, fd) } : use
}

/** Filesystems (statfs type) known to write well past the page cache: ext4, XFS, btrfs. */
const directFilesystems = new Set([0xef53, 0x58465342, 0x9123683e])

/**
 * A second descriptor of an open file that writes past the page cache, or undefined where the system or the filesystem
 * has no such thing. It is opened through /proc, not by its path: another file may have that meanwhile.
 */
function openDirect(path: string, descriptor: number): number | undefined {
  const direct = (fs.constants as Partial<typeof fs.constants>).O_DIRECT
  if (direct === undefined) return undefined
  try {
    return directFilesystems.has(fs.statfsSync(path).type)
      ? fs.openSync(`/proc/self/fd/${descriptor}`, fs.constants.O_WRONLY + direct)
      : undefined
  } catch {
    // No /proc, or a layered filesystem that refuses the flag: the ordinary descriptor does everything, slower.
    return undefined
  }
}

/** Formats are not read from start to end: what cannot be read at any place has to be kept somewhere first. */
const streamHint = 'Only convert reads a stream, as standard input: vdisk convert - disk.qcow2 < STREAM'

function notAFile(path: string, options: ImageErrorOptions): ImageError {
  return new ImageError('usage', 'E_NOT_A_FILE', `${printable(path)} is no regular file, not a disk image`, options)
}

function openError(path: string, cause: unknown, purpose: 'read' | 'change'): ImageError {
  const code = (cause as NodeJS.ErrnoException).code
  if (isOutOfFiles(cause)) return systemError(cause) ?? corrupt('E_READ', systemReason(cause), { cause })
  const name = printable(path)
  // Opened to be changed; to be read it can be opened.
  if (code === 'EISDIR') return folderError(path)
  if (code === 'ENOENT') {
    return new ImageError('usage', 'E_NOT_FOUND', `${name}: no such file`, {
      cause,
      hint: path === '-' ? streamHint : undefined,
    })
  }
  if (code === 'EACCES' || code === 'EPERM')
    return new ImageError('usage', 'E_PERMISSION', `${name}: no permission to ${purpose} it`, {
      cause,
      hint: `Run as a user who may ${purpose} the file.`,
    })
  if (code === 'EROFS')
    return targetError('E_WRITE_PERMISSION', `${name} cannot be changed: its filesystem is read-only`, { cause })
  // A socket, a terminal that nobody has.
  if (code === 'ENXIO' && statOf(path)?.isBlockDevice() !== true) return notAFile(path, { cause })
  // A lease that another program has, or a program that runs from the file.
  if (code === 'EAGAIN' || code === 'ETXTBSY')
    return refused('E_LOCKED', `${name} is in use by another program`, {
      cause,
      hint: 'Stop the virtual machine, server or mount that uses it first.',
    })
  return corrupt('E_READ', `${name}: cannot be opened: ${systemReason(cause)}`, { cause })
}

/**
 * A failed write as DESIGN's kind `target`, with the code for its reason. @param position where it was to go, in bytes.
 */
export function writeError(path: string, what: string, cause: unknown, position?: number): ImageError {
  const code = systemCode(cause)
  if (isOutOfFiles(cause)) return systemError(cause) ?? targetError('E_WRITE', systemReason(cause))
  const name = printable(path)
  const where = position === undefined ? {} : { details: { position } }
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return targetError('E_NO_SPACE', `${name} ${what}: no space left`, {
      cause,
      ...where,
      hint: 'Free space, or choose another folder.',
    })
  if (code === 'EFBIG')
    return targetError('E_FILE_TOO_BIG', `${name} ${what}: the filesystem does not take a file of that size`, {
      cause,
      ...where,
    })
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return targetError('E_WRITE_PERMISSION', `${name} ${what}: no permission`, { cause, ...where })
  if (code === 'EEXIST') return targetError('E_EXISTS', `${name} exists already`, { cause })
  if (code === 'ENOENT') return targetError('E_NO_FOLDER', `${name} ${what}: its folder does not exist`, { cause })
  return targetError('E_WRITE', `${name} ${what}: ${systemReason(cause)}`, { cause, ...where })
}
