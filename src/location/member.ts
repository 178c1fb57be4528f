import type { ByteStore } from '../block/types.js'
import type { Label } from '../errors.js'
import { HostLocation } from './file.js'
import { otherId, type Location, type LocationId } from './location.js'

/** The files of an archive, one of which a member is. */
export interface Neighbours {
  /** Their names as the archive has them, folders before them with `/`. */
  readonly names: readonly string[]
  /** Opens one; the caller closes it. @throws ImageError corrupt; unsupported; usage where several have the name. */
  open(name: string): ByteStore
  /** What messages call one of them. */
  label(name: string): string
}

/**
 * What lies inside another file: the content of a compressed file, a member of an archive. Names in it mean files of
 * the same archive, and no others.
 */
export class MemberLocation implements Location {
  readonly scheme = 'member'
  readonly kind = 'member'
  readonly address: string
  readonly label: Label
  readonly name: string | undefined
  readonly outer: Location
  /** Where it lies in the archive. */
  readonly inside: string | undefined
  readonly neighbours: Neighbours | undefined

  /**
   * @param inside what it is called inside, with the folders of an archive. @param label what messages call it.
   * @param neighbours the files beside it, of an archive.
   */
  constructor(outer: Location, inside: string | undefined, label: string, neighbours?: Neighbours) {
    this.outer = outer
    this.inside = inside
    this.name = inside?.slice(inside.lastIndexOf('/') + 1)
    this.label = label as Label
    this.neighbours = neighbours
    this.address = neighbours === undefined ? outer.address : addressOf(outer, inside)
  }

  get id(): LocationId {
    return otherId('member', this.outer.id, this.inside ?? '')
  }

  /**
   * The opener has the store of the member that was asked for already (formats/unwrap.ts): only those beside it are
   * found by their location. @throws ImageError as {@link Neighbours.open}.
   */
  store(): ByteStore {
    return this.neighbours === undefined || this.inside === undefined
      ? this.outer.store()
      : this.neighbours.open(this.inside)
  }

  sibling(name: string): MemberLocation | undefined {
    return this.at(name)
  }

  siblings(): readonly string[] {
    return [...(this.#places?.folders.get(this.#folder) ?? [])]
  }

  /** The file that a relative path means from here; undefined where the archive has none of that name. */
  at(path: string): MemberLocation | undefined {
    const wanted = path.startsWith('/') ? undefined : resolved(this.#folder, path)
    const found = wanted === undefined ? undefined : this.#places?.names.get(wanted)
    return found === undefined ? undefined : this.#beside(found)
  }

  /** Those of its kind by their extension, anywhere in the archive, without itself. */
  alike(): MemberLocation[] {
    const kind = extensionOf(this.inside ?? '')
    const others = (this.neighbours?.names ?? []).filter((name) => name !== this.inside && extensionOf(name) === kind)
    return [...new Set(others)].map((name) => this.#beside(name))
  }

  get #places(): Places | undefined {
    return this.neighbours === undefined ? undefined : placesOf(this.neighbours)
  }

  get #folder(): string {
    return folderOf(resolved('', this.inside ?? '') ?? '')
  }

  #beside(name: string): MemberLocation {
    return new MemberLocation(this.outer, name, this.neighbours?.label(name) ?? name, this.neighbours)
  }
}

/** Where the files of an archive are, by their paths without `.` and `..`. */
interface Places {
  /** The name that the archive has, of two the first. */
  readonly names: ReadonlyMap<string, string>
  /** What is in each folder. */
  readonly folders: ReadonlyMap<string, readonly string[]>
}

const known = new WeakMap<Neighbours, Places>()

/** Made once for an archive, which may have very many files. */
function placesOf(neighbours: Neighbours): Places {
  const made = known.get(neighbours)
  if (made !== undefined) return made
  const names = new Map<string, string>()
  const folders = new Map<string, string[]>()
  for (const name of neighbours.names) {
    const path = resolved('', name)
    if (path === undefined || names.has(path)) continue
    names.set(path, name)
    const folder = folderOf(path)
    const inIt = folders.get(folder) ?? []
    inIt.push(path.slice(folder.length))
    folders.set(folder, inIt)
  }
  const places = { names, folders }
  known.set(neighbours, places)
  return places
}

/** As the user names a disk of several in a file. */
function addressOf({ path, address }: Location, inside: string | undefined): string {
  return path === undefined || inside === undefined ? address : new HostLocation(path, inside).address
}

/** `a/b/` of `a/b/c`. */
function folderOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/') + 1)
}

function extensionOf(name: string): string {
  return (/\.[^./]*$/.exec(name)?.[0] ?? '').toLowerCase()
}

/**
 * A path inside an archive, without `.` and `..`, which are text there: links are not followed. Undefined where it
 * leaves the archive.
 */
function resolved(folder: string, path: string): string | undefined {
  const parts: string[] = []
  for (const part of `${folder}${path}`.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/')
}
