import type { BlockSource } from '../block/types.js'
import { prefill } from './copy.js'
import { runLanes } from './lanes.js'
import { Plan } from './plan.js'
import { defaultThreads, makeSlots, TaskPool } from './pool.js'
import type { Progress } from './progress.js'

export interface CompareOptions {
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface CompareResult {
  readonly equal: boolean
  /** The first guest offset at which the two differ, in bytes. */
  readonly offset?: number
}

const chunkLength = 1024 * 1024
const lanes = 4

/**
 * Compares every guest byte. The shorter disk counts as zero beyond its end; what is known to be zero on both is not read.
 * @throws ImageError; aborted E_ABORTED.
 */
export async function compareSources(a: BlockSource, b: BlockSource, options: CompareOptions = {}): Promise<CompareResult> {
  const capacity = Math.max(a.capacity, b.capacity)
  const plan = new Plan(a, { capacity, chunkLength, align: 65536, base: b })
  await using pool = new TaskPool(options.threads ?? (capacity <= 4 * chunkLength ? 0 : defaultThreads()))
  const slots = makeSlots(lanes, chunkLength, true)
  let difference: number | undefined
  let reported = 0
  const next = (): ReturnType<Plan['next']> => difference === undefined ? plan.next() : undefined
  await runLanes(lanes, next, async (chunk, lane, ticket) => {
    const slot = slots[lane]
    if (slot === undefined || chunk.base === undefined) throw new RangeError(`no buffer or no base for lane ${lane}`)
    const result = await pool.run({
      mode: 'compare', unit: 0, length: chunk.length,
      ...prefill(chunk.content, a, chunk.offset, slot.bytes),
      base: prefill(chunk.base, b, chunk.offset, slot.bytes.subarray(slot.half)),
    }, slot)
    await ticket.turn
    if (result.difference !== undefined) difference = Math.min(difference ?? Infinity, chunk.offset + result.difference)
    ticket.done()
    if (chunk.next > reported) {
      reported = chunk.next
      options.onProgress?.({ phase: 'verify', done: reported, total: capacity })
    }
  }, options.signal)
  return difference === undefined ? { equal: true } : { equal: false, offset: difference }
}
