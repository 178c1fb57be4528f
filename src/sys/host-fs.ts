import { isUtf8 } from 'node:buffer'
import fs, { type BigIntStats, type Dirent, type Stats } from 'node:fs'
import type { HostPath } from '../errors.js'

/**
 * Node's `fs` with names as the system has them: bytes. This is the one file that gives Node a path; the linter keeps
 * everybody else from `node:fs`.
 *
 * POSIX names are bytes without `/` and NUL. Node decodes them as UTF-8 and puts U+FFFD where they are not, so that
 * two names become one and neither can be opened. Here a path is a string in which each byte that is not UTF-8 stands
 * as a lone surrogate, U+DC00 + byte (PEP 383, as Python does it): nothing is lost, and two names stay two.
 */

export const isWindows = process.platform === 'win32'
const anySurrogate = /[\ud800-\udfff]/

/** A path as bytes of this system's. @throws Error with code EILSEQ for a string that no name can be. */
export function hostBytes(path: HostPath): string | Buffer {
  if (isWindows || !anySurrogate.test(path)) return path
  const pieces: Buffer[] = []
  for (const character of path) {
    const code = character.codePointAt(0) ?? 0
    if (code < 0xd800 || code > 0xdfff) pieces.push(Buffer.from(character))
    else if (code >= 0xdc80 && code <= 0xdcff) pieces.push(Buffer.of(code - 0xdc00))
    else throw Object.assign(new Error('the name is not one that a file can have here'), { code: 'EILSEQ' })
  }
  return Buffer.concat(pieces)
}

/** Bytes of the system's as a path. The inverse of {@link hostBytes}. */
export function hostName(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isUtf8(buffer)) return buffer.toString('utf8')
  let name = ''
  for (let at = 0; at < buffer.length;) {
    const length = [1, 2, 3, 4].find((count) => isOneCharacter(buffer.subarray(at, at + count), count)) ?? 0
    name +=
      length === 0 ? String.fromCharCode(0xdc00 + (buffer[at] ?? 0)) : buffer.subarray(at, at + length).toString('utf8')
    at += Math.max(1, length)
  }
  return name
}

/** The bytes of a name, to be stored in an image. @throws Error with code EILSEQ for a string that no name can be. */
export function nameBytes(name: HostPath): Buffer {
  const bytes = hostBytes(name)
  return typeof bytes === 'string' ? Buffer.from(bytes) : bytes
}

/**
 * A name that an image stores as UTF-16, or in JSON. Half a character in it is no byte of a name here: what it would
 * stand for in a path is replaced by a half that stands for nothing, so that such a name is the name of no file.
 */
export function fromUtf16(name: string): string {
  return isWindows ? name : name.replace(/(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ud800')
}

/** Whether bytes are UTF-8 of one character, whole. */
function isOneCharacter(bytes: Buffer, count: number): boolean {
  const first = bytes[0] ?? 0
  const expected = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
  return bytes.length === count && expected === count && isUtf8(bytes)
}

/** Whether a path has bytes that are not UTF-8: programs that take names as text cannot be given it. */
export function isPlainText(path: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(path)
}

interface BigIntOption {
  readonly bigint: true
}
interface MayBeMissing {
  readonly throwIfNoEntry: false
}

function statSync(path: HostPath): Stats
function statSync(path: HostPath, options: BigIntOption): BigIntStats
function statSync(path: HostPath, options: MayBeMissing): Stats | undefined
function statSync(path: HostPath, options: BigIntOption & MayBeMissing): BigIntStats | undefined
function statSync(path: HostPath, options?: Partial<BigIntOption & MayBeMissing>): Stats | BigIntStats | undefined {
  return fs.statSync(hostBytes(path), options)
}

function lstatSync(path: HostPath): Stats
function lstatSync(path: HostPath, options: BigIntOption): BigIntStats
function lstatSync(path: HostPath, options: MayBeMissing): Stats | undefined
function lstatSync(path: HostPath, options: BigIntOption & MayBeMissing): BigIntStats | undefined
function lstatSync(path: HostPath, options?: Partial<BigIntOption & MayBeMissing>): Stats | BigIntStats | undefined {
  return fs.lstatSync(hostBytes(path), options)
}

function readFileSync(path: HostPath | number): Buffer
function readFileSync(path: HostPath | number, encoding: 'utf8' | 'latin1'): string
function readFileSync(path: HostPath | number, encoding?: 'utf8' | 'latin1'): Buffer | string {
  const place = typeof path === 'number' ? path : hostBytes(path)
  // /proc and /sys hold names as bytes.
  return encoding === 'utf8' ? hostName(fs.readFileSync(place)) : fs.readFileSync(place, encoding)
}

interface HostEntry extends Pick<Dirent, 'isFile' | 'isDirectory' | 'isSymbolicLink'> {
  readonly name: string
}

function readdirSync(path: HostPath): string[]
function readdirSync(path: HostPath, options: { readonly withFileTypes: true }): HostEntry[]
function readdirSync(path: HostPath, options?: { readonly withFileTypes: true }): (string | HostEntry)[] {
  const place = hostBytes(path)
  if (options === undefined) return fs.readdirSync(place, { encoding: 'buffer' }).map(hostName)
  return fs.readdirSync(place, { encoding: 'buffer', withFileTypes: true }).map((entry) => ({
    name: hostName(entry.name),
    isFile: () => entry.isFile(),
    isDirectory: () => entry.isDirectory(),
    isSymbolicLink: () => entry.isSymbolicLink(),
  }))
}

/** What takes paths; everything else of Node's `fs` works with descriptors and is that of Node. */
const byPath = {
  openSync: (path: HostPath, flags: string | number, mode?: number): number =>
    fs.openSync(hostBytes(path), flags, mode),
  statSync,
  lstatSync,
  existsSync: (path: HostPath): boolean => {
    try {
      return fs.existsSync(hostBytes(path))
    } catch {
      // A string that no name can be is the name of no file.
      return false
    }
  },
  readFileSync,
  writeFileSync: (
    path: HostPath,
    data: string | Uint8Array,
    options?: { readonly flag?: string; readonly flush?: boolean; readonly mode?: number },
  ): void => fs.writeFileSync(hostBytes(path), data, options),
  readdirSync,
  /**
   * The system's own: Node's version written in JavaScript takes `..` out of the text before links are followed, and
   * begins at a working folder whose name it has decoded.
   */
  realpathSync: (path: HostPath): string => hostName(fs.realpathSync.native(hostBytes(path), { encoding: 'buffer' })),
  readlinkSync: (path: HostPath): string => hostName(fs.readlinkSync(hostBytes(path), { encoding: 'buffer' })),
  symlinkSync: (target: HostPath, path: HostPath): void => fs.symlinkSync(hostBytes(target), hostBytes(path)),
  renameSync: (from: HostPath, to: HostPath): void => fs.renameSync(hostBytes(from), hostBytes(to)),
  linkSync: (from: HostPath, to: HostPath): void => fs.linkSync(hostBytes(from), hostBytes(to)),
  unlinkSync: (path: HostPath): void => fs.unlinkSync(hostBytes(path)),
  /** Removes a file, or does nothing where there is none. */
  removeFileSync: (path: HostPath): void => {
    try {
      fs.unlinkSync(hostBytes(path))
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    }
  },
  rmdirSync: (path: HostPath): void => fs.rmdirSync(hostBytes(path)),
  mkdirSync: (path: HostPath, options?: number | { readonly recursive?: boolean; readonly mode?: number }): void => {
    const { recursive = false, mode = 0o777 } = typeof options === 'number' ? { mode: options } : (options ?? {})
    if (recursive) makeFolders(path, mode)
    else fs.mkdirSync(hostBytes(path), mode)
  },
  accessSync: (path: HostPath, mode?: number): void => fs.accessSync(hostBytes(path), mode),
  statfsSync: (path: HostPath) => fs.statfsSync(hostBytes(path)),
  lutimesSync: (path: HostPath, accessed: number, modified: number): void =>
    fs.lutimesSync(hostBytes(path), accessed, modified),
}

type ByDescriptor = Pick<
  typeof fs,
  | 'constants'
  | 'closeSync'
  | 'fchmodSync'
  | 'fdatasync'
  | 'fstatSync'
  | 'fsyncSync'
  | 'ftruncateSync'
  | 'futimesSync'
  | 'readSync'
  | 'writeSync'
>

/** Node's functions are looked up when they are called, so that a test can put others in their place. */
const hostFs = Object.assign(Object.create(fs) as ByDescriptor, byPath)

/** Makes a folder and those that it lies in. Node's own way never ends where the system makes none (/proc). */
function makeFolders(path: HostPath, mode: number): void {
  const isThere = (): boolean => fs.statSync(hostBytes(path), { throwIfNoEntry: false })?.isDirectory() === true
  if (isThere()) return
  const [, parent = ''] = (isWindows ? /^(.*[^/\\])[/\\]+[^/\\]+[/\\]*$/s : /^(.*[^/])\/+[^/]+\/*$/s).exec(path) ?? []
  if (parent !== '') makeFolders(parent, mode)
  try {
    fs.mkdirSync(hostBytes(path), mode)
  } catch (cause) {
    // Somebody else may have made it meanwhile.
    if (!isThere()) throw cause
  }
}

export default hostFs
