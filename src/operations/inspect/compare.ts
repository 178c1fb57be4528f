import type { Note } from '../../block/types.js'
import { compareAllocation, compareSources, type Progress, type RangeSummary } from '../../engine/index.js'
import type { OpenedImage } from '../../formats/open.js'
import {
  chainOptions,
  openReadableLater,
  prepared,
  sourceInfo,
  verifyWhileRead,
  type ChainOptions,
  type Forward,
  type ReadOptions,
  type SourceInfo,
} from '../open/opening.js'
import { milliseconds } from '../../sys/clock.js'
import { readingForward } from '../open/reading-forward.js'

export interface CompareOptions extends ReadOptions {
  /** How the second image is opened; what is left out here is not taken from the first. */
  readonly second?: Omit<ReadOptions, keyof ChainOptions>
  /** The capacities must be equal too, and both must store something for the same parts of the disk. */
  readonly strict?: boolean
  /** Stops at the first difference instead of looking for all of them. */
  readonly first?: boolean
  /** How many ranges are listed at most; all are counted. Default 20. */
  readonly limit?: number
  /** Worker threads for decompression; 0: none. */
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface CompareResult {
  /** The answer: with `strict` also of capacity and allocation. */
  readonly same: boolean
  /** Whether every byte is equal, where the shorter disk counts as zero beyond its end. */
  readonly sameContent: boolean
  readonly first: SourceInfo
  readonly second: SourceInfo
  /** The guest offset of the first byte that differs. */
  readonly firstDifference?: number
  /** Whole sectors of 512 bytes that differ; not known when it stopped at the first. */
  readonly differences?: RangeSummary
  /** Only with `strict`. */
  readonly strict?: {
    readonly sameCapacity: boolean
    /** Ranges for which one image stores something and the other does not. */
    readonly allocation: RangeSummary
  }
  readonly notes: readonly Note[]
  readonly seconds: number
}

const sector = 512

/**
 * Compares the disks of two images of any formats, each through its chain.
 * @throws ImageError where one of them cannot be read; aborted E_ABORTED. That they differ is a result.
 */
export async function compare(first: string, second: string, options: CompareOptions = {}): Promise<CompareResult> {
  return await readingForward(async (forward) => await compareOnce(first, second, { ...options, forward }))
}

async function compareOnce(first: string, second: string, options: CompareOptions & Forward): Promise<CompareResult> {
  const started = milliseconds()
  // Images whose stores have no descriptor are read, and decoded, in this thread.
  using a = await prepared(await openReadableLater(first, options), options)
  const further = { ...options.second, ...chainOptions(options), forward: options.forward }
  using b = await prepared(await openReadableLater(second, further), options)
  const proofs = [await verifyWhileRead(a, options), await verifyWhileRead(b, options)] as const
  const limit = options.limit ?? 20
  const moving = { signal: options.signal }
  const { equal, offset, differences } = await compareSources(a, b, {
    ...moving,
    phase: 'compare',

    threads: options.threads,
    onProgress: options.onProgress,
    contents: proofs,
    collect: options.first === true ? undefined : { limit, unit: sector },
  })
  const strict =
    options.strict === true
      ? { sameCapacity: a.capacity === b.capacity, allocation: await compareAllocation(a, b, { ...moving, limit }) }
      : undefined
  a.assertUnchanged()
  b.assertUnchanged()
  for (const proof of proofs) proof?.assert()
  return {
    same: equal && (strict === undefined || (strict.sameCapacity && strict.allocation.count === 0)),
    sameContent: equal,
    first: sourceInfo(first, a),
    second: sourceInfo(second, b),
    firstDifference: offset,
    differences,
    strict,
    notes: [
      ...new Map([...a.notes, ...b.notes, ...sizes(a, b, equal, offset)].map((note) => [note.message, note])).values(),
    ],
    seconds: (milliseconds() - started) / 1000,
  }
}

/** What is to be said of disks of different sizes. */
function sizes(a: OpenedImage, b: OpenedImage, equal: boolean, offset: number | undefined): Note[] {
  if (a.capacity === b.capacity) return []
  const [longer, shorter] = a.capacity > b.capacity ? [a, b] : [b, a]
  const begins =
    `the disk of ${longer.top.name} is ${longer.capacity - shorter.capacity} bytes longer than ` +
    `that of ${shorter.top.name}`
  const message = equal
    ? `${begins}; what it has beyond the other's end reads as zero`
    : offset !== undefined && offset >= shorter.capacity
      ? `${begins}, and only there it has content that the other cannot have`
      : begins
  return [{ code: 'W_SIZES_DIFFER', message }]
}
