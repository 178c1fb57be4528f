import { writeError } from '../block/file-store.js'
import type { HostPath } from '../errors.js'
import fs from '../sys/host-fs.js'
import { inFolder } from '../sys/host-path.js'

const { O_DIRECTORY = 0 } = fs.constants as Partial<typeof fs.constants>

/** Linux: a descriptor that names a folder and needs no permission to list it. */
const O_PATH = 0o10000000

/**
 * Makes a folder where there is none; that in which it lies is there.
 * @throws ImageError target E_NO_FOLDER, E_WRITE_PERMISSION, E_NO_SPACE, E_EXISTS where something else has the name.
 */
export function makeFolder(path: HostPath): void {
  if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return
  try {
    fs.mkdirSync(path)
  } catch (cause) {
    throw writeError(path, 'cannot be made as a folder', cause)
  }
}

/**
 * A folder of this computer, held open: what is made, renamed and removed in it is so in that folder, whatever becomes
 * of its path meanwhile. Where the system has no /proc it is reached by its path.
 */
export class HeldFolder implements Disposable {
  /** For people and records. */
  readonly path: string
  readonly #base: string
  #descriptor: number | undefined

  /** @param path a real path. @throws ImageError target when it cannot be opened. */
  constructor(path: HostPath) {
    this.path = path
    this.#base = path
    if (!fs.existsSync('/proc/self/fd')) return
    try {
      this.#descriptor = fs.openSync(path, O_PATH + O_DIRECTORY)
      this.#base = `/proc/self/fd/${this.#descriptor}`
    } catch (cause) {
      throw writeError(path, 'cannot be opened as a folder', cause)
    }
  }

  /** The path that the system is to be given for a name in it. It is good while this is open, in this process. */
  at(name: string): HostPath {
    return inFolder(this.#base, name)
  }

  /**
   * Names that were given or taken outlive a power cut. Systems that cannot flush a folder (Windows) do it themselves.
   */
  flush(): void {
    let descriptor: number
    try {
      descriptor = fs.openSync(this.#base, 'r')
    } catch {
      return
    }
    try {
      fs.fsyncSync(descriptor)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EIO')
        throw writeError(this.path, 'cannot be flushed to the medium', cause)
    } finally {
      fs.closeSync(descriptor)
    }
  }

  [Symbol.dispose](): void {
    if (this.#descriptor === undefined) return
    fs.closeSync(this.#descriptor)
    this.#descriptor = undefined
  }
}
