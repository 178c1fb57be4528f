import { isImageError, refused, type ImageError } from '../errors.js'
import { damaged } from './damage.js'
import type { FilesystemIssue, FilesystemState, UsedOptions } from './types.js'

/** Collects what is odd about a filesystem while it is being recognised: nothing that is read then throws. */
export class Issues {
  readonly list: FilesystemIssue[] = []
  readonly #title: string

  /** @param title the filesystem's, for people. */
  constructor(title: string) {
    this.#title = title
  }

  warn(code: string, message: string): void {
    this.list.push({ code, severity: 'warning', message })
  }

  /** Called when the filesystem is larger than its volume. Bytes. */
  checkSize(size: number, volumeSize: number): void {
    if (size > volumeSize)
      this.list.push({
        code: 'W_FS_TRUNCATED',
        severity: 'error',
        message: `the ${this.#title} filesystem has ${size} bytes, and the volume only ${volumeSize}`,
      })
  }

  /** What `read` gives; undefined, and an issue, when the bytes do not allow it. */
  attempt<Value>(read: () => Value): Value | undefined {
    try {
      return read()
    } catch (error) {
      if (!isImageError(error)) throw error
      if (!this.list.some(({ message }) => message === error.message))
        this.list.push({ code: error.code, severity: 'error', message: error.message })
      return undefined
    }
  }
}

/** A serial number of 32 bits as blkid and Windows print it. */
export function serialText(serial: number): string {
  const hex = serial.toString(16).toUpperCase().padStart(8, '0')
  return `${hex.slice(0, 4)}-${hex.slice(4)}`
}

/**
 * Keeps the map of used blocks from being given where it may not be true.
 * @throws ImageError corrupt E_FS_CORRUPT: larger than its volume; refused E_FS_DIRTY: not left in order, unless that
 * is allowed.
 */
export function requireTrustworthy(
  title: string,
  { size, volumeSize, state }: { size: number; volumeSize: number; state: FilesystemState },
  options: UsedOptions = {},
): void {
  if (size > volumeSize) throw damaged(title, `it has ${size} bytes, and the volume only ${volumeSize}`)
  if (state !== 'clean' && options.allowDirty !== true) throw notClean(title, state)
}

function notClean(title: string, state: FilesystemState): ImageError {
  return refused(
    'E_FS_DIRTY',
    `the ${title} filesystem is ${state === 'unknown' ? 'in an unknown state' : state}: its record of free ` +
      'space may not be true',
    {
      hint: 'Start the system that it belongs to, let it check the filesystem, and shut it down; or copy everything.',
    },
  )
}
