import { createHash, type Hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { ImageError, targetError } from '../../errors.js'
import { UnderWay } from '../../sys/under-way.js'
import { answerText, PassingFailure } from '../http/request.js'
import type { RegistryWriter } from './registry-writer.js'

/**
 * What is sent by one request at most, in bytes; registries want at least 5 MiB, and flush each to the medium. The
 * first is shorter, so that sending begins early. What is shorter than that is sent at once.
 */
const chunkLength = 64 * 1024 * 1024
const firstLength = 16 * 1024 * 1024

/**
 * A blob that is sent in chunks, one after the other, while the next is filled (OCI Distribution 1.1, "Pushing a blob
 * in chunks"). Its digest is computed on the way, and the registry compares it.
 */
export class BlobUpload {
  readonly #writer: RegistryWriter
  readonly #hash: Hash = createHash('sha256')
  /** Where the next request goes: each answer names it anew. */
  #location: URL
  #buffer: Buffer = Buffer.allocUnsafeSlow(chunkLength)
  #filled = 0
  /** The buffer that is not filled now; it may be on its way. */
  #other: Buffer | undefined
  readonly #sending = new UnderWay()
  /** Bytes that were handed to requests, and that the registry has. */
  #sent = 0
  #has = 0

  private constructor(writer: RegistryWriter, location: URL) {
    this.#writer = writer
    this.#location = location
  }

  /** @throws ImageError target; as all here. */
  static async begin(writer: RegistryWriter): Promise<BlobUpload> {
    return await writer.ask({ method: 'POST', path: 'blobs/uploads/' }, [], async (answer) => {
      await answerText(answer)
      const location = locationIn(writer, answer, writer.base)
      if (location === undefined) throw noPlace(writer)
      const least = Number(answer.headers['oci-chunk-min-length'] ?? 0)
      if (least > firstLength)
        throw targetError('E_WRITE', `${writer.label}: the registry wants chunks of ${least} bytes, which is too much`)
      return new BlobUpload(writer, location)
    })
  }

  /** Takes the bytes that come next; they are copied. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes)
    for (let done = 0; done < bytes.length;) {
      const most = this.#sent === 0 ? firstLength : chunkLength
      const piece = bytes.subarray(done, done + most - this.#filled)
      this.#buffer.set(piece, this.#filled)
      this.#filled += piece.length
      done += piece.length
      if (this.#filled === most) await this.#send()
    }
  }

  /** Sends what is left, and makes it a blob. */
  async finish(): Promise<{ readonly digest: string; readonly size: number }> {
    const size = this.#sent + this.#filled
    const digest = `sha256:${this.#hash.digest('hex')}`
    // What is short goes with the last request.
    const isShort = this.#sent === 0
    if (!isShort && this.#filled > 0) await this.#send()
    await this.#sending.settled()
    const body = isShort ? this.#buffer.subarray(0, this.#filled) : new Uint8Array(0)
    await this.#writer.tryAgain(async (tries) => {
      if (tries > 1 && (await this.#isThere(digest))) return
      await this.#complete(digest, body)
    })
    return { digest, size }
  }

  /** Takes back what was begun. @returns whether nothing of it is left. */
  async abort(): Promise<boolean> {
    await this.#sending.ended()
    this.#writer.ignoreSignal()
    try {
      const asking = { method: 'DELETE', path: this.#location } as const
      return await this.#writer.ask(asking, [404], async (answer) => {
        await answerText(answer)
        return true
      })
    } catch (error) {
      // What ended the upload is the cause, and is reported.
      if (error instanceof ImageError) return false
      throw error
    }
  }

  /** Sends the buffer, once the other one is sent, and goes on with that. */
  async #send(): Promise<void> {
    await this.#sending.settled()
    const [full, length, start] = [this.#buffer, this.#filled, this.#sent]
    this.#buffer = this.#other ?? Buffer.allocUnsafeSlow(chunkLength)
    this.#other = full
    this.#filled = 0
    this.#sent += length
    this.#sending.begin(this.#patch(start, full.subarray(0, length)))
  }

  async #patch(start: number, bytes: Buffer): Promise<void> {
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
  }

  /** How far the registry has come, after a request whose end is not known. */
  async #learn(start: number, end: number): Promise<void> {
    const answer = await this.#writer.send({ method: 'GET', path: this.#location })
    const text = await answerText(answer)
    if (answer.statusCode !== 204 && answer.statusCode !== 202) throw this.#writer.refusal(answer, text)
    this.#move(answer)
    const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(answer.headers.range ?? '')?.[1]
    // Nothing is written as one byte by many.
    const has = last === undefined || last === '0' ? 0 : Number(last) + 1
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
    if (answer.statusCode === 400 && text.includes('DIGEST_INVALID'))
      throw new ImageError(
        'mismatch',
        'E_MISMATCH',
        `${this.#writer.label}: the registry has other bytes than were sent`,
      )
    throw this.#writer.refusal(answer, text)
  }

  /** Whether the blob was made by a request whose answer was lost. */
  async #isThere(digest: string): Promise<boolean> {
    return await this.#writer.ask({ method: 'HEAD', path: `blobs/${digest}` }, [404], (answer) => {
      answer.resume()
      return Promise.resolve(answer.statusCode === 200)
    })
  }

  #move(answer: IncomingMessage): void {
    this.#location = locationIn(this.#writer, answer, this.#location) ?? this.#location
  }
}

/** Where an upload goes on. Never from https to http: what is sent could be changed on the way. */
function locationIn(writer: RegistryWriter, { headers }: IncomingMessage, from: URL): URL | undefined {
  if (headers.location === undefined) return undefined
  let url: URL
  try {
    url = new URL(headers.location, from)
  } catch {
    throw noPlace(writer)
  }
  if (url.protocol !== 'https:' && url.protocol !== writer.base.protocol) throw noPlace(writer)
  return url
}

function noPlace({ label }: RegistryWriter): Error {
  return targetError(
    'E_WRITE',
    `${label}: the registry does not say where an upload goes, or names an address that ` + 'is not followed',
    { hint: 'A proxy in front of it may hand on the wrong scheme: ask who keeps the registry.' },
  )
}
