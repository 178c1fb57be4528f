import { isZero } from '../../binary/zero.js'
import type { ByteRange } from '../../block/file-range.js'
import type { FileStore } from '../../block/file-store.js'
import { createScratchStore } from '../../block/scratch-store.js'
import { ReadOnlyStore } from '../../block/read-only-store.js'
import type { ByteStore } from '../../block/types.js'
import type { Work, WorkProgress } from '../../block/work.js'
import { corrupt, printable, type Label } from '../../errors.js'
import { ForwardMiss } from './forward-miss.js'
import { DecodeThread, slotLength, type DecodeRequest } from './thread.js'
import { ZstdInPool } from './zstd-in-pool.js'

/** Bytes at both ends of the content that are kept: tables of partitions and the headers of formats are there. */
const keptLength = 1048576
/** Bytes of other places that are kept. */
const mostKept = 64 * 1024 * 1024
/** As often the stream is decoded again because somebody goes back; then it is unpacked once and for all. */
const mostRestarts = { usual: 2, keeping: 6 } as const
/** Content that was read before the disk is read in order is kept in pages of this many bytes, and so many of them. */
const pageLength = 65536
const mostPages = 512
/** Zeros of this many bytes are not written to a scratch file. */
const zeroUnit = 65536
/** Reads of so many bytes are decoded into the memory of their caller. */
const leastDirect = 262144
const noBytes = new Uint8Array(0)

export interface ForwardOptions {
  readonly name: string
  readonly request: DecodeRequest
  /**
   * Bytes of the content; undefined where only decoding shows it: {@link ForwardStore.survey} comes first then, or all
   * of it is taken by {@link ForwardStore.fetchUpTo}.
   */
  readonly size?: number
  /** Whether the size is a guess, and another one is no damage. */
  readonly guessed?: boolean
  /** What holds the compressed bytes; closed together with this. */
  readonly below: Disposable & Pick<ByteStore, 'changed'>
  /** Where the content is unpacked if it is read at random places. */
  readonly scratchFolder: string
  /**
   * Which places besides both ends a survey keeps, since they are read before everything else: asked when the first
   * mebibyte of the content is there.
   */
  readonly keep?: (head: Uint8Array, size: number | undefined) => readonly ByteRange[]
}

/**
 * The content of a compressed stream, decoded while it is read, from its start to its end, and not kept. Reading
 * backwards works too: the stream is decoded again, and unpacked into a scratch file when that happens often. What was
 * read is only right when {@link ForwardStore.changed} was asked at the end: it reads up to the end of the stream.
 */
export class ForwardStore extends ReadOnlyStore {
  readonly name: Label
  readonly #options: ForwardOptions
  readonly #head: Uint8Array
  readonly #tail: Uint8Array
  #size: number
  #guessed: boolean
  #decoder: DecodeThread | ZstdInPool | undefined
  /** The piece that was decoded last, and where it stands. */
  #piece: Uint8Array = noBytes
  #start = 0
  /** Memory for pieces that are no caller's. */
  #own: Uint8Array | undefined
  /** Up to where the stream was decoded at any time. */
  #reached = 0
  /** Whether its end was reached without an error. */
  #whole = false
  #restarts = -1
  #scratch: FileStore | undefined
  #fetching: Promise<void> = Promise.resolve()
  readonly #pages = new Map<number, Uint8Array>()
  /** Places that a survey keeps, in order. */
  #kept: KeptRange[] = []
  /** Looks at both ends when they are there. @throws ForwardMiss where they say that it is read in the wrong way. */
  judge: ((head: Uint8Array, tail: Uint8Array) => void) | undefined

  constructor(options: ForwardOptions) {
    super()
    this.#options = options
    this.name = printable(options.name)
    this.#size = options.size ?? Infinity
    this.#guessed = options.guessed === true
    this.#head = new Uint8Array(Math.min(keptLength, this.#size))
    this.#tail = new Uint8Array(Math.min(keptLength, this.#size))
  }

  get size(): number {
    return this.#size
  }

  /** How many compressed bytes there are, and how many of them were read. */
  get progress(): WorkProgress {
    const { start, end } = this.#options.request
    return { done: Math.max(0, (this.#decoder?.position ?? end) - start), total: end - start }
  }

  /** Whether it was unpacked after all. */
  get isUnpacked(): boolean {
    return this.#scratch !== undefined
  }

  /** The last bytes, when the stream was decoded up to its end. */
  get tail(): Uint8Array {
    return this.#tail.subarray(0, Math.min(keptLength, this.#size))
  }

  /** Decodes everything once: afterwards the size is known, and that nothing is damaged. */
  *survey(): Work<void> {
    this.#restart()
    const last: Uint8Array[] = []
    let asked = false
    while (this.#advance(this.#take())) {
      if (!asked && this.#reached >= this.#head.length) {
        asked = true
        this.#kept = keptRanges(this.#options.keep?.(this.#head, this.#options.size) ?? [], this.#size)
      }
      for (const kept of this.#kept) kept.take(this.#start, this.#piece)
      // The end is not known yet: the last two pieces hold what is kept of it.
      if (this.#options.size === undefined) last.push(Uint8Array.from(this.#piece))
      if (last.length > 2) last.shift()
      yield this.progress
    }
    if (this.#options.size === undefined) {
      const ends = Buffer.concat(last)
      this.#tail.set(ends.subarray(Math.max(0, ends.length - Math.min(keptLength, this.#size))))
    }
    this.#kept = this.#kept.filter((kept) => kept.isWhole)
    this.#guessed = false
  }

  read(position: number, target: Uint8Array): void {
    this.#assertInside(position, target)
    for (let done = 0; done < target.length;) {
      const count = this.#copy(position + done, target.subarray(done))
      if (count === 0) this.#next(this.#take())
      else if (this.#options.keep !== undefined) this.#keepPage(position + done)
      done += count
    }
  }

  /** One call after the other: they come in ascending order. */
  async fetch(position: number, target: Uint8Array): Promise<void> {
    this.#assertInside(position, target)
    const before = this.#fetching
    const fetched = this.#fetch(before, position, target)
    this.#fetching = fetched.catch(() => undefined)
    await fetched
  }

  /**
   * As {@link fetch}, where the size may not be known. @returns how many bytes of `target` were filled: fewer only
   * where the content ends. Its size is known then, and that nothing is damaged.
   */
  async fetchUpTo(position: number, target: Uint8Array): Promise<number> {
    if (this.#whole && position >= this.#size) return 0
    return await this.#fill(position, target)
  }

  /** @throws ImageError where the rest of the stream is damaged; ForwardMiss. */
  changed(): string | undefined {
    while (!this.#whole) {
      if (this.#decoder === undefined) this.#restart()
      this.#advance(this.#take())
    }
    return this.#options.below.changed?.()
  }

  /** Closes it without what is below. */
  stop(): void {
    this.#decoder?.[Symbol.dispose]()
    this.#scratch?.[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.stop()
    this.#options.below[Symbol.dispose]()
  }

  async #fetch(before: Promise<void>, position: number, target: Uint8Array): Promise<void> {
    await before
    if ((await this.#fill(position, target)) < target.length) throw this.#pastEnd()
    // Up to the end: who asks whether the rest of the stream is whole cannot wait for the pool.
    if (position + target.length === this.#size)
      while (!this.#whole && this.#decoder instanceof ZstdInPool) await this.#decodeOn(Infinity, noBytes)
  }

  /** @returns how many bytes of `target` there are. */
  async #fill(position: number, target: Uint8Array): Promise<number> {
    let done = 0
    while (done < target.length) {
      const rest = target.subarray(done)
      const count = this.#copy(position + done, rest) || (await this.#decodeOn(position + done, rest))
      if (count === undefined) break
      done += count
    }
    return done
  }

  /**
   * Decodes the next bytes, without keeping this thread waiting; those of `target`, which are at `position`, into it.
   * @returns how many bytes of `target` there are now; undefined at the end.
   */
  async #decodeOn(position: number, target: Uint8Array): Promise<number | undefined> {
    const decoder = this.#decoder
    if (decoder instanceof ZstdInPool) return await this.#decodeInto(decoder, position, target)
    const found = decoder?.poll()
    if (found !== 'wait') return this.#advance(found) ? 0 : undefined
    await decoder?.changed()
    return 0
  }

  async #decodeInto(decoder: ZstdInPool, position: number, target: Uint8Array): Promise<number | undefined> {
    const isNext = position === this.#start + this.#piece.length && target.length >= leastDirect
    const place = isNext ? target : (this.#own ??= new Uint8Array(slotLength))
    // What is there may lie in the memory that is written now.
    this.#passPiece()
    const count = await decoder.into(place)
    // Somebody may have begun anew meanwhile.
    if (decoder !== this.#decoder) return 0
    if (!this.#advance(count === 0 ? undefined : place.subarray(0, count))) return undefined
    if (!isNext) return 0
    // The memory is the caller's.
    this.#passPiece()
    return count
  }

  #passPiece(): void {
    this.#start += this.#piece.length
    this.#piece = noBytes
  }

  /** Copies what is there of a range; 0 bytes: it is further on, and the thread decodes towards it. */
  #copy(position: number, target: Uint8Array): number {
    const from = (bytes: Uint8Array, start: number): number => {
      const part = bytes.subarray(position - start, position - start + target.length)
      target.set(part)
      return part.length
    }
    if (this.#scratch !== undefined) {
      this.#scratch.read(position, target)
      return target.length
    }
    const inPiece = position >= this.#start && position < this.#start + this.#piece.length
    if (inPiece) return from(this.#piece, this.#start)
    if (this.#reached >= this.#head.length && position < this.#head.length) return from(this.#head, 0)
    const tailStart = this.#size - this.tail.length
    if (this.#whole && position >= tailStart) return from(this.tail, tailStart)
    const kept = this.#kept.find((range) => range.start <= position && position < range.end)
    if (kept !== undefined) return from(kept.bytes, kept.start)
    const pageStart = position - (position % pageLength)
    const page = this.#pages.get(pageStart)
    if (page !== undefined) return from(page, pageStart)
    if (this.#decoder === undefined || position < this.#start) this.#goBack()
    return this.isUnpacked ? this.#copy(position, target) : 0
  }

  /** The page that holds an offset, where all of it is at hand: looking there again costs nothing then. */
  #keepPage(offset: number): void {
    const start = offset - (offset % pageLength)
    const at = start - this.#start
    if (at < 0 || at + pageLength > this.#piece.length || this.#pages.has(start)) return
    if (this.#pages.size < mostPages) this.#pages.set(start, Uint8Array.from(this.#piece.subarray(at, at + pageLength)))
  }

  #goBack(): void {
    const most = this.#options.keep === undefined ? mostRestarts.usual : mostRestarts.keeping
    if (this.#restarts < most) this.#restart()
    else this.#unpack()
  }

  #restart(): void {
    const { request } = this.#options
    const isBusy = this.#decoder instanceof ZstdInPool && this.#decoder.isBusy
    this.#decoder?.[Symbol.dispose]()
    // A pool that is busy still writes; and a thread can be waited for.
    if (isBusy) this.#own = undefined
    this.#decoder = (isBusy ? undefined : ZstdInPool.open(request)) ?? new DecodeThread(request)
    this.#piece = noBytes
    this.#start = 0
    this.#restarts++
  }

  #unpack(): void {
    const scratch = createScratchStore(this.#options.scratchFolder)
    try {
      this.#restart()
      while (this.#advance(this.#take())) writeSparse(scratch, this.#start, this.#piece)
      scratch.truncate(this.#size)
    } catch (error) {
      scratch[Symbol.dispose]()
      throw error
    }
    this.#scratch = scratch
  }

  /** Waits for the next piece, keeping this thread waiting. */
  #take(): Uint8Array | undefined {
    // What the pool is doing cannot be waited for here.
    if (this.#decoder instanceof ZstdInPool && this.#decoder.isBusy) this.#restart()
    return this.#decoder?.next()
  }

  #next(piece: Uint8Array | undefined): void {
    if (!this.#advance(piece)) throw this.#pastEnd()
  }

  #pastEnd(): RangeError {
    return new RangeError(`${this.name} was read past its end`)
  }

  /** Goes on to the next piece; false at the end. */
  #advance(piece: Uint8Array | undefined): boolean {
    const start = this.#start + this.#piece.length
    if (piece === undefined) {
      this.#ended(start)
      return false
    }
    this.#start = start
    this.#piece = piece
    const end = start + piece.length
    if (start < this.#head.length) this.#head.set(piece.subarray(0, this.#head.length - start), start)
    const tailStart = this.#size - this.#tail.length
    if (end > tailStart && end <= this.#size) {
      const from = Math.max(start, tailStart)
      this.#tail.set(piece.subarray(from - start), from - tailStart)
    }
    this.#reached = Math.max(this.#reached, end)
    return true
  }

  #ended(size: number): void {
    this.#decoder?.[Symbol.dispose]()
    this.#decoder = undefined
    this.#piece = noBytes
    this.#start = size
    if (this.#size === Infinity) this.#size = size
    else if (size !== this.#size) {
      if (this.#guessed)
        throw new ForwardMiss(`${this.name} has ${size} bytes, not ${this.#size}`, this.#options.name, size)
      throw corrupt('E_COMPRESSED', `${this.name} has ${size} bytes of content, and says that it has ${this.#size}`, {
        hint: 'Copy or download it again.',
      })
    }
    this.#whole = true
    this.judge?.(this.#head.subarray(0, Math.min(keptLength, size)), this.tail)
  }

  #assertInside(position: number, { length }: Uint8Array): void {
    if (position < 0 || position + length > this.#size)
      throw new RangeError(`${length} bytes at ${position} of ${this.name}, which has ${this.#size}`)
  }
}

/** A range of the content that is kept while it goes by. */
class KeptRange implements ByteRange {
  readonly bytes: Uint8Array
  #filled = 0

  constructor(
    readonly start: number,
    readonly end: number,
  ) {
    this.bytes = new Uint8Array(end - start)
  }

  get isWhole(): boolean {
    return this.#filled === this.bytes.length
  }

  take(offset: number, piece: Uint8Array): void {
    const from = Math.max(offset, this.start)
    const to = Math.min(offset + piece.length, this.end)
    if (to <= from) return
    this.bytes.set(piece.subarray(from - offset, to - offset), from - this.start)
    this.#filled += to - from
  }
}

/** Those inside the content and behind its head, as far as there is room for them. */
function keptRanges(ranges: readonly ByteRange[], size: number): KeptRange[] {
  const kept: KeptRange[] = []
  let room = mostKept
  for (const { start, end } of ranges) {
    const from = Math.max(start, keptLength)
    const to = Math.min(end, size)
    if (to <= from || to - from > room) continue
    kept.push(new KeptRange(from, to))
    room -= to - from
  }
  return kept
}

/** Writes what is not zero: zeros stay holes. */
export function writeSparse(store: FileStore, position: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += zeroUnit) {
    const piece = bytes.subarray(at, at + zeroUnit)
    if (!isZero(piece)) store.write(position + at, piece)
  }
}
