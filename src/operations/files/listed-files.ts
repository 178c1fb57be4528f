import type { FileNode } from '../../filesystem/types.js'

/** A file as `ls` lists it. */
export interface ListedFile {
  readonly name: string
  readonly path: string
  readonly kind: FileNode['kind']
  /** Bytes of content (a file), of the target (a link). */
  readonly size: number
  /** POSIX mode bits without the type, where the filesystem has them. */
  readonly mode?: number
  readonly owner?: number
  readonly group?: number
  readonly links?: number
  /** ISO 8601 with nine digits of a second; FAT records no zone, and its local times are given as if they were UTC. */
  readonly modified: string
  readonly target?: string
  readonly otherStreams?: readonly string[]
}

/** Numbers of a file that have a column, in its order; NaN where a filesystem has none. */
const numbers = ['size', 'mode', 'owner', 'group', 'links'] as const

const kinds = ['other', 'file', 'directory', 'link', 'device'] as const

/** Files whose columns lie together: columns that grow would be copied, and both be in memory. */
const chunkLength = 4096

class Columns {
  readonly numbers = new Float64Array(chunkLength * numbers.length)
  readonly times = new BigInt64Array(chunkLength)
  readonly kinds = new Uint8Array(chunkLength)
}

/** What few files have. */
interface Rare {
  readonly target?: string
  readonly otherStreams?: readonly string[]
  /** A time that has no place in its column. */
  readonly modified?: bigint
}

/**
 * Files in little memory: a folder may have millions, and an object with its texts takes 600 bytes for each. Here a
 * file takes 60 and its name, and is made whole where it is looked at.
 */
export class ListedFiles implements Iterable<ListedFile> {
  readonly #names: string[] = []
  readonly #rare = new Map<number, Rare>()
  readonly #columns: Columns[] = []
  /** The files of each folder by their names, in the order in which folders were closed. */
  readonly #folders: { readonly path: string; readonly order: Uint32Array }[] = []

  get length(): number {
    return this.#names.length
  }

  /** @returns its index. */
  add(name: string, node: FileNode): number {
    const index = this.length
    const at = index % chunkLength
    if (at === 0) this.#columns.push(new Columns())
    const columns = this.#columns.at(-1) ?? new Columns()
    this.#names.push(name)
    columns.kinds[at] = kinds.indexOf(node.kind)
    for (const [column, key] of numbers.entries()) columns.numbers[at * numbers.length + column] = node[key] ?? NaN
    const { modified, target, otherStreams } = node
    const fits = BigInt.asIntN(64, modified) === modified
    columns.times[at] = fits ? modified : 0n
    if (!fits || target !== undefined || otherStreams !== undefined)
      this.#rare.set(index, { target, otherStreams, modified: fits ? undefined : modified })
    return index
  }

  /** Ends the folder `path`, whose files were added from `start` on: they stand in the order of their names then. */
  closeFolder(path: string, start: number): Iterable<number> {
    const names = this.#names
    const order = Uint32Array.from({ length: this.length - start }, (_, index) => start + index)
    order.sort((one, other) => ((names[one] ?? '') < (names[other] ?? '') ? -1 : 1))
    this.#folders.push({ path, order })
    return order
  }

  *[Symbol.iterator](): Generator<ListedFile> {
    for (const { path, order } of this.#folders) for (const index of order) yield this.#at(path, index)
  }

  #at(folder: string, index: number): ListedFile {
    const columns = this.#columns[Math.floor(index / chunkLength)]
    const at = index % chunkLength
    const number = (column: number): number | undefined => {
      const value = columns?.numbers[at * numbers.length + column] ?? NaN
      return Number.isNaN(value) ? undefined : value
    }
    const name = this.#names[index] ?? ''
    const rare = this.#rare.get(index)
    return {
      name,
      path: pathBelow(folder, name),
      kind: kinds[columns?.kinds[at] ?? 0] ?? 'other',
      size: number(0) ?? 0,
      mode: number(1),
      owner: number(2),
      group: number(3),
      links: number(4),
      modified: fileTimeText(rare?.modified ?? columns?.times[at] ?? 0n),
      target: rare?.target,
      otherStreams: rare?.otherStreams,
    }
  }
}

/** A path of the image and a name below it. */
export function pathBelow(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`
}

/** Nanoseconds since 1970 as ISO 8601; years that it cannot write are given as seconds. */
export function fileTimeText(nanoseconds: bigint): string {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  const seconds = (nanoseconds - rest) / 1_000_000_000n
  const date = new Date(Number(seconds) * 1000)
  return Number.isNaN(date.getTime())
    ? `${seconds} s`
    : `${date.toISOString().slice(0, -5)}.${rest.toString().padStart(9, '0')}Z`
}
