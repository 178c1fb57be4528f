import { isZero } from '../../binary/zero.js'
import type { Progress } from '../../engine/index.js'
import { treeDigestLength, partDigests } from '../../engine/tree-hash.js'
import { isImageError, printable, stopIfAborted, targetError, type HostPath } from '../../errors.js'
import { openFile, type OpenedImage } from '../../formats/open.js'
import { writeWhole } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'
import { nextTurn } from '../../sys/next-turn.js'
import { check, type LayerCheck } from '../check/check.js'
import { KnownBlocks } from '../imaging/blocks-file.js'
import { hash } from '../inspect/hash.js'
import { holdingReadSet } from './lock.js'
import { linksOf, type LinkedPoint } from './links.js'
import { recordsOf, setFolder, type DamagedPoint, type Point } from './set.js'
import { imagesOf } from '../../location/backup-set.js'

export interface CheckSetOptions {
  /** Percent of what the set stores that is read, from where the last check stopped; 100: all of it. */
  readonly sample: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** What is wrong with a point. */
export interface SetProblem {
  /** `2026-11-30T041500Z` */
  readonly point: string
  /** `E_DIGEST`: a block is not what it was; otherwise the code of the error or finding. */
  readonly code: string
  readonly message: string
  /** Of a block, where on the disk it begins. */
  readonly offset?: number
}

export interface CheckSetResult {
  readonly set: string
  readonly points: number
  readonly sample: number
  /** Bytes of the disk, as the points store them: all of them, and those that were read now. */
  readonly stored: number
  readonly read: number
  readonly problems: readonly SetProblem[]
  /** Further problems, which are not listed. */
  readonly more: number
  /** Where the next sample begins; absent: at the oldest point. */
  readonly next?: Cursor
}

interface Cursor {
  readonly point: string
  readonly offset: number
}

/** Problems that are listed. */
const mostListed = 1000
const cursorName = 'check.json'

/**
 * Checks a backup set: the structures of all images, that each belongs to its parent, and the content of a part of what
 * they store against the digests beside them. Samples go on where the last one stopped.
 * @throws ImageError usage E_NO_SET; refused E_SET_IN_USE; aborted
 */
export async function checkSet(set: string, options: CheckSetOptions): Promise<CheckSetResult> {
  const folder = setFolder(set)
  return await holdingReadSet(folder, 'vdisk backup check', async (canWrite) => {
    if (canWrite || options.sample >= 100) return await checkHeld(folder, options)
    throw targetError(
      'E_WRITE_PERMISSION',
      `${printable(folder)} is read-only: where the next sample begins cannot be kept`,
      {
        hint: 'vdisk backup check SET --all reads all of it, and keeps nothing.',
      },
    )
  })
}

async function checkHeld(folder: HostPath, options: CheckSetOptions): Promise<CheckSetResult> {
  const links = linksOf(imagesOf(folder))
  const checking = new Checking(options)
  const { points, damaged } = recordsOf(links)
  checking.records(damaged)
  await checking.structures(links)
  const whole = points.filter(({ problem }) => problem === undefined)
  const parentOf = ({ parent }: LinkedPoint) => whole.find(({ path }) => path === parent)
  const parts = whole.map((point) => ({ point, pieces: piecesOf(point, links, parentOf(point)) }))
  for (const { point, pieces } of parts) {
    const parent = parentOf(point)
    // What a parent that is damaged was is not known; one that is no point has no digests, and counts as the child's.
    const isKnown = parent !== undefined || !links.some(({ path, isPoint }) => isPoint && path === point.parent)
    if (pieces !== undefined && isKnown) checking.absent(point, pieces, parent)
  }
  const pieces = parts.flatMap((part) => part.pieces ?? [])
  const stored = pieces.reduce((sum, { length }) => sum + length, 0)
  const start = options.sample >= 100 ? undefined : readCursor(folder)
  const first = start === undefined ? 0 : pieces.findIndex((piece) => !isBefore(piece, start))
  const ordered = first > 0 ? [...pieces.slice(first), ...pieces.slice(0, first)] : pieces
  const next = await checking.contents(ordered, Math.ceil((stored * Math.min(100, options.sample)) / 100))
  const bare = parts.filter((part) => part.pieces === undefined).map(({ point }) => point)
  await checking.withoutDigests(bare, options.sample >= 100)
  if (options.sample < 100) writeWhole(inFolder(folder, cursorName), `${JSON.stringify(next ?? {})}\n`)
  return {
    set: folder,
    points: links.filter(({ isPoint }) => isPoint).length,
    sample: options.sample,
    stored,
    read: checking.read,
    problems: checking.problems,
    more: checking.more,
    next,
  }
}

/** A block that an image stores itself. */
interface Piece {
  readonly point: LinkedPoint
  readonly offset: number
  readonly length: number
}

const isBefore = ({ point, offset }: Piece, cursor: Cursor): boolean =>
  point.time < cursor.point || (point.time === cursor.point && offset < cursor.offset)

/**
 * The blocks of a point that its own image has something of: the others are its parent's, and checked there; but where
 * the parent's digests are of blocks of another length, which are compared with none. Undefined where there are no
 * digests of them.
 */
function piecesOf(
  point: LinkedPoint & Point,
  links: readonly LinkedPoint[],
  parent: Point | undefined,
): Piece[] | undefined {
  using known = blocksOf(point)
  if (known === undefined) return undefined
  using then = parent === undefined ? undefined : blocksOf(parent)
  const isUnlike = then !== undefined && then.blockLength !== known.blockLength
  using opened = openFile(point.path)
  const { blockLength, diskSize } = known
  const { image } = opened.top
  // What the image of a point that is gone stores counts as this one's: nobody else checks it.
  const below = links.find(({ path }) => path === point.parent)
  const source = below === undefined || below.isPoint ? image : opened
  const pieces: Piece[] = []
  for (let offset = 0; offset < diskSize;) {
    const { kind, length } = source.extentAt(offset, diskSize - offset)
    const isOwn = isUnlike || kind === 'data' || kind === 'packed' || (kind === 'zero' && below !== undefined)
    if (!isOwn) {
      offset += length
      continue
    }
    const end = Math.min(diskSize, offset + length)
    for (let block = offset - (offset % blockLength); block < end; block += blockLength) {
      if (pieces.at(-1)?.offset !== block)
        pieces.push({ point, offset: block, length: Math.min(blockLength, diskSize - block) })
    }
    offset = end
  }
  return pieces
}

/** The digests beside an image, where they are those that its record is of; the caller closes them. */
function blocksOf({ path, record }: Point): KnownBlocks | undefined {
  try {
    const known = new KnownBlocks(path)
    if (known.root === record.digests.disk.digest) return known
    known[Symbol.dispose]()
  } catch (error) {
    if (!isImageError(error)) throw error
  }
  return undefined
}

class Checking {
  read = 0
  readonly problems: SetProblem[] = []
  more = 0
  readonly #options: CheckSetOptions

  constructor(options: CheckSetOptions) {
    this.#options = options
  }

  records(damaged: readonly DamagedPoint[]): void {
    for (const { time, problem } of damaged) this.#add({ point: time, code: 'E_RECORD', message: problem })
  }

  /** Each image once: by the newest of each chain. */
  async structures(links: readonly LinkedPoint[]): Promise<void> {
    const times = new Map(links.map(({ path, time }) => [path, time]))
    const seen = new Set<string>()
    for (const { path, time, problem } of links) {
      if (problem !== undefined) this.#add({ point: time, code: 'E_CHAIN', message: problem })
      if (problem !== undefined || links.some(({ parent }) => parent === path)) continue
      const { layers } = await check(path, { signal: this.#options.signal })
      for (const layer of layers) {
        if (seen.has(layer.path)) continue
        seen.add(layer.path)
        this.#structure(times.get(layer.path) ?? time, layer)
      }
    }
  }

  #structure(point: string, { counts, findings }: LayerCheck): void {
    if (counts.error === 0) return
    for (const { severity, code, message } of findings) if (severity === 'error') this.#add({ point, code, message })
  }

  /**
   * Blocks that an image does not store must be those of its parent, or zero where it has none: by the digests alone,
   * so that all of them are looked at each time.
   */
  absent(point: Point, pieces: readonly Piece[], parent: Point | undefined): void {
    using own = blocksOf(point)
    using below = parent === undefined ? undefined : blocksOf(parent)
    // What the parent was is not known: that is reported of the parent.
    if (own === undefined || (parent !== undefined && below === undefined)) return
    const { blockLength, diskSize } = own
    const stored = new Set(pieces.map(({ offset }) => offset))
    for (let offset = 0; offset < diskSize; offset += blockLength) {
      if (stored.has(offset)) continue
      const now = own.digests(offset, 1, diskSize)
      const then = below?.digests(offset, 1, diskSize)
      if (then === undefined ? isZero(now) : Buffer.compare(now, then) === 0) continue
      this.#add({
        point: point.time,
        code: 'E_DIGEST',
        message: 'the image does not hold the block, which is not what its parent has',
        offset,
      })
    }
  }

  /** Reads blocks until so many bytes are read. @returns the first that was not. */
  async contents(pieces: readonly Piece[], budget: number): Promise<Cursor | undefined> {
    const { onProgress, signal } = this.#options
    const open = new OpenPoint()
    try {
      for (const piece of pieces) {
        if (this.read >= budget) return { point: piece.point.time, offset: piece.offset }
        stopIfAborted(signal)
        this.#block(piece, open)
        this.read += piece.length
        onProgress?.({ phase: 'read', done: Math.min(this.read, budget), total: budget })
        if (this.read % (64 * piece.length) === 0) await nextTurn()
      }
      return undefined
    } finally {
      open[Symbol.dispose]()
    }
  }

  #block({ point, offset, length }: Piece, open: OpenPoint): void {
    const { image, known } = open.of(point.path)
    const bytes = new Uint8Array(length)
    try {
      image.read(offset, bytes)
    } catch (error) {
      if (!isImageError(error)) throw error
      this.#add({ point: point.time, code: error.code, message: error.message, offset })
      return
    }
    const now = partDigests(bytes, known.blockLength)
    const then = known.digests(offset, 1, known.diskSize)
    if (Buffer.compare(now, then.subarray(0, treeDigestLength)) === 0) return
    this.#add({
      point: point.time,
      code: 'E_DIGEST',
      message: isZero(now) ? 'the block is zero, and was not' : 'the block is not what it was when it was imaged',
      offset,
    })
  }

  /** Points without digests of their blocks: only all of it can be compared, with the digest in the record. */
  async withoutDigests(points: readonly Point[], all: boolean): Promise<void> {
    for (const { path, time, record } of points) {
      const { disk } = record.digests
      if (!all) {
        this.#add({
          point: time,
          code: 'W_NO_BLOCKS',
          message: 'it has no digests of its blocks: --all reads it whole',
        })
        continue
      }
      const { digests } = await hash(path, {
        algorithm: 'tree',
        ranges: [{ offset: disk.start, length: disk.length }],
        signal: this.#options.signal,
      })
      this.read += disk.length
      if (!digests.some(({ digest }) => digest.endsWith(disk.digest)))
        this.#add({ point: time, code: 'E_DIGEST', message: 'it is not what it was when it was imaged' })
    }
  }

  #add(problem: SetProblem): void {
    if (this.problems.length < mostListed) this.problems.push(problem)
    else this.more++
  }
}

/** The point that is being read, with its digests; one at a time. */
class OpenPoint implements Disposable {
  #path: HostPath | undefined
  #image: OpenedImage | undefined
  #known: KnownBlocks | undefined

  of(path: HostPath): { readonly image: OpenedImage; readonly known: KnownBlocks } {
    if (this.#path !== path || this.#image === undefined || this.#known === undefined) {
      this[Symbol.dispose]()
      this.#image = openFile(path)
      this.#known = new KnownBlocks(path)
      this.#path = path
    }
    return { image: this.#image, known: this.#known }
  }

  [Symbol.dispose](): void {
    this.#image?.[Symbol.dispose]()
    this.#known?.[Symbol.dispose]()
    this.#image = undefined
    this.#known = undefined
  }
}

/** Where the last sample stopped; a file that is no such thing is passed over: the check begins at the start. */
function readCursor(folder: HostPath): Cursor | undefined {
  const path = inFolder(folder, cursorName)
  if (!fs.existsSync(path)) return undefined
  try {
    const { point, offset } = JSON.parse(fs.readFileSync(path, 'utf8')) as Partial<Cursor>
    return typeof point === 'string' && typeof offset === 'number' ? { point, offset } : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
