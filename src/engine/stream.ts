import { aborted, corrupt } from '../errors.js'
import type { BlockSource, ByteStore } from '../block/types.js'
import type { ContentTaker } from '../block/content-taker.js'
import { CountingStore } from '../block/counting-store.js'
import { MaskedSource } from '../block/masked.js'
import { MemoryStore } from '../block/memory-store.js'
import { RunMap } from '../block/run-map.js'
import type { CopyTarget, ImageWriter } from '../block/image-writer.js'
import { ContentOrder, type ContentPlace } from './content-order.js'
import { ReadTwice, strictly } from './content-sum.js'
import { copy, packingRoom, type CopyOptions, type CopyResult } from './copy.js'
import { runLanes } from './lanes.js'
import { ContentReader, lanesFor, Plan, type Chunk, type ChunkContent } from './plan.js'
import { defaultThreads, makeSlots, TaskPool, type Slot } from './pool.js'
import { fillAndGive, prefill } from './prefill.js'
import type { Salvage } from './salvaged.js'
import type { TaskContent } from './task.js'

export interface StreamOptions extends Omit<CopyOptions, 'target'> {
  /**
   * Is given the content that is given out, in order; what is read twice is compared. It may go together with
   * `salvage`: what could not be read when the layout was made is zero, and is not read again.
   */
  readonly content?: ContentTaker
  /** Makes the image's writer over a store that keeps its tables in memory. */
  readonly layout: (store: ByteStore) => ImageWriter
  /** Takes the image's bytes in order; resolves when more may come. The bytes are reused afterwards. */
  readonly output: (bytes: Uint8Array) => Promise<void>
  /** Is given how many bytes will come, before the first, where that is known. */
  readonly planned?: (size: number) => Promise<void>
  /** Takes so many zeros in place of bytes. */
  readonly zeros?: (length: number) => Promise<void>
}

/** Guest bytes that stand at `position` in the image: as they are, or as compressed units of `stored` bytes each. */
interface Placed {
  readonly position: number
  readonly offset: number
  length: number
  readonly stored?: number[]
}

const pieceLength = 1024 * 1024

/**
 * Writes an image to something that cannot go back. The first pass only decides where everything goes, so that all
 * tables are known;
 * the second gives out the bytes in order and reads the source again, which must not change in between.
 * @throws ImageError; aborted E_ABORTED.
 */
export async function stream(options: StreamOptions): Promise<CopyResult> {
  const { layout, rate, content, salvage, ...rest } = options
  const output =
    rate === undefined
      ? options.output
      : async (bytes: Uint8Array): Promise<void> => {
          await rate.take(bytes.length, options.signal)
          await options.output(bytes)
        }
  const store = new MemoryStore(undefined, 'the layout', 512)
  const target = layout(store)
  if (target.appends === true) return await streamOnce({ ...options, output }, target, store)
  if (target.sequential === true) {
    const order = content === undefined ? undefined : new ContentOrder(content)
    const whole = [{ position: 0, offset: 0, length: target.capacity }]
    const moved = await giveOut({ ...options, output }, target, store, whole, () => order?.place())
    order?.finish(options.source.capacity)
    return moved
  }
  const { capacity } = options.source
  const twice = content === undefined ? undefined : new ReadTwice(content, capacity, unitOf(target))
  // The first pass moves nothing; but a disk that is being used is spared in both.
  const first = { ...rest, salvage, content: twice, rate: salvage === undefined ? undefined : rate }
  const placed = await recordLayout(first, target, store)
  const again = {
    ...options,
    output,
    source: readableOf(options.source, salvage),
    salvage: salvage === undefined ? undefined : strictly(salvage),
  }
  const moved = await giveOut(again, target, store, placed, () => twice?.again)
  twice?.assertSame()
  return moved
}

/** What a writer's places are multiples of, in bytes. */
function unitOf({ grain, packedUnit }: ImageWriter): number {
  return Math.min(grain, packedUnit?.length ?? grain)
}

/**
 * Gives out the image: what was placed, and the tables between.
 * @param place where a piece's content is given to what takes it, asked for in order.
 */
async function giveOut(
  options: StreamOptions,
  target: ImageWriter,
  store: MemoryStore,
  placed: readonly Placed[],
  place: () => ContentPlace | undefined,
): Promise<CopyResult> {
  const last = placed.at(-1)
  const end = last === undefined ? 0 : last.position + (last.stored === undefined ? last.length : sum(last.stored))
  await options.planned?.(Math.max(store.size, end))
  const outlet = new Outlet(store, options.output, options)
  await emit(options, target, placed, outlet, place)
  await outlet.skipTo(store.size)
  return { bytesRead: outlet.fetched, bytesWritten: store.size }
}

/** A disk without what could not be read of it so far: that is zero. */
function readableOf(source: BlockSource, salvage: Salvage | undefined): BlockSource {
  if (salvage === undefined || salvage.bad.length === 0) return source
  const runs = new RunMap()
  let end = 0
  for (const { offset, length } of salvage.bad) {
    runs.add(end, offset - end)
    end = offset + length
  }
  runs.add(end, source.capacity - end)
  return new MaskedSource(source, runs)
}

/** One pass: what is compressed is placed in order and given out at once, and so is what the writer puts between. */
async function streamOnce(options: StreamOptions, target: ImageWriter, store: MemoryStore): Promise<CopyResult> {
  const { source, output, signal, onProgress } = options
  const packing = target.packedUnit
  if (packing?.always !== true || target.placePacked === undefined)
    throw new TypeError('a writer that appends compresses every unit')
  const outlet = new Outlet(store, output, { signal })
  const threads = options.threads ?? defaultThreads()
  await using pool = new TaskPool(threads, signal)
  const align = Math.max(packing.length, 65536)
  const plan = new Plan(source, { capacity: source.capacity, chunkLength: pieceLength, align })
  const slots = makeSlots(
    lanesFor(Math.max(4, threads + 2), pieceLength, source),
    pieceLength + packingRoom(packing),
    false,
  )
  const order = options.content === undefined ? undefined : new ContentOrder(options.content)
  await runLanes(
    slots.length,
    () => plan.next(),
    async (chunk, lane, ticket) => {
      const slot = slots[lane]
      if (slot === undefined) throw new RangeError(`no buffer for lane ${lane}`)
      const content = await filled(chunk, slot, { options, pool, giving: order?.place() })
      const { runs } = await pool.run({ mode: 'scan', unit: align, length: chunk.length, packing, ...content }, slot)
      await ticket.turn
      for (const run of runs) {
        if (run.kind !== 'packed') throw new TypeError('a unit came back as it was')
        const placed = target.placePacked?.(chunk.offset + run.at, run.storedLength)
        await outlet.skipTo(placed?.position ?? 0)
        await outlet.give(slot.bytes.subarray(run.storedAt, run.storedAt + run.storedLength), run.length)
        store.forget(outlet.position)
      }
      ticket.done()
      onProgress?.({ phase: 'stream', done: chunk.next, total: source.capacity })
    },
    signal,
  )
  order?.finish(source.capacity)
  target.finish()
  await outlet.skipTo(store.size)
  return { bytesRead: outlet.fetched, bytesWritten: store.size }
}

/** How a piece is read. */
interface Filling {
  readonly options: Pick<StreamOptions, 'source' | 'salvage' | 'signal'>
  readonly pool: TaskPool
  /** Its place among what is given to what takes the content. */
  readonly giving: ContentPlace | undefined
}

/** The content of a piece, before it is compressed: read already where something takes it. */
async function filled(
  piece: Pick<Chunk, 'offset' | 'length' | 'content'>,
  slot: Slot,
  { options, pool, giving }: Filling,
): Promise<TaskContent> {
  if (giving === undefined) return await prefill(piece.content, options.source, piece.offset, slot.bytes)
  try {
    return await fillAndGive(piece, options.source, slot, pool, giving, options)
  } finally {
    giving.end()
  }
}

/** The first pass: the writer decides, nothing is moved. */
async function recordLayout(
  options: Omit<CopyOptions, 'target'>,
  target: ImageWriter,
  store: MemoryStore,
): Promise<Placed[]> {
  const placed: Placed[] = []
  const nowhere = new CountingStore()
  const recorder: CopyTarget = {
    capacity: target.capacity,
    grain: target.grain,
    packedUnit: target.packedUnit,
    placeZeros: target.placeZeros,
    place(offset, length) {
      const at = target.place(offset, length)
      record(placed, offset, at.position, at.length, undefined)
      store.grown(at.position + at.length)
      return { store: nowhere, position: at.position, length: at.length }
    },
    placePacked(offset, storedLength) {
      if (target.placePacked === undefined || target.packedUnit === undefined)
        throw new TypeError('the writer offers a packed unit and no placePacked')
      const at = target.placePacked(offset, storedLength)
      record(placed, offset, at.position, target.packedUnit.length, storedLength)
      store.grown(at.position + storedLength)
      return { store: nowhere, position: at.position }
    },
    zero: (offset, length) => target.zero(offset, length),
  }
  await copy({ ...options, target: recorder })
  target.finish()
  return placed.sort((a, b) => a.position - b.position)
}

/** Units that follow each other both in the guest and in the file are kept as one record, up to a piece. */
function record(placed: Placed[], offset: number, position: number, length: number, stored: number | undefined): void {
  const last = placed.at(-1)
  const follows = last !== undefined && last.offset + last.length === offset
  if (stored === undefined) {
    if (follows && last.stored === undefined && last.position + last.length === position) last.length += length
    else placed.push({ position, offset, length })
    return
  }
  if (
    follows &&
    last.stored !== undefined &&
    last.length < pieceLength &&
    last.position + sum(last.stored) === position
  ) {
    last.stored.push(stored)
    last.length += length
  } else placed.push({ position, offset, length, stored: [stored] })
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** The second pass: fetches the placed bytes several at once, and gives them out in order. */
async function emit(
  options: StreamOptions,
  target: ImageWriter,
  placed: readonly Placed[],
  outlet: Outlet,
  place: () => ContentPlace | undefined,
): Promise<void> {
  const { source, signal } = options
  const threads = options.threads ?? defaultThreads()
  await using pool = new TaskPool(threads, signal)
  const bufferLength = Math.max(pieceLength, 2 * (target.packedUnit?.length ?? 0))
  const slots = makeSlots(lanesFor(Math.max(4, threads + 2), bufferLength, source), bufferLength, false)
  const contents = new ContentReader(source, Math.max(source.capacity, target.capacity))
  const pieces = cut(placed)
  await runLanes(
    slots.length,
    () => pieces.next().value ?? undefined,
    async (piece, lane, ticket) => {
      const slot = slots[lane]
      if (slot === undefined) throw new RangeError(`no buffer for lane ${lane}`)
      const content = contents.at(piece.offset, piece.length)
      const isZero = options.zeros !== undefined && piece.stored === undefined && holdsNothing(content)
      const giving = isZero ? undefined : place()
      const bytes = isZero ? undefined : await fetch({ ...piece, content }, slot, target, { options, pool, giving })
      await ticket.turn
      await outlet.skipTo(piece.position)
      if (bytes === undefined) await outlet.giveZeros(piece.length)
      else await outlet.give(bytes, piece.length)
      ticket.done()
    },
    signal,
  )
}

/** Whether nothing is stored there. */
function holdsNothing({ pieces, local }: ChunkContent): boolean {
  return pieces.length === 0 && local.length === 0
}

function* cut(placed: readonly Placed[]): Generator<Placed, undefined> {
  for (const run of placed) {
    if (run.stored !== undefined) yield run
    else {
      for (let done = 0; done < run.length; done += pieceLength) {
        yield {
          position: run.position + done,
          offset: run.offset + done,
          length: Math.min(pieceLength, run.length - done),
        }
      }
    }
  }
  return undefined
}

/** The bytes of a piece as they stand in the image. */
async function fetch(
  piece: Placed & { readonly content: ChunkContent },
  slot: Slot,
  target: ImageWriter,
  filling: Filling,
): Promise<Uint8Array> {
  const { pieces, present } = await filled(piece, slot, filling)
  const packing = piece.stored === undefined ? undefined : target.packedUnit
  if (filling.giving !== undefined && packing === undefined) return slot.bytes.subarray(0, piece.length)
  const result = await filling.pool.run(
    {
      mode: 'scan',
      unit: packing?.length ?? 0,
      length: piece.length,
      pieces,
      present,
      packing,
    },
    slot,
  )
  if (piece.stored === undefined) return slot.bytes.subarray(0, piece.length)
  const lengths = result.runs.map((run) => (run.kind === 'packed' ? run.storedLength : -1))
  if (lengths.length !== piece.stored.length || lengths.some((length, index) => length !== piece.stored?.[index])) {
    throw corrupt('E_SOURCE_CHANGED', `the content at guest offset ${piece.offset} changed while it was read`, {
      hint: 'Stop what writes to the source, and try again.',
    })
  }
  return slot.bytes.subarray(0, sum(lengths))
}

type OutletOptions = Pick<StreamOptions, 'onProgress' | 'signal' | 'zeros'>

/** Gives out the image's bytes in order: tables and gaps from the layout's store, data as it comes. */
class Outlet {
  fetched = 0
  /** Bytes given out. */
  position = 0
  readonly #store: MemoryStore
  readonly #output: (bytes: Uint8Array) => Promise<void>
  readonly #options: OutletOptions
  readonly #gap = new Uint8Array(pieceLength)

  constructor(store: MemoryStore, output: (bytes: Uint8Array) => Promise<void>, options: OutletOptions) {
    this.#store = store
    this.#output = output
    this.#options = options
  }

  async skipTo(position: number): Promise<void> {
    while (this.position < position) {
      const bytes = this.#gap.subarray(0, Math.min(pieceLength, position - this.position))
      this.#store.read(this.position, bytes)
      await this.#send(bytes)
    }
  }

  async give(bytes: Uint8Array, guestLength: number): Promise<void> {
    this.fetched += guestLength
    await this.#send(bytes)
  }

  async giveZeros(length: number): Promise<void> {
    if (this.#options.signal?.aborted === true) throw aborted()
    await this.#options.zeros?.(length)
    this.#moved(length)
  }

  async #send(bytes: Uint8Array): Promise<void> {
    if (this.#options.signal?.aborted === true) throw aborted()
    await this.#output(bytes)
    this.#moved(bytes.length)
  }

  #moved(length: number): void {
    this.position += length
    this.#options.onProgress?.({ phase: 'stream', done: this.position, total: this.#store.size })
  }
}
