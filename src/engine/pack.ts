import type { BlockSource } from '../block/types.js'
import type { ContentTaker } from '../block/content-taker.js'
import { codecFor } from '../codec/registry.js'
import type { CopyResult } from './copy.js'
import { ContentOrder, type ContentPlace } from './content-order.js'
import { runLanes } from './lanes.js'
import { Plan, type Chunk } from './plan.js'
import { defaultThreads, makeSlots, TaskPool, type Slot } from './pool.js'
import { fillAndGive, prefill } from './prefill.js'
import type { Progress } from './progress.js'
import type { RateLimit } from './rate.js'
import type { Salvaging } from './salvaged.js'

export interface PackOptions extends Salvaging {
  readonly source: BlockSource
  /** What compresses it, in units of so many bytes. */
  readonly codec: string
  readonly level?: number
  readonly unitLength: number
  /** Takes the units in order; the bytes are used again afterwards. */
  readonly take: (stored: Uint8Array, length: number) => Promise<void> | void
  /** Is given all that is read, in order, before it is compressed. */
  readonly content?: ContentTaker
  /** How many bytes of the disk are read a second at most. */
  readonly rate?: RateLimit
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** What is compressed here, since starting a thread takes as long. */
const smallDisk = 1048576

/**
 * Compresses a disk as units, one behind the other, by all threads. @throws ImageError; aborted E_ABORTED.
 */
export async function packUnits(options: PackOptions): Promise<CopyResult> {
  const { source, codec, level, unitLength, take, signal, onProgress } = options
  const { capacity } = source
  const threads = options.threads ?? (capacity <= smallDisk ? 0 : defaultThreads())
  // Compiled or loaded here first: a codec that is not there fails before anything is read.
  const encode = encoderOf(codec, level)
  const plan = new Plan(source, { capacity, chunkLength: unitLength, align: unitLength, zeros: true })
  await using pool = new TaskPool(threads, signal)
  const lanes = Math.max(2, threads + 2)
  const slots = makeSlots(lanes, 2 * unitLength, false)
  const order = options.content === undefined ? undefined : new ContentOrder(options.content)
  let zeroUnit: Uint8Array | undefined
  let bytesWritten = 0
  await runLanes(
    lanes,
    () => plan.next(),
    async (chunk, lane, ticket) => {
      const slot = slots[lane]
      if (slot === undefined) throw new RangeError(`no buffer for lane ${lane}`)
      const { length, content } = chunk
      const wait = options.rate?.take(length, signal)
      if (wait !== undefined) await wait
      const empty = content.pieces.length === 0 && content.local.length === 0 && length === unitLength
      const giving = order?.place()
      let stored: Uint8Array
      try {
        stored = empty
          ? (zeroUnit ??= Uint8Array.from(encode(new Uint8Array(unitLength))))
          : await packChunk(chunk, slot, options, pool, giving)
      } finally {
        giving?.end()
      }
      await ticket.turn
      await take(stored, length)
      bytesWritten += stored.length
      ticket.done()
      onProgress?.({ phase: 'copy', done: chunk.next, total: capacity })
    },
    signal,
  )
  order?.finish(capacity)
  return { bytesRead: capacity, bytesWritten }
}

async function packChunk(
  chunk: Chunk,
  slot: Slot,
  options: PackOptions,
  pool: TaskPool,
  giving: ContentPlace | undefined,
): Promise<Uint8Array> {
  const { offset, length, content } = chunk
  const { source, codec, level, unitLength } = options
  const filled =
    giving === undefined
      ? await prefill(content, source, offset, slot.bytes)
      : await fillAndGive(chunk, source, slot, pool, giving, options)
  const packing = { length: unitLength, codec, level }
  const { runs } = await pool.run({ mode: 'pack', unit: 0, length, packing, ...filled }, slot)
  const [run] = runs
  if (run?.kind !== 'packed' || runs.length !== 1) throw new TypeError('a unit came back in pieces')
  return slot.bytes.subarray(run.storedAt, run.storedAt + run.storedLength)
}

function encoderOf(id: string, level: number | undefined): (bytes: Uint8Array) => Uint8Array {
  const codec = codecFor(id)
  if (codec.encode === undefined) throw new TypeError(`${id} only decompresses`)
  const encode = codec.encode.bind(codec)
  encode(new Uint8Array(512), level)
  return (bytes) => encode(bytes, level)
}
