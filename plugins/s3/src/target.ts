import { createHash } from 'node:crypto'
import type * as Vdisk from 'vdisk'
import type { Note, StandingObject, UnderWay, Upload, UploadedObject, UploadPlan, UploadTarget } from 'vdisk'
import type { S3Object } from './location.js'
import { S3Requests, type Condition, type Outcome, type Part } from './requests.js'
import type { Settings } from './settings.js'
import { PartBuffers } from './part-buffers.js'

type Library = typeof Vdisk

const mebibyte = 1_048_576
/** An upload has at most 10,000 parts: some are kept in reserve. */
const mostParts = 9500
/** What an upload is gone on with. */
interface State {
  readonly upload: string
  readonly partLength: number
}

/** An object of a store as a target. */
export class S3Target implements UploadTarget {
  readonly resumes = true
  readonly label: UploadTarget['label']
  readonly #object: S3Object
  readonly #settings: Settings
  readonly #library: Library

  constructor(object: S3Object, settings: Settings, library: Library) {
    this.#object = object
    this.#settings = settings
    this.#library = library
    this.label = object.http.label
  }

  beside(ending: string): S3Target {
    return new S3Target(this.#object.beside(ending), this.#settings, this.#library)
  }

  async look(): Promise<StandingObject | undefined> {
    using requests = await S3Requests.open(this.#object, this.#library)
    return await requests.look()
  }

  async begin(plan: UploadPlan): Promise<Upload> {
    const { credentials } = this.#settings
    if (credentials === undefined)
      throw this.#library.usage('E_S3_SETTINGS', `${this.label}: nothing is written without credentials`, {
        hint: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.',
      })
    const requests = await S3Requests.open(this.#object, this.#library)
    try {
      return await S3Upload.begin(requests, plan, this.#library, this.#settings.partLength)
    } catch (error) {
      requests[Symbol.dispose]()
      throw error
    }
  }

  async remove({ version }: UploadedObject): Promise<boolean> {
    using requests = await S3Requests.open(this.#object, this.#library)
    return version !== undefined && (await requests.remove(version))
  }
}

/** Bytes of a part, for an object of at most so many. */
function partLengthFor(most: number, least: number): number {
  return Math.max(least, Math.ceil(most / mostParts / mebibyte) * mebibyte)
}

/**
 * A new object, sent in parts, several at once. Each part goes with its MD5, and without TLS with its SHA-256; the
 * server's ETags are compared with the MD5s, and the object's with theirs together. What is no longer than one part is
 * sent by one request.
 */
class S3Upload implements Upload {
  readonly #requests: S3Requests
  readonly #plan: UploadPlan
  readonly #library: Library
  readonly #parts: Part[] = []
  /** Parts that an earlier run sent. */
  readonly #earlier: ReadonlyMap<number, Part>
  readonly #buffers: PartBuffers
  readonly #sending: UnderWay
  readonly #stop = new AbortController()
  readonly #notes: Note[]
  #upload: string | undefined
  #number = 0
  #resumed = 0

  private constructor(
    requests: S3Requests,
    plan: UploadPlan,
    library: Library,
    begun: {
      readonly partLength: number
      readonly upload?: string
      readonly parts?: readonly Part[]
      readonly notes: Note[]
    },
  ) {
    this.#requests = requests
    this.#plan = plan
    this.#library = library
    this.#upload = begun.upload
    this.#notes = begun.notes
    this.#earlier = new Map((begun.parts ?? []).map((part) => [part.number, part]))
    this.#sending = new library.UnderWay()
    this.#buffers = new PartBuffers(begun.partLength, library.httpOptions(process.env).connections, this.#sending)
    plan.signal?.addEventListener('abort', this.#interrupt)
  }

  /**
   * Goes on with the upload that an earlier run began, where the server still knows it.
   * @param least bytes of a part.
   */
  static async begin(requests: S3Requests, plan: UploadPlan, library: Library, least: number): Promise<S3Upload> {
    const earlier = stateIn(plan.earlier)
    const notes: Note[] = []
    const parts = earlier === undefined ? undefined : await requests.parts(earlier.upload, plan.signal)
    if (earlier !== undefined && parts !== undefined)
      return new S3Upload(requests, plan, library, { ...earlier, parts, notes })
    if (earlier !== undefined)
      notes.push({
        code: 'W_STARTED_AGAIN',
        message: `${requests.object.http.label}: the server no longer has the upload of an earlier run: it begins anew`,
      })
    const partLength = partLengthFor(plan.most, least)
    if (plan.size !== undefined && plan.size <= partLength)
      return new S3Upload(requests, plan, library, { partLength, notes })
    const upload = await requests.begin(plan.signal)
    const begun = new S3Upload(requests, plan, library, { partLength, upload, notes })
    plan.save?.({ upload, partLength } satisfies State)
    return begun
  }

  get resumed(): number {
    return this.#resumed
  }

  async write(_position: number, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += await this.#buffers.take(bytes.subarray(done))
      const full = this.#buffers.full
      // One that may be the last waits for what follows.
      if (full !== undefined && this.#upload !== undefined) this.#send(full)
    }
  }

  async commit(size: number): Promise<UploadedObject> {
    const last = this.#buffers.rest
    if (this.#upload === undefined)
      return await this.#finish(size, digestOf(last), (condition) => this.#requests.put(last, condition))
    if (last.length > 0 || this.#number === 0) this.#send(last)
    await this.#sending.settled()
    const upload = this.#upload
    const parts = this.#parts.sort((one, other) => one.number - other.number)
    return await this.#finish(size, tagOf(parts), (condition) => this.#requests.complete(upload, parts, condition))
  }

  async abort(): Promise<string | undefined> {
    this.#stop.abort()
    const { label } = this.#requests.object.http
    try {
      await this.#sending.ended()
      if (this.#upload === undefined) return undefined
      if (this.#plan.save !== undefined)
        return `What was sent of ${label} is kept: the same command with --resume goes on; ${this.#removal} removes it.`
      await this.#requests.abort(this.#upload)
      return undefined
    } catch (error) {
      if (!(error instanceof Error)) throw error
      return `The unfinished upload of ${label} could not be removed (${error.message}): ${this.#removal} removes it.`
    } finally {
      this.#close()
    }
  }

  readonly #interrupt = (): void => this.#stop.abort()

  /** The command that removes it later. */
  get #removal(): string {
    const { bucket, key } = this.#requests.object
    return `vdisk s3 uploads ${this.#library.shellWord(`s3://${bucket}/${key}`)} --abort`
  }

  #close(): void {
    this.#plan.signal?.removeEventListener('abort', this.#interrupt)
    this.#requests[Symbol.dispose]()
  }

  /** Sends a part, unless the server has it; waits for nothing. */
  #send(bytes: Uint8Array): void {
    const upload = this.#upload
    if (upload === undefined) throw new TypeError('there is no upload')
    const number = ++this.#number
    this.#buffers.send(bytes, async () => {
      const earlier = this.#earlier.get(number)
      if (earlier?.size === bytes.length && earlier.tag === digestOf(bytes)) {
        this.#resumed += bytes.length
        this.#parts.push({ ...earlier, isDigest: true })
        return
      }
      this.#parts.push(await this.#requests.part(upload, number, bytes, this.#stop.signal))
    })
  }

  /**
   * Makes the object appear, as long as nothing else stands there than what may be replaced: the server sees to that,
   * or, where it cannot, it is asked right before. @param expected the ETag that the bytes have.
   */
  async #finish(
    size: number,
    expected: string,
    make: (condition: Condition) => Promise<Outcome>,
  ): Promise<UploadedObject> {
    const { replaces } = this.#plan
    const { label } = this.#requests.object.http
    await this.#assertStanding()
    const condition: Condition =
      replaces === undefined
        ? { 'If-None-Match': '*' }
        : replaces.version === undefined
          ? undefined
          : { 'If-Match': replaces.version }
    let outcome = await make(condition)
    if (outcome.kind === 'unconditional' || (outcome.kind === 'other' && (await this.#isRefusedForNothing(outcome)))) {
      this.#notes.push({
        code: 'W_S3_NOT_EXCLUSIVE',
        message:
          `${label}: the server knows no conditions: it was asked what stands there right before, and what appeared ` +
          'in that moment would have been replaced',
      })
      await this.#assertStanding()
      outcome = await make(undefined)
    }
    // A request whose answer was lost is sent again, and meets what it made itself.
    if (outcome.kind === 'gone' || outcome.kind === 'other') {
      const now = await this.#requests.look()
      if (now?.version !== `"${expected}"` || now.size !== size) {
        if (outcome.kind === 'other') throw this.#standsOtherwise(now !== undefined)
        throw this.#library.targetError('E_WRITE', `${label}: the server no longer has the upload`, {
          hint: 'Start again.',
        })
      }
      outcome = { kind: 'made', tag: expected, isKeyed: false }
    }
    if (outcome.kind !== 'made') throw this.#library.targetError('E_WRITE', `${label}: the server makes no object`)
    this.#upload = undefined
    await this.#prove(outcome, size, expected)
    this.#close()
    return { size, version: outcome.tag === undefined ? undefined : `"${outcome.tag}"`, notes: this.#notes }
  }

  /** Whether what may be replaced is what stands there: a server that refuses then does not know the condition. */
  async #isRefusedForNothing({ isConflict }: { readonly isConflict: boolean }): Promise<boolean> {
    return !isConflict && (await this.#requests.look())?.version === this.#plan.replaces?.version
  }

  /** Whether the server has what was sent. */
  async #prove({ tag, isKeyed }: Extract<Outcome, { kind: 'made' }>, size: number, expected: string): Promise<void> {
    const { label } = this.#requests.object.http
    // Of parts whose tags are no digests, that of the object is none that is known.
    const areDigests = this.#parts.every(({ isDigest }) => isDigest === true)
    const isDigest = areDigests && tag !== undefined && /^[0-9a-f]{32}(?:-\d+)?$/.test(tag) && !isKeyed
    if (isDigest && tag !== expected) {
      const isGone = this.#plan.replaces === undefined && (await this.#requests.remove(`"${tag}"`))
      throw new this.#library.ImageError(
        'mismatch',
        'E_MISMATCH',
        `${label}: the server has other bytes than were sent`,
        {
          hint: isGone ? 'The new object was removed.' : 'The new object stays there.',
        },
      )
    }
    if (isDigest) return
    const made = await this.#requests.look()
    if (made?.size !== size)
      throw this.#library.targetError('E_WRITE', `${label} has ${made?.size ?? 'no'} bytes, and ${size} were sent`)
  }

  async #assertStanding(): Promise<void> {
    const { replaces } = this.#plan
    const now = await this.#requests.look()
    if (replaces === undefined ? now !== undefined : now?.version !== replaces.version)
      throw this.#standsOtherwise(now !== undefined)
  }

  #standsOtherwise(isThere: boolean): Error {
    const { label } = this.#requests.object.http
    const { targetError, refused } = this.#library
    if (this.#plan.replaces === undefined)
      return targetError('E_EXISTS', `the target ${label} exists by now`, { hint: 'Use --force to replace it.' })
    const what = isThere ? 'was replaced' : 'was removed'
    return refused('E_TARGET_CHANGED', `the target ${label} ${what} by somebody else meanwhile`, {
      hint: 'Look at it, and start again.',
    })
  }
}

/** What is kept may be anything. */
function stateIn(value: unknown): State | undefined {
  const { upload, partLength } = (value ?? {}) as Partial<State>
  const isPart =
    Number.isSafeInteger(partLength) && (partLength ?? 0) >= 5 * mebibyte && (partLength ?? 0) <= 5 * 1024 * mebibyte
  return typeof upload === 'string' && isPart ? { upload, partLength: partLength ?? 0 } : undefined
}

function digestOf(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}

/** The ETag of an object of several parts: the MD5 of their MD5s, and how many. */
function tagOf(parts: readonly Part[]): string {
  const hash = createHash('md5')
  for (const { tag } of parts) hash.update(Buffer.from(tag, 'hex'))
  return `${hash.digest('hex')}-${parts.length}`
}
