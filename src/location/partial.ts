import { writeError } from '../block/file-store.js'
import { printable, systemReason, targetError, type HostPath } from '../errors.js'
import fs from '../sys/host-fs.js'
import { folderPart, inFolder, lastPart } from '../sys/host-path.js'

/** How files are named while they are being written; no such file is opened as an image. */
const form = /^\..+\.partial-[0-9a-f]{8,}$/s

/** A name has at most 255 bytes; what is added takes 22, and `.vdisk.json` and the like may follow. */
const mostBytes = 150

export const isPartialName = (name: string): boolean => form.test(name)

/**
 * A name for a file that is to be called `name` when it is complete. @param given the id; a new one when left out.
 */
export function partialName(name: string, given?: string): string {
  return `.${stemOf(name)}.partial-${given ?? newId()}`
}

/** The names beside a file that partial names of it have with `ending` behind them. */
export function partialsOf(path: HostPath, ending: string): string[] {
  const folder = folderPart(path)
  if (!fs.existsSync(folder)) return []
  return fs
    .readdirSync(folder)
    .filter((name) => name.endsWith(ending) && isPartialOf(name.slice(0, name.length - ending.length), lastPart(path)))
    .sort()
}

/** Whether it is the name of an unfinished file that is to be called `name`. */
export function isPartialOf(partial: string, name: string): boolean {
  return partial.startsWith(`.${stemOf(name)}.partial-`) && isPartialName(partial)
}

function stemOf(name: string): string {
  let stem = ''
  let bytes = 0
  for (const character of name) {
    bytes += Buffer.byteLength(character)
    if (bytes > mostBytes) break
    stem += character
  }
  return stem
}

function newId(): string {
  // Nobody has to be kept from guessing it, since the file is made anew or not at all; loading crypto takes 4 ms.
  return Math.floor(Math.random() * 2 ** 48)
    .toString(16)
    .padStart(12, '0')
}

/**
 * Gives a file its name where nothing has that name: a hard link refuses to replace; filesystems without links get a
 * look and a rename. @throws Error of the system, EEXIST where something is there.
 */
export function moveWithoutReplacing(from: HostPath, to: HostPath): void {
  try {
    fs.linkSync(from, to)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EEXIST') throw cause
    if (fs.lstatSync(to, { throwIfNoEntry: false }) !== undefined)
      throw Object.assign(new Error('the file exists'), { code: 'EEXIST' })
    fs.renameSync(from, to)
    return
  }
  fs.unlinkSync(from)
}

/**
 * Takes away what is not to be completed. @param shown what messages call it.
 * @throws ImageError target E_LEFT_OVER when it stays.
 */
export function removePartial(path: HostPath, shown: string = path): void {
  try {
    fs.removeFileSync(path)
  } catch (cause) {
    throw targetError(
      'E_LEFT_OVER',
      `the unfinished file ${printable(shown)} cannot be removed: ${systemReason(cause)}`,
      { cause },
    )
  }
}

/**
 * Writes a small file, in place of one that is there; whole or not at all. @param mode permission bits, less the umask.
 * @param flush whether it is on the medium when this returns.
 * @throws ImageError target E_WRITE, E_NO_SPACE, E_PERMISSION, E_NO_FOLDER.
 */
export function writeWhole(path: HostPath, text: string, mode = 0o666, flush = true): void {
  const partial = inFolder(folderPart(path), partialName(lastPart(path)))
  try {
    fs.writeFileSync(partial, text, { flag: 'wx', flush, mode })
    fs.renameSync(partial, path)
  } catch (cause) {
    try {
      fs.removeFileSync(partial)
    } catch {
      // What kept it from being written is the cause, and is reported.
    }
    throw writeError(path, 'cannot be written', cause)
  }
}
