import { isImageError, printable, reference, usage, type ImageError } from '../errors.js'
import fs from '../sys/host-fs.js'
import { asText, folderPart, inFolder, isAbsolute, lastPart, placed, realFolder, realPath } from '../sys/host-path.js'
import { namesInFolder } from '../sys/readable.js'
import { HostLocation } from './file.js'
import { insideArchive } from './inside-archive.js'
import { fileId, isName, type Location, type LocationId } from './location.js'
import { isMeant } from './meant.js'
import { mapped, type ParentMapping } from './parent-map.js'
import { parseReferenceName, type ReferenceName } from './reference-name.js'
import { trusted, walk, type TrustedFolder } from './walk.js'
import { shellWord } from '../sys/shell-word.js'

/**
 * How a file was come by: by a `--parent-map`, under the stored name, by that name's last part beside the image or in a
 * `--search`
 * folder, or because `--allow-reference` names it.
 */
export type FoundBy = 'map' | 'name' | 'beside' | 'search' | 'allowed'

/** A file that was let through: which one it is, and where it was found. */
export interface GateFile {
  readonly location: Location
  readonly id: LocationId
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

/** A name to follow from a folder. Besides what all images may name, what lies in `within` is allowed. */
interface Candidate {
  readonly folder: string
  readonly name: string
  readonly by: FoundBy
  readonly within?: TrustedFolder
}

/** What an image asks for. */
export interface GateRequest {
  /** For messages: `parent`, `data file`. */
  readonly role: 'parent' | 'data file' | 'extent' | 'disk'
  /** The image that names the file. */
  readonly image: Location
  /** Where it lies in that, if it does: what its names mean in the same archive comes first. */
  readonly inside?: Location
  /** For messages: what the image is called. */
  readonly imageName: string
  /** The names it stores, most trusted first. */
  readonly names: readonly string[]
  /**
   * Whether the file found can be distinguished from another of the same name: it may then be looked for beside the
   * image.
   */
  readonly verifiable: boolean
  /**
   * Whether a file is the one that is meant, from its first 64 KiB, where the image records no name for it: all files
   * beside the image and in the folders of `--search` may be meant then.
   */
  readonly recognise?: (head: Uint8Array) => boolean
  /** What may be reached on behalf of the images further up the chain: {@link ReferenceGate.foldersOf} of each. */
  readonly folders: readonly TrustedFolder[]
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
 * Decides which files an image may name: regular files in its own folder or below, and what the user allowed. Names
 * mean
 * what the system makes of them (walk.ts). Nothing outside is even looked at (on Windows, looking at \\server\share
 * sends credentials).
 */
export class ReferenceGate {
  readonly #allowed: readonly TrustedFolder[]
  /** The places of the files among them: where each lies, also when it is a link. */
  readonly #named: readonly string[]
  readonly #search: readonly string[]
  readonly #parentMap: readonly ParentMapping[]

  /** @throws ImageError usage E_SEARCH_FOLDER when a folder to be searched is none. */
  constructor({ allowed = [], search = [], parentMap = [] }: GateOptions = {}) {
    this.#allowed = allowed.flatMap((path) => trusted(path))
    this.#named = allowed.flatMap((path) => placed(path) ?? [])
    this.#search = search.map((path) => {
      const real = realPath(path)
      if (real === undefined || !fs.statSync(real).isDirectory())
        throw usage('E_SEARCH_FOLDER', `${printable(path)} is not a folder in which parents can be searched for`)
      return real
    })
    this.#parentMap = parentMap
  }

  /**
   * The folders whose files an image may name: the one it was opened in and, behind a symbolic link, the one it lies
   * in. None for what is no file of this computer.
   */
  foldersOf(image: Location): TrustedFolder[] {
    const { path } = image
    if (path === undefined) return []
    const given = trusted(folderPart(path))
    const behind = realPath(path)
    const own = behind === undefined ? [] : [{ real: realFolder(behind), spelled: [] }]
    return [...given, ...own.filter(({ real }) => given.every((folder) => folder.real !== real))]
  }

  /** Never throws for what is missing or not allowed: that is in the answer. */
  find(request: GateRequest): GateAnswer {
    const files: GateFile[] = []
    const looked: string[] = []
    const refusals = new Map<string, string>()
    const { names, unusable } = understood(request.names)
    const take = (file: GateFile): void => {
      if (!files.some(({ id }) => id === file.id)) files.push(file)
    }
    for (const { name } of names) for (const file of besideMember(request.image, name.paths)) take(file)
    const candidates = this.#candidates(names, request)
    const isMapped = candidates.some(({ by }) => by === 'map')
    const wanted = { ...request, names: names.map(({ name }) => name) }
    for (const { location, by } of isMapped ? [] : insideArchive(request.inside, wanted)) {
      looked.push(location.label)
      take({ location, id: location.id, by })
    }
    for (const candidate of candidates) {
      const { place, found, refusal } = this.#look(candidate, request.folders)
      // The same path may come again with more trust.
      if (!looked.includes(place)) looked.push(place)
      if (refusal !== undefined && !refusals.has(place)) refusals.set(place, refusal)
      if (found !== undefined) take(found)
    }
    // A file that the user named for it is the only one then: what is wrong with it is said.
    const isFound = files.some(({ by, location }) => by === 'map' || isMeant(location, request.recognise))
    if (request.recognise !== undefined && !isFound)
      for (const file of this.#recognised(request, request.recognise)) take(file)
    // The child knows its parent's id: a file that the user named is tried whatever the child calls it.
    if (files.length === 0 && request.verifiable)
      for (const path of this.#named) {
        const { place, found } = this.#look({ folder: folderPart(path), name: path, by: 'allowed' }, request.folders)
        if (found === undefined) continue
        looked.push(place)
        take(found)
      }
    const ambiguous = request.verifiable ? undefined : ambiguity(files, request)
    return {
      files: ambiguous === undefined ? files : [],
      looked,
      failure: ambiguous ?? failure(request, looked, refusals, unusable, this.#beside(request)),
    }
  }

  /** Every name worth following, most trusted first: mapped, as stored, beside the image, searched, allowed. */
  #candidates(
    names: readonly { readonly stored: string; readonly name: ReferenceName }[],
    request: GateRequest,
  ): Candidate[] {
    const folders = this.foldersOf(request.image).map(({ real }) => real)
    const isParent = request.role === 'parent'
    const found: Record<FoundBy, Candidate[]> = { map: [], name: [], beside: [], search: [], allowed: [] }
    for (const { stored, name } of names) {
      const { paths, leaves } = name
      const meant = paths.flatMap((path) => folders.map((folder) => asText(folder, path)))
      const place = isParent ? mapped(this.#parentMap, [stored, ...paths, ...meant], leaves) : undefined
      // The user knows better than the image where the parent is: its own name for it is not tried then.
      if (place !== undefined) {
        found.map.push(...place.map((each) => ({ ...each, by: 'map' as const })))
        continue
      }
      for (const path of paths) {
        const from = isAbsolute(path) ? [path] : folders
        found.name.push(...from.map((folder) => ({ folder, name: path, by: 'name' as const })))
      }
      if (request.verifiable)
        found.beside.push(
          ...folders.flatMap((folder) =>
            leaves
              .flatMap((leaf) => spellings(folder, leaf))
              .map((leaf) => ({ folder, name: leaf, by: 'beside' as const })),
          ),
        )
      if (isParent)
        found.search.push(
          ...this.#search.flatMap((folder) =>
            (request.verifiable ? leaves.flatMap((leaf) => spellings(folder, leaf)) : leaves).map((leaf) => ({
              folder,
              name: leaf,
              by: 'search' as const,
              within: { real: folder, spelled: [] },
            })),
          ),
        )
      // A file the user named is meant, wherever the image thinks that it lies.
      found.allowed.push(
        ...this.#named
          .filter((path) => leaves.some((leaf) => lastPart(path).toLowerCase() === leaf.toLowerCase()))
          .map((path) => ({ folder: folderPart(path), name: path, by: 'allowed' as const })),
      )
    }
    return [...found.map, ...found.name, ...found.beside, ...found.search, ...found.allowed]
  }

  /** Files beside the image and in folders to be searched that the image's format recognises. */
  *#recognised(request: GateRequest, recognise: (head: Uint8Array) => boolean): Generator<GateFile> {
    const own = this.foldersOf(request.image).map(({ real }) => ({ folder: real, by: 'beside' as const }))
    const searched = this.#search.map((folder) => ({
      folder,
      by: 'search' as const,
      within: { real: folder, spelled: [] },
    }))
    for (const place of [...own, ...searched]) {
      for (const name of namesInFolder(place.folder).slice(0, mostNames)) {
        const { found } = this.#look({ ...place, name }, request.folders)
        if (found !== undefined && isMeant(found.location, recognise)) yield found
      }
    }
  }

  /** A file of the right name that lies beside the image, but that nothing shows to be the right one. */
  #beside(request: GateRequest): string | undefined {
    if (request.verifiable) return undefined
    const [folder] = this.foldersOf(request.image)
    for (const stored of request.names) {
      const leaf = lastPart(stored.replaceAll('\\', '/'))
      if (folder !== undefined && isName(leaf) && fs.existsSync(inFolder(folder.real, leaf)))
        return inFolder(folder.real, leaf)
    }
    return undefined
  }

  /** The file, if there is one that may be taken; the reason, if there is one that may not. */
  #look(
    { folder, name, by, within }: Candidate,
    folders: readonly TrustedFolder[],
  ): { readonly place: string; readonly found?: GateFile; readonly refusal?: string } {
    const roots = [...folders, ...this.#allowed, ...(within === undefined ? [] : [within])]
    const way = walk(
      folder,
      name,
      roots.map(({ real }) => real),
      roots.flatMap(({ spelled }) => spelled),
    )
    const { place } = way
    const shown = printable(place)
    switch (way.kind) {
      case 'missing':
        return { place }
      case 'outside':
        return way.link === undefined
          ? { place, refusal: `${shown} lies outside the image's folder` }
          : {
              place: way.link,
              refusal: `${printable(way.link)} is a symbolic link to ${shown}, which lies outside the image's folder`,
            }
      case 'circle':
        return { place, refusal: `${shown} is a circle of symbolic links` }
      case 'forbidden':
        return { place, refusal: `${shown} cannot be looked at: no permission` }
      case 'found': {
        const { stat, real } = way
        const named = [
          ...this.#allowed.map((each) => each.real),
          ...this.#named,
          ...(within === undefined ? [] : [within.real]),
        ]
        if (!stat.isFile() && !(stat.isBlockDevice() && [place, real].some((path) => named.includes(path))))
          return { place, refusal: `${shown} is no regular file` }
        return {
          place,
          found: { location: new HostLocation(place), id: fileId({ device: stat.dev, inode: stat.ino }), by },
        }
      }
    }
  }
}

/** Files of a folder that are looked into. */
const mostNames = 4096

/**
 * A name in a folder; where no file has it, also those that differ from it in the case of letters alone, as they do not
 * on Windows. For what is recognised by its id only.
 */
function spellings(folder: string, leaf: string): string[] {
  if (!isName(leaf) || fs.existsSync(inFolder(folder, leaf))) return [leaf]
  const wanted = leaf.toLowerCase()
  // Of a folder that cannot be listed the name as it stands is still looked for.
  return [leaf, ...namesInFolder(folder).filter((name) => name.toLowerCase() === wanted)]
}

/** What the names of an image that is no file of this computer mean: only what lies beside it. */
function besideMember(image: Location, paths: readonly string[]): GateFile[] {
  if (image.path !== undefined) return []
  return paths.flatMap((path) => {
    const location = isName(path) ? image.sibling(path) : undefined
    return location === undefined ? [] : [{ location, id: location.id, by: 'name' as const }]
  })
}

/** The names that can be followed; `unusable` says what is wrong with the first of the others. */
function understood(stored: readonly string[]): {
  readonly names: readonly { readonly stored: string; readonly name: ReferenceName }[]
  readonly unusable: ImageError | undefined
} {
  let unusable: ImageError | undefined
  const names = stored.flatMap((text) => {
    try {
      return [{ stored: text, name: parseReferenceName(text) }]
    } catch (error) {
      if (!isImageError(error)) throw error
      unusable ??= error
      return []
    }
  })
  return { names, unusable }
}

/** Two files of the right name in folders to be searched, and nothing to decide which is the right one. */
function ambiguity(files: readonly GateFile[], { imageName, names }: GateRequest): ImageError | undefined {
  const [first, second] = files
  if (first?.by !== 'search' || second?.by !== 'search') return undefined
  return reference(
    'E_PARENT_AMBIGUOUS',
    `${imageName} names ${names.map((name) => JSON.stringify(printable(name))).join(', ')} as its parent and ` +
      `records no id of it; both ${first.location.label} and ${second.location.label} have that name`,
    {
      hint:
        `Say which one it is: --parent-map ` +
        shellWord(`${names[0] ?? 'OLD'}=${first.location.path ?? first.location.address}`),
      details: { role: 'parent', looked: files.map(({ location }) => location.address).join('\n') },
    },
  )
}

/** The last of the stored names, for a hint. */
function names({ names: stored }: GateRequest): string {
  return printable(stored.at(-1) ?? 'OLD')
}

function failure(
  request: GateRequest,
  looked: readonly string[],
  refusals: ReadonlyMap<string, string>,
  unusable: ImageError | undefined,
  beside: string | undefined,
): ImageError {
  const { role, imageName } = request
  const named = request.names.map((name) => JSON.stringify(printable(name))).join(', ')
  const [first] = refusals.keys()
  if (first !== undefined) {
    return reference(
      'E_REFERENCE_NOT_ALLOWED',
      `${imageName} names ${named} as its ${role}, but ${[...refusals.values()].join('; ')}`,
      {
        hint: `If you trust the image, allow it with --allow-reference ${shellWord(first)}`,
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
        request.recognise !== undefined
          ? `It is recognised by its id, whatever it is called: name its folder with --search DIR ` +
            `(VirtualBox keeps it ` +
            `in the folder above), or the file with --parent-map ${shellWord(`${names(request)}=FILE`)}.`
          : beside === undefined
            ? `Put the ${role} where it is looked for, or name it with --allow-reference ` +
              `FILE${isParent ? ', its folder with --search DIR, or its new place with --parent-map OLD=NEW' : ''}.`
            : `${printable(beside)} has that name. If it is the right one, say so with --allow-reference ` +
              shellWord(beside),
      details: { role, looked: looked.join('\n') },
    },
  )
}
