import { roundUp } from '../binary/integers.js'
import type { CopyTarget, Packing } from '../block/image-writer.js'
import type { ContentTaker } from '../block/content-taker.js'
import type { BlockSource, ByteStore } from '../block/types.js'
import type { ScannedRun } from './chunk.js'
import { ContentOrder, type ContentPlace } from './content-order.js'
import { UnitBuffers } from './fill.js'
import { Growth } from './growth.js'
import { Inline } from './inline.js'
import { runLanes, type Ticket } from './lanes.js'
import { chunkLengthFor, isReadPastCache, lanesFor, Plan, type Chunk, type Shareable } from './plan.js'
import { defaultThreads, isHeavy, makeSlots, TaskPool, type Slot } from './pool.js'
import { fillAndGive, prefill } from './prefill.js'
import type { Progress } from './progress.js'
import { salvaged, type Salvage } from './salvaged.js'
import { Sharing } from './share.js'
import { runTaskSync, type ChunkParts, type Task, type TaskContent, type TaskResult } from './task.js'
import { blockLength } from './tree-hash.js'
import { addWrite, writeAll, writeNow, type Write } from './write.js'
import { placeRuns, type CopyJournal, type PlacedChunk, type Placement } from './placement.js'
import type { RateLimit } from './rate.js'
import { milliseconds } from '../sys/clock.js'
import { nextTurn } from '../sys/next-turn.js'

export interface CopyOptions {
  readonly source: BlockSource
  readonly target: CopyTarget
  /** The parent of the image being made: content equal to it is left out. */
  readonly base?: BlockSource
  /** Worker threads for compression and decompression; 0: none. Default: one a core, at most 8. */
  readonly threads?: number
  /**
   * Runs of zeros shorter than this are written as data (bytes, a power of two); 0: zeros are written too. Default: the
   * target's grain, at least 64 KiB.
   */
  readonly sparse?: number
  /**
   * Reads what the source cannot (bad sectors of a disk): a chunk that fails with E_READ is taken from here as a whole.
   */
  readonly salvage?: Salvage
  /**
   * Whether blocks may be shared with the source's file (reflink) where the filesystem can; default yes. A disk never
   * can.
   */
  readonly share?: boolean
  /** Is given digests of what was read, so that the source need not be read a second time for them. */
  readonly digests?: BlockDigests
  /**
   * Is given digests of smaller parts of what was read; where it knows those of the base, only parts that differ are
   * written, and the base is not read.
   */
  readonly parts?: PartDigests
  /**
   * Is given all that the source holds, in order, while it is copied. Not together with `base` or `journal`.
   */
  readonly content?: ContentTaker
  /** Is given what was placed and written, and says where to begin. */
  readonly journal?: CopyJournal
  /** How many bytes of the disk are moved a second at most. */
  readonly rate?: RateLimit
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** Takes digests of the parts of a disk while they go by, and may know what they were in the base. */
export interface PartDigests {
  /** Bytes of a part: leaves of docs/tree-hash.md, a power of two of them, at most a block. */
  readonly length: number
  /**
   * The digests that the parts of the disk from `offset` on have in the base, one behind the other; zeros where a part
   * is zero. Absent: nothing is known, and the base is read.
   */
  known?(offset: number, count: number): Uint8Array
  /** How parts are tagged; absent: they are not. */
  readonly tags?: PartTags
  /**
   * The digests of the parts from `offset` on, and their tags, where these were made. Ranges come in ascending order;
   * what is left out is zero.
   */
  take(offset: number, digests: Uint8Array, tags?: Uint8Array): void
}

/** How the parts of a disk are tagged (part-tags.ts), and what tags they have in the base. */
export interface PartTags {
  readonly key: Uint8Array
  /** The tags of the parts from `offset` on, one behind the other; zeros where there is none. Absent: none is known. */
  known?(offset: number, count: number): Uint8Array
}

/** Takes digests of blocks of docs/tree-hash.md while they go by. */
export interface BlockDigests {
  /**
   * The ranges, within the chunk of `length` bytes at `offset`, whose digests are wanted: each at most a block long.
   * Chunks begin and end at multiples of a block, but for the disk's end.
   */
  ranges(offset: number, length: number): readonly { readonly at: number; readonly length: number }[]
  /** The digests of those ranges. Chunks come in ascending order; one that is left out is zero. */
  add(offset: number, length: number, digests: readonly Uint8Array[]): void
}

export interface CopyResult {
  /** Guest bytes read from the source. */
  readonly bytesRead: number
  /** Host bytes written to, or shared with, the target. */
  readonly bytesWritten: number
}

const mebibyte = 1024 * 1024
/**
 * Bytes that are moved at once past the page cache, where every call waits for the medium; and where digests of all of
 * a disk are taken, since a thread is sent word of each piece.
 */
const diskChunk = 4 * mebibyte
/** Chunks in flight: one that this thread moves, and those that the threads of the pool read and write. */
const plainLanes = 4
/** Disks below this are not worth starting worker threads for. */
const smallDisk = 4 * mebibyte

/**
 * Moves the content of a disk into a new image: reads and scans several chunks at once, places them in order (so that
 * the same input
 * gives the same file), and writes them as soon as they are placed. The caller calls the writer's `finish` afterwards.
 * @throws ImageError; aborted E_ABORTED when the signal fires. Nothing is in flight when it throws.
 */
export async function copy(options: CopyOptions): Promise<CopyResult> {
  const { source, target, base, signal } = options
  const sparse = options.sparse ?? Math.max(target.grain, 65536)
  const zeros = target.placeZeros === true || sparse === 0
  const { chunkLength, align } = chunksOf(options)
  const known = options.parts?.known !== undefined
  const plan = new Plan(source, {
    capacity: Math.max(source.capacity, base === undefined ? 0 : target.capacity),
    chunkLength,
    align,
    zeros,
    base,
    start: options.journal?.start,
  })
  const threads = options.threads ?? (source.capacity <= smallDisk ? 0 : defaultThreads())
  await using pool = new TaskPool(threads, signal)
  const wanted = target.packedUnit === undefined ? Math.max(plainLanes, threads + 2) : 2 * threads + 2
  const lanes = lanesFor(wanted, chunkLength, source)
  const mover = new Mover(options, {
    unit: zeros ? 0 : base === undefined || known ? Math.max(sparse, target.grain) : target.grain,
    chunkLength,
    pool,
  })
  const slots = makeSlots(lanes, chunkLength + packingRoom(target.packedUnit), base !== undefined && !known)
  const sharing = !zeros && canShare(options) ? new Sharing(source) : undefined
  const next = (): Chunk | Shareable | undefined =>
    (sharing?.usable === true ? plan.nextShareable(sharing.unit) : undefined) ?? plan.next()
  // How much there is to do is known before the first of it is done, which may be all of it where blocks are shared.
  options.onProgress?.({ phase: 'copy', done: options.journal?.start ?? 0, total: source.capacity })
  if (options.journal !== undefined) mover.report(options.journal.start)
  await runLanes(
    lanes,
    next,
    async (item, lane, ticket) => {
      const slot = slots[lane]
      if (slot === undefined) throw new RangeError(`no buffer for lane ${lane}`)
      if ('content' in item) await mover.moveOrStop(item, slot, ticket, lane === 0)
      else await mover.share(item, slot, ticket, sharing)
    },
    signal,
  )
  mover.finish()
  return { bytesRead: mover.bytesRead, bytesWritten: mover.bytesWritten }
}

/** Bytes of a chunk, and what it is to be a multiple of. */
function chunksOf({ source, target, digests, parts }: CopyOptions): { chunkLength: number; align: number } {
  const block = digests === undefined && parts === undefined ? 0 : blockLength
  const align = Math.max(target.grain, 65536, target.packedUnit?.length ?? 0, block)
  const isDisk = target.isPastCache === true || isReadPastCache(source)
  const least = parts !== undefined || isDisk ? diskChunk : mebibyte
  return { chunkLength: chunkLengthFor(source, Math.max(least, align), align), align }
}

/** What is shared is not seen, and a disk's bad sectors are not shared. */
function canShare({ share, base, target, digests, parts, content, salvage, journal }: CopyOptions): boolean {
  const seen = [digests, parts, content, salvage].some((taker) => taker !== undefined)
  // What is gone on with must not depend on whether blocks could be shared the first time.
  return share !== false && base === undefined && !seen && target.packedUnit === undefined && journal === undefined
}

/** @param bytes of the chunk that are the source's. */
function chunkParts(parts: PartDigests, offset: number, bytes: number): ChunkParts {
  const { length, tags } = parts
  const count = Math.ceil(bytes / length)
  return {
    bytes,
    length,
    known: parts.known?.(offset, count),
    tags: tags === undefined ? undefined : { key: tags.key, offset, known: tags.known?.(offset, count) },
  }
}

/** What compressed units take at most beyond their chunk, in bytes, where they may get longer. */
export function packingRoom(packing: Packing | undefined): number {
  return packing?.always === true ? 65536 : 0
}

/** How a chunk is moved. */
interface Moving {
  /** Whether this thread may read and write it itself: for one of the lanes, so that others go on. */
  readonly here: boolean
  /** Where it is compressed in its place: its place among what is given to what takes the content. */
  readonly giving?: ContentPlace
}

class Mover {
  bytesRead = 0
  bytesWritten = 0
  readonly #options: CopyOptions
  readonly #unit: number
  readonly #chunkLength: number
  readonly #pool: TaskPool
  readonly #growth = new Growth()
  readonly #inline = new Inline()
  readonly #buffers = new UnitBuffers()
  readonly #content: ContentOrder | undefined
  #done = 0
  /** Where the first bytes of the last chunk went. */
  #first: Placement | undefined

  constructor(options: CopyOptions, how: { unit: number; chunkLength: number; pool: TaskPool }) {
    this.#options = options
    this.#content = options.content === undefined ? undefined : new ContentOrder(options.content)
    this.#unit = how.unit
    this.#chunkLength = how.chunkLength
    this.#pool = how.pool
  }

  /** The same; a failure keeps nobody waiting for room in the journal. */
  async moveOrStop(chunk: Chunk, slot: Slot, ticket: Ticket, here: boolean): Promise<void> {
    const giving = this.#options.target.packedUnit === undefined ? undefined : this.#content?.place()
    try {
      await this.move(chunk, slot, ticket, { here, giving })
    } catch (error) {
      this.#options.journal?.stop()
      throw error
    } finally {
      giving?.end()
    }
  }

  async move(chunk: Chunk, slot: Slot, ticket: Ticket, { here, giving }: Moving): Promise<void> {
    const { source, base, digests } = this.#options
    const wait = this.#admit(chunk.length)
    if (wait !== undefined) await wait
    if (here && (await this.#movedHere(chunk, slot, ticket))) return
    const { parts } = this.#options
    const below =
      chunk.base === undefined || base === undefined || parts?.known !== undefined
        ? undefined
        : await prefill(chunk.base, base, chunk.offset, slot.bytes.subarray(slot.half))
    const task = (content: TaskContent): Task => this.#task(chunk, content, below)
    const result =
      giving === undefined
        ? await this.#scanned(chunk, slot, task, source)
        : await this.#pool.run(task(await fillAndGive(chunk, source, slot, this.#pool, giving, this.#options)), slot)
    await ticket.turn
    if (giving === undefined) this.#content?.add(chunk.offset, slot.bytes.subarray(0, chunk.length))
    digests?.add(chunk.offset, this.#own(chunk), result.digests ?? [])
    if (result.parts !== undefined) parts?.take(chunk.offset, result.parts, result.tags)
    const writes = this.#place(chunk, result.runs)
    const placed = this.#noted(chunk, result.runs, result)
    ticket.done()
    await writeAll(writes, slot.bytes)
    if (placed !== undefined) this.#options.journal?.written(placed)
    this.bytesRead += chunk.length
    this.report(chunk.next)
  }

  #task(chunk: Chunk, { pieces, present }: TaskContent, base: TaskContent | undefined): Task {
    const { target, digests, parts } = this.#options
    const own = this.#own(chunk)
    // The last chunk is padded with zeros to the target's unit: a format may round the disk up.
    const length = Math.min(
      roundUp(chunk.length, Math.max(target.grain, target.packedUnit?.length ?? 1)),
      target.capacity - chunk.offset,
    )
    return {
      mode: 'scan',
      unit: this.#unit,
      length,
      pieces,
      present,
      base,
      packing: target.packedUnit,
      digests: digests?.ranges(chunk.offset, own),
      parts: parts === undefined || own === 0 ? undefined : chunkParts(parts, chunk.offset, own),
    }
  }

  /** Bytes of a chunk that are the source's: a format may round the disk up, and a parent may be longer. */
  #own({ offset, length }: Chunk): number {
    return Math.max(0, Math.min(length, this.#options.source.capacity - offset))
  }

  /** Moves a chunk by this thread, where that is the quickest way; false where it is not, and nothing was done. */
  async #movedHere(chunk: Chunk, slot: Slot, ticket: Ticket): Promise<boolean> {
    const { content, base } = chunk
    if (this.#options.salvage !== undefined || this.#options.parts !== undefined) return false
    if (content.local.length > 0 || (base?.local.length ?? 0) > 0) return false
    const task = this.#task(
      chunk,
      { pieces: content.pieces, present: [] },
      base === undefined ? undefined : { pieces: base.pieces, present: [] },
    )
    if (isHeavy(task) || !this.#inline.takesNext()) return false
    const start = milliseconds()
    const result = runTaskSync(task, slot.bytes, slot.half, this.#buffers)
    const took = milliseconds() - start
    if (!ticket.isTurn()) await ticket.turn
    this.#content?.add(chunk.offset, slot.bytes.subarray(0, chunk.length))
    const now = milliseconds()
    const writes = this.#place(chunk, result.runs)
    const placed = this.#noted(chunk, result.runs, result)
    ticket.done()
    const behind = writeNow(writes, slot.bytes)
    this.#inline.took(took + milliseconds() - now, chunk.length)
    this.bytesRead += chunk.length
    this.report(chunk.next)
    if (behind !== undefined) await behind
    if (placed !== undefined) this.#options.journal?.written(placed)
    // Others have the thread: what the pool has read or written, signals, progress.
    await nextTurn()
    return true
  }

  async #scanned(
    chunk: Chunk,
    slot: Slot,
    task: (content: TaskContent) => Task,
    source: BlockSource,
  ): Promise<TaskResult> {
    try {
      return await this.#pool.run(task(await prefill(chunk.content, source, chunk.offset, slot.bytes)), slot)
    } catch (error) {
      const length = await salvaged(error, chunk.offset, slot.bytes.subarray(0, chunk.length), this.#options)
      return await this.#pool.run(task({ pieces: [], present: [{ at: 0, length }] }), slot)
    }
  }

  /** Shares a run of the source's blocks; copies it, chunk by chunk, where the filesystem refuses. */
  async share(run: Shareable, slot: Slot, ticket: Ticket, sharing: Sharing | undefined): Promise<void> {
    // Sharing moves no bytes; a copy instead of it does.
    const wait = sharing?.usable === true ? undefined : this.#admit(run.length)
    if (wait !== undefined) await wait
    await ticket.turn
    let done = 0
    while (done < run.length) {
      const placed = this.#options.target.place(run.offset + done, run.length - done)
      if (sharing?.share(run.store, run.position + done, placed.length, placed.store, placed.position) !== true) {
        await this.#copyPlaced(run, done, placed, slot)
      } else placed.store.grown?.(placed.position + placed.length)
      done += placed.length
      this.bytesWritten += placed.length
      this.report(run.offset + done)
    }
    ticket.done()
    this.bytesRead += run.length
  }

  async #copyPlaced(
    run: Shareable,
    start: number,
    placed: { store: ByteStore; position: number; length: number },
    slot: Slot,
  ): Promise<void> {
    for (let done = 0; done < placed.length; done += this.#chunkLength) {
      const length = Math.min(this.#chunkLength, placed.length - done)
      const bytes = slot.bytes.subarray(0, length)
      run.store.read(run.position + start + done, bytes)
      await writeAll([{ store: placed.store, position: placed.position + done, at: 0, length }], bytes)
    }
  }

  finish(): void {
    this.#growth.finish()
    this.#content?.finish(this.#options.source.capacity)
    this.report(this.#options.source.capacity)
  }

  #place({ offset, ahead }: Chunk, runs: readonly ScannedRun[]): Write[] {
    const writes: Write[] = []
    this.#first = placeRuns(this.#options.target, offset, runs, (store, position, at, length, run) => {
      if (run.kind === 'packed') this.#add(writes, store, position, run.storedAt, length, 0)
      else this.#add(writes, store, position, at, length, ahead - at)
    })
    return writes
  }

  /** What is to be waited for before more of the disk is moved. */
  #admit(length: number): Promise<void> | undefined {
    const { journal, rate, signal } = this.#options
    const room = journal?.room(length)
    const paid = rate?.take(length, signal)
    if (room === undefined) return paid
    return paid === undefined ? room : Promise.all([room, paid]).then(() => undefined)
  }

  /** The chunk as the journal has it; undefined where there is none. */
  #noted(
    { offset, length, next }: Pick<Chunk, 'offset' | 'length' | 'next'>,
    runs: readonly ScannedRun[],
    { digests, parts }: Pick<TaskResult, 'digests' | 'parts'>,
  ): PlacedChunk | undefined {
    const { journal } = this.#options
    if (journal === undefined) return undefined
    const placed: PlacedChunk = { offset, length, next, runs, digests, parts, first: this.#first }
    journal.placed(placed)
    return placed
  }

  #add(writes: Write[], store: ByteStore, position: number, at: number, length: number, ahead: number): void {
    this.#growth.before(store, position, length, Math.max(0, ahead - length))
    addWrite(writes, { store, position, at, length })
    this.bytesWritten += length
  }

  /** Says up to which offset the disk is dealt with. */
  report(offset: number): void {
    if (offset <= this.#done) return
    this.#done = offset
    this.#options.onProgress?.({
      phase: 'copy',
      done: Math.min(offset, this.#options.source.capacity),
      total: this.#options.source.capacity,
    })
  }
}
