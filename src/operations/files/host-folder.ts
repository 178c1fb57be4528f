import type { BigIntStats } from 'node:fs'
import fs from '../../sys/host-fs.js'
import { writeError } from '../../block/file-store.js'
import { printable, targetError } from '../../errors.js'
import { syscalls } from '../../sys/syscalls.js'
import { moveWithoutReplacing, partialName } from '../../location/partial.js'

/** What a copy is given besides its bytes. Times are nanoseconds since 1970. */
export interface FileAttributes {
  /** Permission bits; undefined: what the system gives a new file. */
  readonly mode?: number
  readonly modified: bigint
  readonly accessed?: bigint
}

/** Bits that give rights (set-user-id …) are not taken over: the copy belongs to somebody else. */
const permissionBits = 0o1000

/**
 * A folder of the host that is being filled. It is held by its descriptor, and everything in it is reached through
 * that: whatever links
 * stand or appear in it, nothing outside is ever written. (Without /proc, by its path; then links that appear meanwhile
 * are not noticed.)
 */
export class HostFolder implements Disposable {
  /** For messages. */
  readonly path: string
  /** Undefined on systems that open no folders (Windows). */
  readonly #descriptor: number | undefined
  readonly #base: string

  private constructor(path: string, descriptor: number | undefined) {
    this.path = path
    this.#descriptor = descriptor
    const byDescriptor = `/proc/self/fd/${descriptor ?? ''}`
    this.#base = descriptor !== undefined && fs.existsSync(byDescriptor) ? byDescriptor : path
  }

  /** Opens a folder that the user named: links in its path are the user's own. @throws ImageError target. */
  static open(path: string): HostFolder {
    try {
      return new HostFolder(path, openFolder(path, flag('O_DIRECTORY')))
    } catch (cause) {
      throw writeError(path, 'cannot be opened as a folder', cause)
    }
  }

  /**
   * The folder `name`, made if it is not there. @throws ImageError target E_EXISTS when something else stands there,
   * also a link to a folder.
   */
  folder(name: string): HostFolder {
    const place = this.#place(name)
    try {
      fs.mkdirSync(place, 0o777)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST')
        throw writeError(this.#shown(name), 'cannot be made', cause)
    }
    return this.existing(name)
  }

  /** The folder `name`, which is there. @throws ImageError target E_EXISTS. */
  existing(name: string): HostFolder {
    try {
      return new HostFolder(this.#shown(name), openFolder(this.#place(name), flag('O_DIRECTORY') + flag('O_NOFOLLOW')))
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'ENOTDIR' || code === 'ELOOP')
        throw targetError('E_EXISTS', `${printable(this.#shown(name))} exists already, and is no folder`, { cause })
      throw writeError(this.#shown(name), 'cannot be opened as a folder', cause)
    }
  }

  /** What has a name in the folder, a link itself; undefined where the name is free. */
  statOf(name: string): BigIntStats | undefined {
    return fs.lstatSync(this.#place(name), { bigint: true, throwIfNoEntry: false })
  }

  /**
   * Makes a file: `fill` writes into the descriptor, then it gets its name. @throws ImageError target E_EXISTS …; what
   * `fill` throws. Nothing is left then.
   */
  async file(
    name: string,
    attributes: FileAttributes,
    force: boolean,
    fill: (descriptor: number) => Promise<void>,
  ): Promise<void> {
    const place = this.#place(name)
    const partial = this.#place(partialName(name))
    const flags = flag('O_WRONLY') + flag('O_CREAT') + flag('O_EXCL') + flag('O_NOFOLLOW')
    let descriptor: number
    try {
      descriptor = fs.openSync(partial, flags, attributes.mode === undefined ? 0o666 : 0o600)
    } catch (cause) {
      throw writeError(this.#shown(name), 'cannot be made', cause)
    }
    let placed = false
    try {
      try {
        await fill(descriptor)
        this.#attempt(name, () => setAttributes(descriptor, attributes))
      } finally {
        fs.closeSync(descriptor)
      }
      this.#attempt(name, () => (force ? fs.renameSync(partial, place) : moveWithoutReplacing(partial, place)))
      placed = true
    } finally {
      if (!placed) fs.removeFileSync(partial)
    }
  }

  /** Makes a symbolic link, which is never followed. @throws ImageError target E_EXISTS …. */
  link(name: string, target: string, attributes: FileAttributes, force: boolean): void {
    const place = this.#place(name)
    const partial = this.#place(partialName(name))
    this.#attempt(name, () => {
      fs.symlinkSync(target, force ? partial : place)
      if (force) {
        try {
          fs.renameSync(partial, place)
        } catch (cause) {
          fs.removeFileSync(partial)
          throw cause
        }
      }
      const { modified, accessed = modified } = attributes
      if (syscalls()?.setLinkTimes(place, accessed, modified) !== true)
        fs.lutimesSync(place, Number(accessed) / 1e9, Number(modified) / 1e9)
    })
  }

  /** Another name for a file that was made before. False when the system cannot (then it is to be copied). */
  hardLink(name: string, folder: HostFolder, existing: string): boolean {
    try {
      fs.linkSync(folder.#place(existing), this.#place(name))
      return true
    } catch {
      return false
    }
  }

  /** Gives the folder itself its times and mode, when all is in it. */
  finish(attributes: FileAttributes): void {
    const descriptor = this.#descriptor
    if (descriptor !== undefined) this.#attempt(undefined, () => setAttributes(descriptor, attributes))
  }

  [Symbol.dispose](): void {
    if (this.#descriptor !== undefined) fs.closeSync(this.#descriptor)
  }

  /** Where a name lies. The check is the last one: whatever a filesystem gives as a name, it stays one. */
  #place(name: string): string {
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name))
      throw targetError('E_UNSAFE_NAME', `${JSON.stringify(name)} is no name of a file`)
    return `${this.#base}/${name}`
  }

  #shown(name: string | undefined): string {
    return name === undefined ? this.path : `${this.path}/${name}`
  }

  #attempt(name: string | undefined, work: () => void): void {
    try {
      work()
    } catch (cause) {
      throw writeError(this.#shown(name), 'cannot be made', cause)
    }
  }
}

/** A flag of open(2); 0 where the system has no such thing. */
function flag(name: 'O_WRONLY' | 'O_CREAT' | 'O_EXCL' | 'O_DIRECTORY' | 'O_NOFOLLOW'): number {
  return (fs.constants as Partial<typeof fs.constants>)[name] ?? 0
}

function openFolder(path: string, flags: number): number | undefined {
  try {
    return fs.openSync(path, flags)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if ((code === 'EISDIR' || code === 'EPERM') && fs.lstatSync(path).isDirectory()) return undefined
    throw cause
  }
}

function setAttributes(descriptor: number, { mode, modified, accessed = modified }: FileAttributes): void {
  if (mode !== undefined) setMode(descriptor, mode)
  if (syscalls()?.setTimes(descriptor, accessed, modified) !== true)
    fs.futimesSync(descriptor, Number(accessed) / 1e9, Number(modified) / 1e9)
}

function setMode(descriptor: number, mode: number): void {
  // The sticky bit of a folder takes away what others may do in it (/tmp); set-user-id and set-group-id would give it
  // to
  // files that have another owner here.
  const sticky = Math.floor(mode / permissionBits) % 2 === 1 && fs.fstatSync(descriptor).isDirectory()
  fs.fchmodSync(descriptor, (mode % permissionBits) + (sticky ? permissionBits : 0))
}
