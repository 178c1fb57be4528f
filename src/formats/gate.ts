import fs from 'node:fs'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { isImageError, printable, reference, type ImageError } from '../errors.js'
import { parseReferenceName } from './reference-name.js'

/** A file that was let through: where it lies and which file it is. */
export interface GateFile {
  readonly path: string
  readonly realPath: string
  readonly device: bigint
  readonly inode: bigint
}

/** What an image asks for. */
export interface GateRequest {
  /** For messages: `parent`, `data file`. */
  readonly role: string
  /** The path of the image that names the file; undefined when it has none (standard input). */
  readonly image: string | undefined
  /** For messages: what the image is called. */
  readonly imageName: string
  /** The names it stores, most trusted first. */
  readonly names: readonly string[]
  /** Whether the file found can be told from another of the same name: it may then be looked for beside the image. */
  readonly verifiable: boolean
  /** Folders trusted on behalf of the images further up the chain. */
  readonly folders: readonly string[]
}

/** What was found, in the order of trust, and why the rest was not taken. */
export interface GateAnswer {
  readonly files: readonly GateFile[]
  /** Every path looked at. */
  readonly looked: readonly string[]
  /** What to throw when none of the files is the right one. */
  readonly failure: ImageError
}

/**
 * Decides which files an image may name: regular files in its own folder or below, and what the user allowed. Nothing outside is even
 * looked at (on Windows, looking at \\server\share sends credentials).
 */
export class ReferenceGate {
  readonly #allowed: readonly string[]

  /** @param allowed files, or folders with all that is in them, that images may name. */
  constructor(allowed: readonly string[] = []) {
    this.#allowed = allowed.flatMap((path) => spellings(resolve(path)))
  }

  /** The folders whose files an image at `path` may name: the one it was opened in and, behind a symbolic link, the one it lies in. */
  foldersOf(path: string): string[] {
    return [...new Set([dirname(resolve(path)), ...spellings(resolve(path)).map((real) => dirname(real))])]
  }

  /** Never throws for what is missing or not allowed: that is in the answer. */
  find(request: GateRequest): GateAnswer {
    const files: GateFile[] = []
    const looked: string[] = []
    const refusals: string[] = []
    let unusable: ImageError | undefined
    for (const stored of request.names) {
      let name: ReturnType<typeof parseReferenceName>
      try {
        name = parseReferenceName(stored)
      } catch (error) {
        if (!isImageError(error)) throw error
        unusable ??= error
        continue
      }
      for (const candidate of this.#candidates(name, request)) {
        if (looked.includes(candidate)) continue
        looked.push(candidate)
        const found = this.#look(candidate, request.folders)
        if (typeof found === 'string') refusals.push(found)
        else if (found !== undefined && !files.some((file) => file.realPath === found.realPath)) files.push(found)
      }
    }
    return { files, looked, failure: failure(request, looked, refusals, unusable, this.#beside(request)) }
  }

  #candidates({ paths, leaf }: { paths: readonly string[]; leaf: string }, request: GateRequest): string[] {
    const folders = request.image === undefined ? [] : this.foldersOf(request.image)
    const stored = paths.flatMap((path) => isAbsolute(path) ? [path] : folders.map((folder) => join(folder, path)))
    // A file the user named is meant, wherever the image thinks that it lies.
    const allowed = this.#allowed.filter((path) => basename(path).toLowerCase() === leaf.toLowerCase())
    const beside = request.verifiable ? folders.map((folder) => join(folder, leaf)) : []
    return [...stored, ...beside, ...allowed]
  }

  /** A file of the right name that lies beside the image, but that nothing shows to be the right one. */
  #beside(request: GateRequest): string | undefined {
    if (request.verifiable || request.image === undefined) return undefined
    for (const stored of request.names) {
      const leaf = basename(stored.replaceAll('\\', '/'))
      const path = join(dirname(resolve(request.image)), leaf)
      if (!stored.includes('\0') && /^(?!\.\.?$).{1,255}$/s.test(leaf) && fs.existsSync(path)) return path
    }
    return undefined
  }

  /** The file; undefined when there is none; the reason when it is not allowed. */
  #look(path: string, folders: readonly string[]): GateFile | string | undefined {
    const name = printable(path)
    if (!isWithin(path, folders) && !isWithin(path, this.#allowed)) return `${name} lies outside the image's folder`
    let realPath: string
    let stat: fs.BigIntStats
    try {
      realPath = fs.realpathSync(path)
      if (!isWithin(realPath, folders) && !isWithin(realPath, this.#allowed)) return `${name} is a symbolic link to ${printable(realPath)}, which lies outside the image's folder`
      stat = fs.statSync(realPath, { bigint: true })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ELOOP') return `${name} is a circle of symbolic links`
      if (code === 'EACCES' || code === 'EPERM') return `${name} cannot be looked at: no permission`
      return undefined
    }
    if (!stat.isFile() && !(stat.isBlockDevice() && this.#allowed.includes(path))) return `${name} is no regular file`
    return { path, realPath, device: stat.dev, inode: stat.ino }
  }
}

/** Whether a path is one of the roots or lies below one, by its text. */
function isWithin(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => {
    const way = relative(root, path)
    return way === '' || (!isAbsolute(way) && way !== '..' && !way.startsWith(`..${sep}`))
  })
}

/** A path as given, and as the filesystem knows it. */
function spellings(path: string): string[] {
  try {
    return [...new Set([path, fs.realpathSync(path)])]
  } catch {
    // What does not exist has no other spelling.
    return [path]
  }
}

function failure(request: GateRequest, looked: readonly string[], refusals: readonly string[], unusable: ImageError | undefined, beside: string | undefined): ImageError {
  const { role, imageName } = request
  const named = request.names.map((name) => JSON.stringify(printable(name))).join(', ')
  if (refusals.length > 0) {
    const [first = ''] = looked.filter((path) => refusals.some((refusal) => refusal.startsWith(printable(path))))
    return reference('E_REFERENCE_NOT_ALLOWED', `${imageName} names ${named} as its ${role}, but ${refusals.join('; ')}`, {
      hint: `If you trust the image, allow it with --allow-reference ${printable(first)}`, details: { role, path: first },
    })
  }
  const isParent = role === 'parent'
  if (looked.length === 0 && unusable !== undefined) return reference(unusable.code, `${imageName}: as its ${role}, ${unusable.message}`, { details: unusable.details })
  const where = looked.length === 0 ? '' : `; looked for ${looked.map((path) => printable(path)).join(', ')}`
  return reference(isParent ? 'E_PARENT_MISSING' : 'E_REFERENCE_MISSING', `${imageName} needs its ${role} ${named === '' ? '(which it does not name)' : named}, and it is not there${where}`, {
    hint: beside === undefined
      ? `Put the ${role} where it is looked for, or name it with --allow-reference FILE.`
      : `${printable(beside)} has that name. If it is the right one, say so with --allow-reference ${printable(beside)}`,
    details: { role, looked: looked.join('\n') },
  })
}
