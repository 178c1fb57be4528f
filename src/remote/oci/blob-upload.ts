import { createHash, type Hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { ImageError, refused, stopIfAborted, targetError } from '../../errors.js'
import { UnderWay } from '../../sys/under-way.js'
import { answerText, PassingFailure } from '../http/request.js'
import { blobState, nothingKept, type BlobState, type KeptBlob } from './blob-state.js'
import type { RegistryWriter } from './registry-writer.js'

/**
 * What is sent by one request at most, in bytes; registries want at least 5 MiB, and flush each to the medium. The
 * first is shorter, so that sending begins early. What is shorter than that is sent at once.
 */
const chunkLength = 64 * 1024 * 1024
const firstLength = 16 * 1024 * 1024
/** Answers that say that an upload is not gone on with: it has ended, or was cut in a way that the registry refuses. */
const refusingToGoOn = [400, 404, 405, 410, 416]

/** What is there of a blob that an earlier run began: what it kept, and what the registry has by now. */
interface Earlier extends BlobState {
  readonly has: number
}

interface Begun {
  readonly location: URL
  readonly earlier?: Earlier
  /** Where what a later run goes on with is kept. */
  readonly keeping?: KeptBlob
  readonly startedAgain?: boolean
}

/**
 * A blob that is sent in chunks, one after the other, while the next is filled (OCI Distribution 1.1, "Pushing a blob
 * in chunks"). Its digest is computed on the way, and the registry compares it.
 */
export class BlobUpload {
  readonly #writer: RegistryWriter
  readonly #hash: Hash = createHash('sha256')
  readonly #earlier: Earlier | undefined
  readonly #keeping: KeptBlob | undefined
  /** Whether what an earlier run had begun could not be gone on with. */
  readonly startedAgain: boolean
  /** Where the next request goes: each answer names it anew. */
  #location: URL
  #buffer: Buffer
  #filled = 0
  /** The buffer that is not filled now; it may be on its way. */
  #other: Buffer | undefined
  readonly #sending = new UnderWay()
  /** Bytes that were handed to requests, and that the registry has. */
  #sent = 0
  #has = 0
  /** Bytes that an earlier run sent, and that came again. */
  #passed = 0
  /** What comes is not what an earlier run sent, or what the registry has is not what was sent. */
  #isOther = false

  private constructor(writer: RegistryWriter, { location, earlier, keeping, startedAgain = false }: Begun) {
    this.#writer = writer
    this.#location = location
    this.#earlier = earlier
    this.#keeping = keeping
    this.startedAgain = startedAgain
    this.#sent = this.#has = earlier?.has ?? 0
    this.#buffer = Buffer.allocUnsafeSlow(this.#chunkLength)
  }

  /**
   * Begins a blob, or goes on with one that an earlier run began, where the registry does.
   * @throws ImageError target; as all here.
   */
  static async begin(writer: RegistryWriter, keeping?: KeptBlob): Promise<BlobUpload> {
    const kept = blobState(keeping?.earlier)
    const found = kept === undefined ? undefined : await foundThere(writer, kept)
    if (found !== undefined) return new BlobUpload(writer, { ...found, keeping })
    return await writer.ask({ method: 'POST', path: 'blobs/uploads/' }, [], async (answer) => {
      await answerText(answer)
      const location = locationIn(writer, answer, writer.base)
      if (location === undefined) throw noPlace(writer)
      const least = Number(answer.headers['oci-chunk-min-length'] ?? 0)
      if (least > firstLength)
        throw targetError('E_WRITE', `${writer.label}: the registry wants chunks of ${least} bytes, which is too much`)
      keeping?.save({ location: location.href, sent: 0, digest: '' } satisfies BlobState)
      return new BlobUpload(writer, { location, keeping, startedAgain: kept !== undefined && kept.sent > 0 })
    })
  }

  /** Bytes that an earlier run had sent. */
  get resumed(): number {
    return this.#earlier?.has ?? 0
  }

  /** Takes the bytes that come next; they are copied. @throws ImageError also refused E_RESUME_SOURCE. */
  async write(bytes: Uint8Array): Promise<void> {
    const rest = this.#earlier === undefined ? bytes : this.#pass(bytes, this.#earlier)
    for (let done = 0; done < rest.length;) {
      const most = this.#sent === 0 ? firstLength : this.#chunkLength
      const piece = rest.subarray(done, done + most - this.#filled)
      // What it covers is what was filled: it is kept for each chunk.
      this.#hash.update(piece)
      this.#buffer.set(piece, this.#filled)
      this.#filled += piece.length
      done += piece.length
      if (this.#filled === most) await this.#send()
    }
  }

  /** Sends what is left, and makes it a blob. */
  async finish(): Promise<{ readonly digest: string; readonly size: number }> {
    const size = this.#sent + this.#filled
    const { has = 0 } = this.#earlier ?? {}
    const isComplete = this.#isComplete
    // What is complete takes no more, and what is behind the end of the blob is of another one.
    if (this.#passed < has || (isComplete && size > has)) throw this.#otherSource()
    // What is short goes with the last request.
    const isShort = this.#sent === 0
    if (!isShort && this.#filled > 0) await this.#send()
    const digest = `sha256:${this.#hash.digest('hex')}`
    await this.#sending.settled()
    if (isComplete) return { digest, size }
    const body = isShort ? this.#buffer.subarray(0, this.#filled) : new Uint8Array(0)
    await this.#writer.tryAgain(async (tries) => {
      if (tries > 1 && (await this.#isThere(digest))) return
      await this.#complete(digest, body)
    })
    this.#keeping?.save({ location: '', sent: size, digest: digest.slice('sha256:'.length) } satisfies BlobState)
    return { digest, size }
  }

  /**
   * Takes back what was begun, unless a later run can go on with it.
   * @returns what is left: nothing, an upload of which nobody knows, or so many bytes that are kept.
   */
  async abort(): Promise<'nothing' | 'unknown' | number> {
    await this.#sending.ended()
    if (this.#keeping !== undefined && !this.#isOther && this.#has > 0) return this.#has
    this.#keeping?.save(nothingKept)
    if (this.#isComplete) return 'unknown'
    this.#writer.ignoreSignal()
    try {
      const asking = { method: 'DELETE', path: this.#location } as const
      await this.#writer.ask(asking, [404], answerText)
      return 'nothing'
    } catch (error) {
      // What ended the upload is the cause, and is reported.
      if (error instanceof ImageError) return 'unknown'
      throw error
    }
  }

  /** Whether an earlier run had sent all of it. */
  get #isComplete(): boolean {
    return this.#earlier?.location === ''
  }

  /** A run that may be gone on with loses no more than one of these where the registry forgets what was cut. */
  get #chunkLength(): number {
    return this.#keeping === undefined ? chunkLength : firstLength
  }

  /** Takes what an earlier run has sent for the digest alone. @returns the rest. */
  #pass(bytes: Uint8Array, { sent, digest, has }: Earlier): Uint8Array {
    let done = 0
    for (const end of [sent, has]) {
      const piece = bytes.subarray(done, done + Math.max(0, end - this.#passed))
      this.#hash.update(piece)
      this.#passed += piece.length
      done += piece.length
      const isKnown = end === sent && this.#passed === sent && piece.length > 0
      if (isKnown && this.#hash.copy().digest('hex') !== digest) throw this.#otherSource()
    }
    return bytes.subarray(done)
  }

  #otherSource(): ImageError {
    this.#isOther = true
    return refused('E_RESUME_SOURCE', 'what was sent to the registry before has other bytes than are read now', {
      hint: 'Run the command again: what was sent is dropped, and it begins anew.',
    })
  }

  /** Sends the buffer, once the other one is sent, and goes on with that. */
  async #send(): Promise<void> {
    await this.#sending.settled()
    stopIfAborted(this.#keeping?.signal)
    const [full, length, start] = [this.#buffer, this.#filled, this.#sent]
    const digest = this.#keeping === undefined ? '' : this.#hash.copy().digest('hex')
    this.#buffer = this.#other ?? Buffer.allocUnsafeSlow(this.#chunkLength)
    this.#other = full
    this.#filled = 0
    this.#sent += length
    this.#sending.begin(this.#patch(start, full.subarray(0, length), digest))
  }

  /** @param digest of everything up to the end of these bytes. */
  async #patch(start: number, bytes: Buffer, digest: string): Promise<void> {
    const end = start + bytes.length
    await this.#writer.tryAgain(async (tries) => {
      if (tries > 1) await this.#learn(start, end)
      if (this.#has === end) return
      const body = bytes.subarray(this.#has - start)
      const answer = await this.#writer.send({
        method: 'PATCH',
        path: this.#location,
        headers: { 'Content-Type': 'application/octet-stream', 'Content-Range': `${this.#has}-${end - 1}` },
        body,
      })
      const text = await answerText(answer)
      if (answer.statusCode === 416) throw new PassingFailure('the registry wants other bytes than come next')
      if (answer.statusCode !== 202) throw this.#writer.refusal(answer, text)
      this.#move(answer)
      this.#has = end
    })
    this.#keeping?.save({ location: this.#location.href, sent: end, digest } satisfies BlobState)
  }

  /** How far the registry has come, after a request whose end is not known. */
  async #learn(start: number, end: number): Promise<void> {
    const answer = await this.#writer.send({ method: 'GET', path: this.#location })
    const text = await answerText(answer)
    if (answer.statusCode !== 204 && answer.statusCode !== 202) throw this.#writer.refusal(answer, text)
    this.#move(answer)
    const has = bytesIn(answer)
    if (has < start || has > end)
      throw targetError(
        'E_WRITE',
        `${this.#writer.label}: the registry has ${has} bytes of the upload, and ${start} to ${end} were sent`,
        { hint: 'Start again.' },
      )
    this.#has = has
  }

  async #complete(digest: string, body: Uint8Array): Promise<void> {
    const path = new URL(this.#location)
    path.searchParams.set('digest', digest)
    const headers = { 'Content-Type': 'application/octet-stream' }
    const answer = await this.#writer.send({ method: 'PUT', path, headers, body })
    const text = await answerText(answer)
    if (answer.statusCode === 201) return
    if (answer.statusCode === 400 && text.includes('DIGEST_INVALID')) {
      this.#isOther = true
      throw new ImageError(
        'mismatch',
        'E_MISMATCH',
        `${this.#writer.label}: the registry has other bytes than were sent`,
      )
    }
    throw this.#writer.refusal(answer, text)
  }

  /** Whether the blob was made by a request whose answer was lost. */
  async #isThere(digest: string): Promise<boolean> {
    return await isBlob(this.#writer, digest)
  }

  #move(answer: IncomingMessage): void {
    this.#location = locationIn(this.#writer, answer, this.#location) ?? this.#location
  }
}

async function isBlob(writer: RegistryWriter, digest: string): Promise<boolean> {
  return await writer.ask({ method: 'HEAD', path: `blobs/${digest}` }, [404], (answer) => {
    answer.resume()
    return Promise.resolve(answer.statusCode === 200)
  })
}

/** What the registry has of what an earlier run sent; undefined where it does not go on with it. */
async function foundThere(writer: RegistryWriter, kept: BlobState): Promise<Begun | undefined> {
  if (kept.location === '') {
    const isThere = await isBlob(writer, `sha256:${kept.digest}`)
    return isThere ? { location: writer.base, earlier: { ...kept, has: kept.sent } } : undefined
  }
  const path = URL.canParse(kept.location) ? followed(writer, new URL(kept.location)) : undefined
  if (path === undefined) return undefined
  return await writer.ask({ method: 'GET', path }, refusingToGoOn, async (answer) => {
    await answerText(answer)
    const { statusCode } = answer
    const has = bytesIn(answer)
    if ((statusCode !== 204 && statusCode !== 202) || has === 0 || has < kept.sent) return undefined
    return { location: locationIn(writer, answer, path) ?? path, earlier: { ...kept, has } }
  })
}

/** How many bytes of an upload a registry says that it has. */
function bytesIn({ headers }: IncomingMessage): number {
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(headers.range ?? '')?.[1]
  // Nothing is written as one byte by many.
  return last === undefined || last === '0' ? 0 : Number(last) + 1
}

/** Where an upload goes on. */
function locationIn(writer: RegistryWriter, { headers }: IncomingMessage, from: URL): URL | undefined {
  if (headers.location === undefined) return undefined
  const url = URL.canParse(headers.location, from.href) ? new URL(headers.location, from) : undefined
  if (url === undefined || followed(writer, url) === undefined) throw noPlace(writer)
  return url
}

/** Never from https to http: what is sent could be changed on the way. */
function followed(writer: RegistryWriter, url: URL): URL | undefined {
  return url.protocol === 'https:' || url.protocol === writer.base.protocol ? url : undefined
}

function noPlace({ label }: RegistryWriter): Error {
  return targetError(
    'E_WRITE',
    `${label}: the registry does not say where an upload goes, or names an address that ` + 'is not followed',
    { hint: 'A proxy in front of it may hand on the wrong scheme: ask who keeps the registry.' },
  )
}
