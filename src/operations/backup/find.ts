import { createHash } from 'node:crypto'
import type { Registry } from '../../formats/registry.js'
import { isImageError, stopIfAborted, usage } from '../../errors.js'
import { openFile } from '../../formats/open.js'
import { imagesOf } from '../../location/backup-set.js'
import { resolvePath } from '../../filesystem/path.js'
import type { FileNode } from '../../filesystem/types.js'
import { readPartitionTable } from '../../partition/index.js'
import { openVolume } from '../files/volume.js'
import { fileTimeText } from '../files/listed-files.js'
import { problem, type Problem } from '../inspect/info.js'
import type { Progress } from '../progress.js'
import { recordsOf, setFolder, type Point } from './set.js'
import { nextTurn } from '../../sys/next-turn.js'

export interface FindOptions {
  readonly registry?: Registry
  readonly signal?: AbortSignal
  /** Counts points. */
  readonly onProgress?: (progress: Progress) => void
}

/** A file as some points in a row have it. */
export interface FileState {
  readonly partition?: number
  /** The points that have it so, oldest first. */
  readonly points: readonly string[]
  readonly kind: FileNode['kind']
  readonly size: number
  /** ISO 8601 */
  readonly modified: string
  /** SHA-256 of the content, hexadecimal; only of files with content. */
  readonly digest?: string
  /** How it is named as a source, in the newest of these points. */
  readonly address: string
}

export interface FindResult {
  readonly set: string
  readonly path: string
  /** By partition, then the oldest first. */
  readonly states: readonly FileState[]
  /** Points in which it is in no partition. */
  readonly without: readonly string[]
  /** What could not be looked into. */
  readonly problems: readonly (Problem & { readonly point: string; readonly partition?: number })[]
}

/**
 * Which points of a set hold a file, and in which states.
 * @param path absolute inside its filesystem; every partition is looked into that has one.
 * @throws ImageError usage E_NO_SET, E_FILE_ADDRESS
 */
export async function findInSet(set: string, path: string, options: FindOptions = {}): Promise<FindResult> {
  const folder = setFolder(set)
  if (!path.startsWith('/'))
    throw usage('E_FILE_ADDRESS', 'the path of a file in a backup set begins with /', {
      hint: 'Write it as the system that is backed up has it, seen from its partition: /etc/fstab',
    })
  const search = new Search(folder, path, options)
  const { points, damaged } = recordsOf(imagesOf(folder))
  for (const [done, point] of points.entries()) {
    options.onProgress?.({ phase: 'check', done, total: points.length })
    await search.look(point)
  }
  const unknown = damaged.map(({ time, problem: message }) => ({
    kind: 'corrupt' as const,
    code: 'E_RECORD',
    message,
    point: time,
  }))
  const problems = [...search.problems, ...unknown]
  return { set: folder, path, states: search.states, without: search.without, problems }
}

interface OpenState {
  readonly state: Omit<FileState, 'points' | 'address'>
  readonly points: string[]
}

const absent = ['E_NOT_FOUND', 'E_NOT_A_DIRECTORY', 'E_LINKS', 'E_FS_LINK']
const unreadable = ['E_NO_FILESYSTEM', 'E_FS_NOT_READABLE', 'E_WHICH_VOLUME']

class Search {
  readonly without: string[] = []
  readonly problems: (Problem & { readonly point: string; readonly partition?: number })[] = []
  /** The point before the one that is looked into: a state goes on only from there. */
  #previous: string | undefined
  readonly #found = new Map<number, OpenState[]>()
  readonly #folder: string
  readonly #path: string
  readonly #options: FindOptions

  constructor(folder: string, path: string, options: FindOptions) {
    this.#folder = folder
    this.#path = path
    this.#options = options
  }

  get states(): FileState[] {
    return [...this.#found]
      .sort(([one], [other]) => one - other)
      .flatMap(([, states]) =>
        states.map(({ state, points }) => {
          const part = state.partition === undefined ? '' : `@${state.partition}`
          return { ...state, points, address: `${this.#folder}@${points.at(-1) ?? ''}${part}:${this.#path}` }
        }),
      )
  }

  async look(point: Point): Promise<void> {
    let found = false
    for (const partition of partitionsOf(point)) {
      stopIfAborted(this.#options.signal)
      try {
        found = (await this.#lookIn(point, partition)) || found
      } catch (error) {
        if (!isImageError(error) || error.kind === 'aborted') throw error
        if (!absent.includes(error.code) && !unreadable.includes(error.code))
          this.problems.push({ ...problem(error), point: point.time, partition })
      }
    }
    if (!found) this.without.push(point.time)
    this.#previous = point.time
  }

  async #lookIn({ time, path }: Point, partition: number | undefined): Promise<boolean> {
    const { registry, signal } = this.#options
    using volume = await openVolume(partition === undefined ? path : `${path}@${partition}`, { registry })
    const { node } = resolvePath(volume.tree, this.#path, true)
    const digest = createHash('sha256')
    if (node.kind === 'file') {
      const piece = new Uint8Array(1048576)
      for (let offset = 0; offset < node.size; offset += piece.length) {
        stopIfAborted(signal)
        const bytes = piece.subarray(0, Math.min(piece.length, node.size - offset))
        volume.tree.read(node, offset, bytes)
        digest.update(bytes)
        await nextTurn()
      }
    }
    const state = {
      partition,
      kind: node.kind,
      size: node.size,
      modified: fileTimeText(node.modified),
      digest: node.kind === 'file' ? digest.digest('hex') : undefined,
    }
    const states = this.#found.get(partition ?? 0) ?? []
    this.#found.set(partition ?? 0, states)
    const last = states.at(-1)
    const isSame =
      last !== undefined &&
      last.state.kind === state.kind &&
      last.state.digest === state.digest &&
      last.state.modified === state.modified &&
      last.points.at(-1) === this.#previous
    if (isSame) last.points.push(time)
    else states.push({ state, points: [time] })
    return true
  }
}

function partitionsOf({ path }: Point): readonly (number | undefined)[] {
  using opened = openFile(path)
  const { partitions } = readPartitionTable(opened)
  const numbers = partitions.filter(({ role }) => role !== 'extended').map(({ number }) => number)
  return numbers.length === 0 ? [undefined] : numbers
}
