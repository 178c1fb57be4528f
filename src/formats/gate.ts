import fs from 'node:fs'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { isImageError, printable, reference, usage, type ImageError } from '../errors.js'
import { mappedPath, type ParentMapping } from './parent-map.js'
import { parseReferenceName, type ReferenceName } from './reference-name.js'

/**
 * How a file was come by: by a `--parent-map`, under the stored name, by that name's last part beside the image or in a
 * `--search`
 * folder, or because `--allow-reference` names it.
 */
export type FoundBy = 'map' | 'name' | 'beside' | 'search' | 'allowed'

/** A file that was let through: where it lies and which file it is. */
export interface GateFile {
  readonly path: string
  readonly realPath: string
  readonly device: bigint
  readonly inode: bigint
  readonly by: FoundBy
}

/** What the user says of files that images name. */
export interface GateOptions {
  /** Files, or folders with all that is in them, that images may name. */
  readonly allowed?: readonly string[]
  /** Folders in which parents are looked for by the last part of their names; those found there are allowed. */
  readonly search?: readonly string[]
  /** Where parents lie now; those found there are allowed. */
  readonly parentMap?: readonly ParentMapping[]
}

/** A path to look at. Besides what all images may name, what lies in `roots` is allowed. */
interface Candidate {
  readonly path: string
  readonly by: FoundBy
  readonly roots: readonly string[]
}

/** What an image asks for. */
export interface GateRequest {
  /** For messages: `parent`, `data file`. */
  readonly role: 'parent' | 'data file' | 'extent'
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
 * Decides which files an image may name: regular files in its own folder or below, and what the user allowed. Nothing
 * outside is even
 * looked at (on Windows, looking at \\server\share sends credentials).
 */
export class ReferenceGate {
  readonly #allowed: readonly string[]
  readonly #search: readonly string[]
  readonly #parentMap: readonly ParentMapping[]

  /** @throws ImageError usage E_SEARCH_FOLDER when a folder to be searched is none. */
  constructor({ allowed = [], search = [], parentMap = [] }: GateOptions = {}) {
    this.#allowed = allowed.flatMap((path) => spellings(resolve(path)))
    this.#search = search.map((path) => resolve(path))
    this.#parentMap = parentMap
    for (const [index, path] of this.#search.entries()) {
      if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true)
        throw usage(
          'E_SEARCH_FOLDER',
          `${printable(search[index] ?? path)} is no folder in which parents could be looked for`,
        )
    }
  }

  /**
   * The folders whose files an image at `path` may name: the one it was opened in and, behind a symbolic link, the one
   * it lies in.
   */
  foldersOf(path: string): string[] {
    return [...new Set([dirname(resolve(path)), ...spellings(resolve(path)).map((real) => dirname(real))])]
  }

  /** Never throws for what is missing or not allowed: that is in the answer. */
  find(request: GateRequest): GateAnswer {
    const files: GateFile[] = []
    const looked: string[] = []
    const refusals: string[] = []
    const names: { readonly stored: string; readonly name: ReferenceName }[] = []
    let unusable: ImageError | undefined
    for (const stored of request.names) {
      try {
        names.push({ stored, name: parseReferenceName(stored) })
      } catch (error) {
        if (!isImageError(error)) throw error
        unusable ??= error
      }
    }
    for (const candidate of this.#candidates(names, request)) {
      // The same path may come again with more trust.
      if (!looked.includes(candidate.path)) looked.push(candidate.path)
      const found = this.#look(candidate, request.folders)
      if (typeof found === 'string') {
        if (!refusals.includes(found)) refusals.push(found)
      } else if (found !== undefined && !files.some((file) => file.realPath === found.realPath)) files.push(found)
    }
    const ambiguous = request.verifiable ? undefined : ambiguity(files, request)
    return {
      files: ambiguous === undefined ? files : [],
      looked,
      failure: ambiguous ?? failure(request, looked, refusals, unusable, this.#beside(request)),
    }
  }

  /** Every path worth a look, most trusted first: mapped, as stored, beside the image, searched, allowed. */
  #candidates(
    names: readonly { readonly stored: string; readonly name: ReferenceName }[],
    request: GateRequest,
  ): Candidate[] {
    const folders = request.image === undefined ? [] : this.foldersOf(request.image)
    const isParent = request.role === 'parent'
    const found: Record<FoundBy, Candidate[]> = { map: [], name: [], beside: [], search: [], allowed: [] }
    for (const {
      stored,
      name: { paths, leaf },
    } of names) {
      const meant = paths.flatMap((path) => (isAbsolute(path) ? [path] : folders.map((folder) => join(folder, path))))
      const mapped = isParent ? mappedPath(this.#parentMap, [stored, ...paths, ...meant], leaf) : undefined
      // The user knows better than the image where the parent is: its own name for it is not tried then.
      if (mapped !== undefined) {
        found.map.push({ path: mapped.path, by: 'map', roots: spellings(mapped.root) })
        continue
      }
      found.name.push(...meant.map((path) => ({ path, by: 'name' as const, roots: [] })))
      if (request.verifiable)
        found.beside.push(...folders.map((folder) => ({ path: join(folder, leaf), by: 'beside' as const, roots: [] })))
      if (isParent)
        found.search.push(
          ...this.#search.map((folder) => ({
            path: join(folder, leaf),
            by: 'search' as const,
            roots: spellings(folder),
          })),
        )
      // A file the user named is meant, wherever the image thinks that it lies.
      found.allowed.push(
        ...this.#allowed
          .filter((path) => basename(path).toLowerCase() === leaf.toLowerCase())
          .map((path) => ({ path, by: 'allowed' as const, roots: [] })),
      )
    }
    return [...found.map, ...found.name, ...found.beside, ...found.search, ...found.allowed]
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
  #look({ path, by, roots }: Candidate, folders: readonly string[]): GateFile | string | undefined {
    const name = printable(path)
    const trusted = [...folders, ...this.#allowed, ...roots]
    if (!isWithin(path, trusted)) return `${name} lies outside the image's folder`
    let realPath: string
    let stat: fs.BigIntStats
    try {
      realPath = fs.realpathSync(path)
      if (!isWithin(realPath, trusted))
        return `${name} is a symbolic link to ${printable(realPath)}, which lies outside the image's folder`
      stat = fs.statSync(realPath, { bigint: true })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ELOOP') return `${name} is a circle of symbolic links`
      if (code === 'EACCES' || code === 'EPERM') return `${name} cannot be looked at: no permission`
      return undefined
    }
    if (!stat.isFile() && !(stat.isBlockDevice() && [...this.#allowed, ...roots].includes(path)))
      return `${name} is no regular file`
    return { path, realPath, device: stat.dev, inode: stat.ino, by }
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

/** Two files of the right name in folders to be searched, and nothing by which the right one could be told. */
function ambiguity(files: readonly GateFile[], { imageName, names }: GateRequest): ImageError | undefined {
  const [first, second] = files
  if (first?.by !== 'search' || second?.by !== 'search') return undefined
  return reference(
    'E_PARENT_AMBIGUOUS',
    `${imageName} names ${names.map((name) => JSON.stringify(printable(name))).join(', ')} as its parent and ` +
      `records no id of it; both ${printable(first.path)} and ${printable(second.path)} have that name`,
    {
      hint: `Say which one it is: --parent-map ${printable(names[0] ?? 'OLD')}=${printable(first.path)}`,
      details: { role: 'parent', looked: files.map(({ path }) => path).join('\n') },
    },
  )
}

function failure(
  request: GateRequest,
  looked: readonly string[],
  refusals: readonly string[],
  unusable: ImageError | undefined,
  beside: string | undefined,
): ImageError {
  const { role, imageName } = request
  const named = request.names.map((name) => JSON.stringify(printable(name))).join(', ')
  if (refusals.length > 0) {
    const [first = ''] = looked.filter((path) => refusals.some((refusal) => refusal.startsWith(printable(path))))
    return reference(
      'E_REFERENCE_NOT_ALLOWED',
      `${imageName} names ${named} as its ${role}, but ${refusals.join('; ')}`,
      {
        hint: `If you trust the image, allow it with --allow-reference ${printable(first)}`,
        details: { role, path: first, looked: looked.join('\n') },
      },
    )
  }
  const isParent = role === 'parent'
  if (looked.length === 0 && unusable !== undefined)
    return reference(unusable.code, `${imageName}: as its ${role}, ${unusable.message}`, { details: unusable.details })
  const where = looked.length === 0 ? '' : `; looked for ${looked.map((path) => printable(path)).join(', ')}`
  return reference(
    isParent ? 'E_PARENT_MISSING' : 'E_REFERENCE_MISSING',
    `${imageName} needs its ${role} ${named === '' ? '(which it does not name)' : named}, and it is not there${where}`,
    {
      hint:
        beside === undefined
          ? `Put the ${role} where it is looked for, or name it with --allow-reference ` +
            `FILE${isParent ? ', its folder with --search DIR, or its new place with --parent-map OLD=NEW' : ''}.`
          : `${printable(beside)} has that name. If it is the right one, say so with --allow-reference ` +
            printable(beside),
      details: { role, looked: looked.join('\n') },
    },
  )
}
