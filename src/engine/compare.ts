import { aborted } from '../errors.js'
import { OrderedTaking, type ContentTaker } from '../block/content-taker.js'
import type { BlockSource } from '../block/types.js'
import { allOf } from './all-of.js'
import { runLanes } from './lanes.js'
import { chunkLengthFor, lanesFor, Plan } from './plan.js'
import { defaultThreads, makeSlots, TaskPool } from './pool.js'
import { prefill } from './prefill.js'
import type { Progress } from './progress.js'
import { RangeList, type RangeSummary } from './ranges.js'
import { longestRun, Walk } from './walk.js'
import { milliseconds } from '../sys/clock.js'
import { nextTurn } from '../sys/next-turn.js'

export interface DiskCompareOptions {
  /**
   * Goes on behind the first difference and collects all of them: how many ranges to list, and the unit (bytes) that
   * counts as one.
   */
  readonly collect?: { readonly limit: number; readonly unit: number }
  readonly threads?: number
  /** Are given all that is read of the two disks: neither ends at the first difference then. */
  readonly contents?: readonly [ContentTaker | undefined, ContentTaker | undefined]
  readonly signal?: AbortSignal
  /** What progress calls it; default `verify`. */
  readonly phase?: Progress['phase']
  readonly onProgress?: (progress: Progress) => void
}

export interface DiskCompareResult {
  readonly equal: boolean
  /** The first guest offset at which the two differ, in bytes. */
  readonly offset?: number
  /** Only when they were to be collected. */
  readonly differences?: RangeSummary
}

const mebibyte = 1024 * 1024
const leastChunk = 2 * mebibyte
const usualLanes = 4

/**
 * Compares every guest byte. The shorter disk counts as zero beyond its end; what is known to be zero on both, or to be
 * the same bytes
 * of the same file, is not read.
 * @throws ImageError; aborted E_ABORTED.
 */
export async function compareSources(
  a: BlockSource,
  b: BlockSource,
  options: DiskCompareOptions = {},
): Promise<DiskCompareResult> {
  const capacity = Math.max(a.capacity, b.capacity)
  const chunkLength = Math.max(chunkLengthFor(a, leastChunk, 65536), chunkLengthFor(b, leastChunk, 65536))
  const contents = (options.contents ?? []).map((taker) => (taker === undefined ? undefined : new OrderedTaking(taker)))
  const isTaken = contents.some((taker) => taker !== undefined)
  const plan = new Plan(a, { capacity, chunkLength, align: 65536, base: b, readsSame: isTaken })
  await using pool = new TaskPool(options.threads ?? (capacity <= 4 * mebibyte ? 0 : defaultThreads()), options.signal)
  // Each has room for both disks.
  const lanes = lanesFor(usualLanes, 2 * chunkLength, a, b)
  const slots = makeSlots(lanes, chunkLength, true)
  const { collect } = options
  const found = collect === undefined ? undefined : new RangeList(collect.limit)
  let difference: number | undefined
  let reported = 0
  const next = (): ReturnType<Plan['next']> =>
    difference === undefined || found !== undefined || isTaken ? plan.next() : undefined
  await runLanes(
    lanes,
    next,
    async (chunk, lane, ticket) => {
      const slot = slots[lane]
      if (slot === undefined || chunk.base === undefined) throw new RangeError(`no buffer or no base for lane ${lane}`)
      const [first, second] = await allOf([
        prefill(chunk.content, a, chunk.offset, slot.bytes),
        prefill(chunk.base, b, chunk.offset, slot.bytes.subarray(slot.half)),
      ])
      const result = await pool.run(
        {
          mode: 'compare',
          unit: collect?.unit ?? 0,
          length: chunk.length,
          ...first,
          base: second,
        },
        slot,
      )
      await ticket.turn
      for (const [index, taker] of contents.entries())
        taker?.add(chunk.offset, slot.bytes.subarray(index * slot.half, index * slot.half + chunk.length))
      if (result.difference !== undefined)
        difference = Math.min(difference ?? Infinity, chunk.offset + result.difference)
      for (const { at, length } of result.runs) found?.add(chunk.offset + at, length)
      ticket.done()
      if (chunk.next > reported) {
        reported = chunk.next
        options.onProgress?.({ phase: options.phase ?? 'verify', done: reported, total: capacity })
      }
    },
    options.signal,
  )
  for (const taker of contents) taker?.zerosTo(capacity)
  const differences = found === undefined ? {} : { differences: found.summary() }
  return difference === undefined
    ? { equal: true, ...differences }
    : { equal: false, offset: difference, ...differences }
}

/**
 * Where one of two disks stores something and the other does not. Asks tables and holes only; what is stored may all
 * the same be zero.
 * @param limit how many ranges to list. @throws ImageError; aborted E_ABORTED.
 */
export async function compareAllocation(
  a: BlockSource,
  b: BlockSource,
  options: { readonly limit: number; readonly signal?: AbortSignal },
): Promise<RangeSummary> {
  const capacity = Math.max(a.capacity, b.capacity)
  const [first, second] = [new Walk(a, capacity), new Walk(b, capacity)]
  const found = new RangeList(options.limit)
  let rested = milliseconds()
  for (let offset = 0; offset < capacity;) {
    const one = first.runAt(offset, Math.min(longestRun, capacity - offset))
    const other = second.runAt(offset, one.length)
    if ((one.kind === 'zero') !== (other.kind === 'zero')) found.add(offset, other.length)
    offset += other.length
    if (milliseconds() - rested < 50) continue
    // Lets a signal through: the walk is synchronous.
    await nextTurn()
    if (options.signal?.aborted === true) throw aborted()
    rested = milliseconds()
  }
  return found.summary()
}
