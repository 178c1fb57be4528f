import { noRuns, runAt } from '../block/alternating-runs.js'
import { ReadOnlyStore } from '../block/read-only-store.js'
import { BlocksAhead } from '../block/blocks-ahead.js'
import type { FarPort } from '../block/far-port.js'
import { KeptPages, pageLength } from '../block/kept-pages.js'
import type { ByteStore, Note } from '../block/types.js'
import { assertWithin } from '../block/within.js'
import { takenApart, type ImageError, type Label } from '../errors.js'
import { ThreadCalls } from '../sys/thread-calls.js'
import type { FarAnswer, FarRequest } from './far-thread.js'

/** Room for an answer of the thread, in bytes: an error, or what is known of the file. */
const answerLength = 65536
/** Small reads (tables) are kept, in so many pages. */
const mostPages = 512
/** Pages that are read together. The first reads find the tables of an image, which lie together. */
const wideRead = 16
const narrowRead = 2
const wideReads = 8
/** Reads of at least this many bytes are not kept: they are data. */
const largeRead = 16 * pageLength
/** What one wait for data brings, in bytes. */
const bounceLength = 4 * 1024 * 1024
/** Reads one after the other are read ahead once so many bytes were read so. */
const steadyLength = 1024 * 1024
/** Bytes of data that are fetched at once: 400 MB/s over a line of 100 ms take as many. */
const underWay = 40 * 1024 * 1024
/** How long a thread may take to close what it has open, in milliseconds. */
const longestClose = 10_000
/** A gap that a reader who goes forward may leave out, in bytes. */
const smallGap = 262144

export interface FarStoreOptions {
  readonly name: Label
  /** The thread's program, which calls `answerFar`; and what it is started with. */
  readonly program: URL
  readonly data: object
  /** Bytes of the file's beginning that are read at once. */
  readonly headLength: number
  /** How long an answer may take, in milliseconds; and the first, where it is given longer. */
  readonly longest: number
  readonly longestStart?: number
  /** The error where none comes. */
  readonly silent: () => ImageError
}

/**
 * A file of another computer as host bytes. Its connections live in a thread of their own: who calls `read` waits for
 * the thread, who calls `fetch` need not. Small reads are kept, and a reader who goes forward is read ahead of.
 */
export class FarStore extends ReadOnlyStore {
  readonly name: Label
  readonly size: number
  readonly notes: readonly Note[]
  /** Which of several disks in it is meant, where opening it showed that. */
  readonly member: string | undefined
  /** What it says of itself: the record of an image. */
  readonly note: string | undefined
  readonly underWay: number
  readonly holeAt?: ByteStore['holeAt']
  readonly changed?: ByteStore['changed']
  readonly #thread: ThreadCalls<FarRequest, FarAnswer>
  #isToBeClosed: boolean
  readonly #longest: number
  readonly #silent: () => ImageError
  readonly #pages = new KeptPages(mostPages)
  readonly #ahead: BlocksAhead
  #misses = 0
  #fetches = false
  #bounce: SharedArrayBuffer | undefined
  /** Where a reader who goes forward would go on, and how far it has come. */
  #next = -1
  #steady = 0
  #runs = noRuns

  /**
   * Connects, and waits until it is known how large the file is.
   * @throws ImageError what the thread throws while it opens; `silent`.
   */
  constructor({ name, program, data, headLength, longest, longestStart = longest, silent }: FarStoreOptions) {
    super()
    this.name = name
    this.#longest = longest
    this.#silent = silent
    const head = new SharedArrayBuffer(headLength)
    this.#thread = new ThreadCalls(program, { ...data, head }, { name, answerLength, silent, takesLists: true })
    const { facts } = this.#thread.started(longestStart)
    if (facts === undefined) throw new Error(`${name}: the thread did not describe the file`)
    this.size = facts.size
    this.underWay = facts.underWay ?? underWay
    this.#isToBeClosed = facts.isToBeClosed === true
    this.notes = facts.notes
    this.member = facts.member
    this.note = facts.note
    if (facts.knowsHoles === true) this.holeAt = (position, limit) => this.#holeAt(position, limit)
    if (facts.knowsChange === true) this.changed = () => this.#thread.call({ kind: 'changed' }, this.#longest).changed
    this.#pages.keep(0, new Uint8Array(head, 0, facts.headLength))
    this.#ahead = new BlocksAhead({
      end: this.size,
      longest,
      silent,
      send: (read) => this.#thread.send(read),
      kept: this.#pages,
    })
  }

  openPort(start: number, end: number): FarPort {
    const { port1: port, port2 } = new MessageChannel()
    this.#thread.send({ kind: 'port', port: port2 }, 0, [port2])
    const pages = this.#pages.within(start, end)
    return { port, pages, longest: this.#longest, silent: takenApart(this.#silent()) }
  }

  read(position: number, target: Uint8Array): void {
    assertWithin(this, position, target.length)
    this.#follow(position, target.length)
    for (let done = 0; done < target.length;) done += this.#readSome(position + done, target.subarray(done))
  }

  async fetch(position: number, target: Uint8Array): Promise<void> {
    const { buffer, byteOffset, length } = target
    assertWithin(this, position, length)
    if (!(buffer instanceof SharedArrayBuffer)) {
      this.read(position, target)
      return
    }
    this.#fetches = true
    // What was read for the tables is not read again.
    let done = 0
    for (let count = -1; count !== 0 && done < length; done += count)
      count = this.#pages.copy(position + done, target.subarray(done))
    let end = length
    while (end > done) {
      const start = Math.max(done, Math.floor((position + end - 1) / pageLength) * pageLength - position)
      if (this.#pages.copy(position + start, target.subarray(start, end)) < end - start) break
      end = start
    }
    if (done < end)
      await this.#thread.ask({
        kind: 'read',
        offset: position + done,
        length: end - done,
        buffer,
        start: byteOffset + done,
      })
  }

  [Symbol.dispose](): void {
    try {
      if (this.#isToBeClosed) this.#thread.call({ kind: 'close' }, longestClose)
    } finally {
      this.#isToBeClosed = false
      this.#thread.terminate()
    }
  }

  /** @returns how many bytes it read, at least one. */
  #readSome(position: number, target: Uint8Array): number {
    const kept = this.#pages.copy(position, target)
    if (kept > 0) return kept
    if (this.#steady >= steadyLength) return this.#readAhead(position, target)
    if (target.length >= largeRead) {
      const length = Math.min(target.length, bounceLength)
      target.set(this.#call(position, length))
      return length
    }
    this.#readPages(position)
    return this.#pages.copy(position, target)
  }

  /**
   * Reads the page of a position, and those beside it that are not kept: a wide stretch while tables are looked for,
   * and what lies ahead only once data is read, which lies there too and is read by itself.
   */
  #readPages(position: number): void {
    const wanted = Math.floor(position / pageLength)
    const wide = !this.#fetches && this.#misses++ < wideReads
    let first = wanted
    let last = wanted
    if (wide) while (first % wideRead !== 0 && !this.#pages.has(first - 1)) first--
    const end = wide ? Math.ceil((wanted + 1) / wideRead) * wideRead : wanted + narrowRead
    while (last + 1 < end && !this.#pages.has(last + 1)) last++
    const start = first * pageLength
    this.#pages.keep(first, this.#call(start, Math.min((last + 1) * pageLength, this.size) - start))
  }

  /** Notices a reader who goes forward, as one that decodes a stream does. */
  #follow(position: number, length: number): void {
    const gap = position - this.#next
    this.#steady = gap >= 0 && gap <= smallGap ? this.#steady + gap + length : length
    if (this.#steady < steadyLength) this.#ahead.clear()
    this.#next = position + length
  }

  #readAhead(position: number, target: Uint8Array): number {
    const { count } = this.#ahead.take(position, target)
    if (count > 0) return count
    // What could not be read is asked for again, to learn why.
    const length = Math.min(target.length, bounceLength)
    target.set(this.#call(position, length))
    return length
  }

  /** Has the thread read a range, and waits for it; the result holds until the next call. */
  #call(offset: number, length: number): Uint8Array {
    this.#bounce ??= new SharedArrayBuffer(bounceLength)
    this.#thread.call({ kind: 'read', offset, length, buffer: this.#bounce, start: 0 }, this.#longest)
    return new Uint8Array(this.#bounce, 0, length)
  }

  #holeAt(position: number, limit: number): { readonly hole: boolean; readonly length: number } {
    const known = runAt(this.#runs, position, limit)
    if (known !== undefined) return known
    const { runs = [] } = this.#thread.call({ kind: 'runs', offset: position }, this.#longest)
    this.#runs = { start: position, lengths: runs }
    return runAt(this.#runs, position, limit) ?? { hole: false, length: limit }
  }
}
