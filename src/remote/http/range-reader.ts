import type { IncomingMessage } from 'node:http'
import type { Note } from '../../block/types.js'
import { createScratchStore } from '../../block/scratch-store.js'
import { corrupt, printable, unsupported, type Label } from '../../errors.js'
import { milliseconds } from '../../sys/clock.js'
import { temporaryFolder } from '../../sys/self.js'
import type { HttpAddress, Signer } from './address.js'
import type { FarFacts, FarReader } from '../far-thread.js'
import { noteOf, recordMark } from '../image-note.js'
import { headLength, type ReaderOptions } from './reader-options.js'
import { firstBehind, type StoredRun } from './stored-runs.js'
import { DirectRanges } from './direct-ranges.js'
import {
  contentRange,
  encodingOf,
  isOtherVersion,
  sizeOfUnsatisfied,
  versionMarks,
  versionOf,
  type FileVersion,
  type VersionMarks,
} from './answer.js'
import { longestRequest, RangeQueue, type WantedRange } from './range-queue.js'
import { again, fill, PassingFailure, pieces, Requester, scatter, type FollowedAddress } from './request.js'

/** As many runs as an answer has room for. */
const mostRuns = 2048

/** How long connecting and the first answer take over a long line, in milliseconds; and what is under way then. */
const longDelay = 60
const farUnderWay = 72 * 1024 * 1024
/**
 * Ranges from this length on are asked for past Node's http, in bytes. What is urgent is not: its connection is there,
 * and has the window of one that was used.
 */
const leastDirect = 256 * 1024

type ScratchStore = ReturnType<typeof createScratchStore>

/**
 * A file of a web server, read by ranges (RFC 9110, section 14). Each request names the version of the file that was
 * met first, and each answer is compared with it: a file that changes is an error, never a mixture of two. A server
 * without ranges is asked for all of it once, into a scratch file.
 */
export class RangeReader implements FarReader, Disposable {
  readonly facts: FarFacts
  /** What of it was written, in order, where the server says so; the rest is zero, and is not asked for. */
  readonly stored: readonly StoredRun[] | undefined
  readonly #requester: Requester
  #at: FollowedAddress
  readonly #version: FileVersion | undefined
  /** What the first answer says of the version. */
  readonly #marks: VersionMarks
  readonly #scratch: ScratchStore | undefined
  readonly #queue: RangeQueue
  readonly #direct: DirectRanges
  #resolving: Promise<void> | undefined

  /** See {@link RangeReader.open}. */
  constructor(
    requester: Requester,
    found: {
      readonly at: FollowedAddress
      readonly facts: FarFacts
      readonly version?: FileVersion
      readonly marks?: VersionMarks
      readonly scratch?: ScratchStore
      readonly stored?: readonly StoredRun[]
    },
  ) {
    this.#requester = requester
    const { underWay = 0 } = found.facts
    // Over a long line a second request goes out while the first is answered.
    const each = underWay > 0 && requester.connections > 1 ? 2 : 1
    this.#queue = new RangeQueue(each * requester.connections, (ranges) => this.#ask(ranges))
    this.#direct = new DirectRanges(requester.milliseconds, requester.connections)
    this.#at = found.at
    this.facts = found.facts
    this.#version = found.version
    this.#marks = found.marks ?? {}
    this.#scratch = found.scratch
    this.stored = found.stored
  }

  /**
   * Asks for the beginning of the file; the answer shows whether the server knows ranges.
   * @param head gets the beginning; {@link headLength} bytes.
   * @throws ImageError usage E_HTTP_CONNECT, E_HTTP_STATUS, E_HTTP_REDIRECT, E_NOT_FOUND, E_PERMISSION; corrupt
   * E_HTTP_PROTOCOL, E_READ; unsupported E_HTTP_ENCODING; target, where a scratch file cannot be written.
   */
  static async open(
    address: HttpAddress,
    head: Uint8Array,
    options: ReaderOptions & { readonly signer?: Signer },
  ): Promise<RangeReader> {
    const requester = new Requester(address, options)
    const { label } = address
    try {
      return await again(label, { isFirst: true }, async () => {
        const headers = { Range: `bytes=0-${headLength - 1}` }
        const start = milliseconds()
        const { answer, at } = await requester.follow(requester.start, headers)
        const isFar = milliseconds() - start >= longDelay
        refuseEncoded(answer, label)
        if (answer.statusCode === 206) return await openByRanges(requester, at, answer, { head, isFar })
        if (answer.statusCode === 200) return await openWhole(requester, at, answer)
        if (answer.statusCode === 416) return await openWithoutRange(requester, answer)
        return await requester.refuse(answer)
      })
    } catch (error) {
      requester[Symbol.dispose]()
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.#scratch?.[Symbol.dispose]()
    this.#direct.close()
    this.#requester[Symbol.dispose]()
  }

  /**
   * Fills `target` whole, by several requests at once where it is long.
   * @param isUrgent it goes before what others wait for.
   * @throws ImageError corrupt E_SOURCE_CHANGED, E_READ, E_HTTP_PROTOCOL; usage, as the server refuses it.
   */
  async read(offset: number, target: Uint8Array, isUrgent = false): Promise<void> {
    if (this.#scratch !== undefined) {
      this.#scratch.read(offset, target)
      return
    }
    const all: Promise<void>[] = []
    for (const { start, end } of this.#storedIn(offset, target))
      for (let at = start; at < end; at += longestRequest) {
        const piece = target.subarray(at - offset, Math.min(at + longestRequest, end) - offset)
        all.push(this.#piece(at, piece, isUrgent))
      }
    // Nothing may still write into the memory when one has failed.
    for (const result of await Promise.allSettled(all)) if (result.status === 'rejected') throw result.reason
  }

  runs(offset: number): Promise<readonly number[]> {
    const { stored = [], facts } = this
    const first = firstBehind(stored, offset)
    const lengths = [0]
    let end = offset
    for (const run of stored.slice(first, first + mostRuns)) {
      // The first may begin before the offset.
      const start = Math.max(run.start, end)
      if (start > end) lengths.push(start - end, 0)
      lengths[lengths.length - 1] = (lengths.at(-1) ?? 0) + run.end - start
      ;({ end } = run)
    }
    const next = stored[first + mostRuns]?.start ?? facts.size
    if (next > end) lengths.push(next - end)
    return Promise.resolve(lengths)
  }

  /** What is to be asked for; the rest of `target` becomes zero. */
  #storedIn(offset: number, target: Uint8Array): StoredRun[] {
    const end = offset + target.length
    if (this.stored === undefined) return [{ start: offset, end }]
    target.fill(0)
    const found: StoredRun[] = []
    for (let index = firstBehind(this.stored, offset); ; index++) {
      const run = this.stored[index]
      if (run === undefined || run.start >= end) return found
      found.push({ start: Math.max(run.start, offset), end: Math.min(run.end, end) })
    }
  }

  #piece(offset: number, target: Uint8Array, isUrgent: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        if (error === undefined) resolve()
        else reject(error)
      }
      this.#queue.add({ offset, target, isUrgent, settle })
    })
  }

  /** Asks for ranges that lie one behind the other; each is settled as soon as it is there. */
  async #ask(ranges: readonly WantedRange[]): Promise<void> {
    const left = [...ranges]
    try {
      await this.#request(left)
    } catch (error) {
      for (const { settle } of left) settle(error as Error)
    }
  }

  /** @param left loses what has come: what fails is asked for again from there on. */
  async #request(left: WantedRange[]): Promise<void> {
    const { label } = this.#requester
    const onFailure = (): void => {
      this.#queue.slower()
      // The server may take no more connections than there are.
      this.#direct.closeIdle()
    }
    await again(label, { onFailure }, async () => {
      const [first, last] = [left[0], left.at(-1)]
      if (first === undefined || last === undefined) return
      const { offset } = first
      const length = last.offset + last.target.length - offset
      const headers: Record<string, string> = { Range: `bytes=${offset}-${offset + length - 1}` }
      if (this.#version !== undefined) headers[this.#version.header] = this.#version.value
      const at = this.#at
      if (await this.#askDirectly(at.url, headers, { offset, length, left })) return
      const answer = await this.#requester.send(at.url, { headers })
      refuseEncoded(answer, label)
      const { statusCode = 0 } = answer
      if (statusCode === 206) {
        this.#compare(answer, offset, length)
        await scatter(answer, left)
        return
      }
      if (statusCode === 412 || statusCode === 416) {
        answer.destroy()
        throw this.#changed()
      }
      if (statusCode === 200) {
        answer.destroy()
        throw this.#version === undefined
          ? corrupt('E_HTTP_PROTOCOL', `${label}: the server sends all of it where a part was asked for`)
          : this.#changed()
      }
      // The address that it led to may have expired.
      if (at.isRedirected && [401, 403, 404, 410].includes(statusCode)) {
        answer.destroy()
        if (at === this.#at) this.#resolving ??= this.#resolve()
        await this.#resolving
        throw new PassingFailure(`the server answers ${statusCode}`, { pause: 0 })
      }
      await this.#requester.refuse(answer)
    })
  }

  /**
   * Asks for ranges past Node's http.
   * @returns whether they are there; false: nothing was had, and Node's http finds out why.
   * @throws PassingFailure, where the connection broke.
   */
  async #askDirectly(
    url: URL,
    headers: Readonly<Record<string, string>>,
    { offset, length, left }: { readonly offset: number; readonly length: number; readonly left: WantedRange[] },
  ): Promise<boolean> {
    if (length < leastDirect || left[0]?.isUrgent === true || !this.#direct.isToBeTried()) return false
    const all = await this.#requester.directHeaders(url, headers)
    if (all === undefined) return false
    // There are no more connections at once than were allowed.
    this.#requester.closeIdle()
    const expected = { offset, length, size: this.facts.size, marks: this.#marks }
    const outcome = await this.#direct.ask(url, all, expected, left)
    if (outcome === 'silent') throw new PassingFailure('the server does not answer', { way: 'silent' })
    if (outcome === 'lost') throw new PassingFailure('the server closed the connection', { way: 'lost' })
    return outcome === 'done'
  }

  /** Follows the address that was typed once more, for all requests. */
  async #resolve(): Promise<void> {
    try {
      const { answer, at } = await this.#requester.follow(this.#requester.start, { Range: 'bytes=0-0' })
      answer.destroy()
      this.#at = at
    } finally {
      this.#resolving = undefined
    }
  }

  /** Whether an answer is of the same file, and of the bytes that were asked for. */
  #compare(answer: IncomingMessage, offset: number, length: number): void {
    const { headers } = answer
    const range = contentRange(headers['content-range'])
    const isOther = isOtherVersion(this.#marks, versionMarks(headers))
    const hasOtherSize = range?.size !== undefined && range.size !== this.facts.size
    if (!isOther && !hasOtherSize && range?.start === offset && range.end === offset + length) return
    answer.destroy()
    if (isOther || hasOtherSize) throw this.#changed()
    throw corrupt(
      'E_HTTP_PROTOCOL',
      `${this.#requester.label}: bytes ${offset} to ${offset + length - 1} were asked for, and the server sends others`,
    )
  }

  #changed(): Error {
    return corrupt('E_SOURCE_CHANGED', `${this.#requester.label} has changed on its server while it was read`, {
      hint: 'Start again.',
    })
  }
}

/** Of bytes of a file that come encoded nothing is taken, whichever answer it is. */
function refuseEncoded(answer: IncomingMessage, label: Label): void {
  const encoding = encodingOf(answer.headers)
  const { statusCode = 0 } = answer
  if (encoding === undefined || statusCode < 200 || statusCode > 299) return
  answer.destroy()
  throw unsupported('E_HTTP_ENCODING', `${label}: the server sends it encoded (${printable(encoding)}), not as it is`)
}

/** A file of no byte has no range; not every server says that this is why it gives none. */
async function openWithoutRange(requester: Requester, refusal: IncomingMessage): Promise<RangeReader> {
  const { start } = requester
  refusal.resume()
  if (sizeOfUnsatisfied(refusal.headers['content-range']) === 0)
    return new RangeReader(requester, { at: start, facts: { size: 0, notes: [], headLength: 0 } })
  const { answer, at } = await requester.follow(start, {})
  refuseEncoded(answer, requester.label)
  return answer.statusCode === 200 ? await openWhole(requester, at, answer) : await requester.refuse(answer)
}

async function openByRanges(
  requester: Requester,
  at: FollowedAddress,
  answer: IncomingMessage,
  { head, isFar }: { readonly head: Uint8Array; readonly isFar: boolean },
): Promise<RangeReader> {
  const { label } = requester
  const range = contentRange(answer.headers['content-range'])
  if (range?.start !== 0 || range.size === undefined) {
    answer.destroy()
    throw corrupt('E_HTTP_PROTOCOL', `${label}: the server does not say which part of how many bytes it sends`)
  }
  const length = Math.min(headLength, range.size)
  if (range.end !== length) {
    answer.destroy()
    throw corrupt('E_HTTP_PROTOCOL', `${label}: the server sends another part than was asked for`)
  }
  await fill(answer, head.subarray(0, length))
  const version = versionOf(answer.headers)
  const notes = version === undefined ? [versionNote(label)] : []
  const note = noteOf(answer.headers[`x-ms-meta-${recordMark}`])
  const facts = { size: range.size, notes, note, headLength: length, underWay: isFar ? farUnderWay : undefined }
  const stored = await storedRuns(requester, at, answer, range.size)
  const marks = versionMarks(answer.headers)
  return new RangeReader(requester, {
    at,
    version,
    marks,
    stored,
    facts: { ...facts, knowsHoles: stored !== undefined },
  })
}

/** What of a page blob was written; undefined where all may be. */
async function storedRuns(
  requester: Requester,
  { url }: FollowedAddress,
  { headers }: IncomingMessage,
  size: number,
): Promise<readonly StoredRun[] | undefined> {
  if (headers['x-ms-blob-type'] !== 'PageBlob') return undefined
  const { pageRuns } = await import('../azure/page-runs.js')
  return await pageRuns(requester, url, { size, etag: headers.etag })
}

function versionNote(label: Label): Note {
  return {
    code: 'W_HTTP_VERSION',
    message: `${label}: the server does not say which version of the file it sends: a change may not be noticed`,
  }
}

/** The whole file, into a scratch file: the server knows no ranges. */
async function openWhole(requester: Requester, at: FollowedAddress, answer: IncomingMessage): Promise<RangeReader> {
  const { label } = requester
  const scratch = createScratchStore(temporaryFolder())
  try {
    let size = 0
    for await (const bytes of pieces(answer)) {
      scratch.write(size, bytes)
      size += bytes.length
    }
    const announced = answer.headers['content-length']
    if (announced !== undefined && Number(announced) !== size)
      throw new PassingFailure(`the answer ends after ${size} of ${announced} bytes`, { way: 'lost' })
    const notes = size === 0 ? [] : wholeNotes(label, size, answer)
    return new RangeReader(requester, { at, scratch, facts: { size, notes, headLength: 0 } })
  } catch (error) {
    scratch[Symbol.dispose]()
    throw error
  }
}

function wholeNotes(label: Label, size: number, { headers }: IncomingMessage): readonly Note[] {
  const copied =
    `${label}: the server does not give out parts of files: all of it (${size} bytes) was copied to a scratch file ` +
    'first'
  const notes = [{ code: 'W_HTTP_NO_RANGES', message: copied }]
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined) return notes
  const message = `${label}: the server does not say how long the file is: if the connection broke, the end is missing`
  return [...notes, { code: 'W_HTTP_NO_LENGTH', message }]
}
