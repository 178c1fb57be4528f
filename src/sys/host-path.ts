import path from 'node:path'
import type { HostPath } from '../errors.js'
import fs from './host-fs.js'

/**
 * What text says of a path of this system, and no more: this is the one file that uses `node:path` on host paths.
 * `a/../b` is `b` for text, and another file for the system where `a` is a link. So nothing here takes a path apart
 * that is opened afterwards, except at its last separator; code that needs the folder asks the system ({@link
 * realFolder}).
 */

const windows = path.sep === '\\'

/** Whether the system itself takes `..` out of a path by its text alone, before it looks at anything: Windows. */
export const textMeansAll = windows

/** The last part of a path: `disk.raw` of `images/../disk.raw`. Empty for a path that ends in a separator. */
export function lastPart(name: HostPath): string {
  return name.slice(lastSeparator(name) + 1)
}

/** What stands before the last part, as the system is to be asked for it: `images/..`; `.` where nothing does. */
export function folderPart(name: HostPath): string {
  const end = lastSeparator(name) + 1
  return end === 0 ? '.' : name.slice(0, end)
}

function lastSeparator(name: HostPath): number {
  return windows
    ? Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\'), /^[A-Za-z]:/.test(name) ? 1 : -1)
    : name.lastIndexOf('/')
}

/** `.qcow2`, as it stands; empty where there is none. */
export function extensionOf(name: HostPath): string {
  return path.extname(lastPart(name))
}

export const isAbsolute = (name: HostPath): boolean => path.isAbsolute(name)

/** A name in a folder. The folder is left as it stands, so that the system finds the folder that was meant. */
export function inFolder(folder: HostPath, name: HostPath): string {
  if (folder === '.' || folder === '') return name
  return folder.endsWith('/') || (windows && folder.endsWith('\\')) ? `${folder}${name}` : `${folder}${path.sep}${name}`
}

/**
 * The folder that a path lies in, by its real path: absolute, without links and without `..`.
 * @throws Error of the system when it is not there.
 */
export function realFolder(name: HostPath): string {
  return fs.realpathSync(folderPart(name))
}

/** The real path of what a path leads to; undefined when that cannot be said: it is not there. */
export function realPath(name: HostPath): string | undefined {
  try {
    return fs.realpathSync(name)
  } catch {
    return undefined
  }
}

/**
 * A path that is absolute and means the same: its folder's real path, and its last part, which may be a link or not be
 * there. Undefined when the folder is not there.
 */
export function placed(name: HostPath): string | undefined {
  const last = lastPart(name)
  if (last === '' || last === '.' || last === '..') return realPath(name)
  const folder = realPath(folderPart(name))
  return folder === undefined ? undefined : inFolder(folder, last)
}

/** A path that means the same in a process with another working folder. */
export function absolute(name: HostPath): string {
  return placed(name) ?? (path.isAbsolute(name) ? name : inFolder(fs.realpathSync('.'), name))
}

/** The nearest that is there of a path and the folders that it names on the way, by its real path. */
export function nearest(name: HostPath): string {
  for (let part: string = name; ; part = folderPart(part.replace(/[/]+$/, ''))) {
    const real = realPath(part)
    if (real !== undefined || part === '.' || part === rootOf(part)) return real ?? fs.realpathSync('.')
  }
}

/** Whether a real path is another one or lies below it. Only of real paths does text say so. */
export function isBelow(real: HostPath, root: HostPath): boolean {
  const way = path.relative(root, real)
  return way === '' || (!path.isAbsolute(way) && way !== '..' && !way.startsWith(`..${path.sep}`))
}

/** The folder above a real one; the root's is the root. */
export const above = (real: HostPath): string => path.dirname(real)

/** How a real path is named from a real folder, with `/`. On another drive it stays absolute. */
export function fromFolder(folder: HostPath, real: HostPath): string {
  return path.relative(folder, real).split(path.sep).join('/')
}

/** The parts of a path between separators. */
export function parts(name: HostPath): string[] {
  return name.split(windows ? /[/\\]/ : '/')
}

/** Where an absolute path begins: `/`, `C:\`. */
export const rootOf = (name: HostPath): string => path.parse(name).root

/**
 * An absolute path by its text alone, from a real folder: what Windows itself makes of it. Elsewhere it is only good
 * for being compared with text that the user gave for it, or for being shown.
 */
export const asText = (folder: HostPath, name: HostPath): string => path.resolve(folder, name)
