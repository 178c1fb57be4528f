import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type * as Vdisk from 'vdisk'
import type { S3Object } from './location.js'
import { explanationOf, type SigningData } from './signer.js'
import { elementsIn, escaped, textIn } from './xml.js'

type Library = typeof Vdisk
type HttpClient = Awaited<ReturnType<Library['loadHttpClient']>>

/** A part that the server has. The tag is the MD5 of its bytes, unless the store encrypts with keys of its own. */
export interface Part {
  readonly number: number
  readonly tag: string
  readonly size: number
  /** Whether the tag is known to be the MD5. */
  readonly isDigest?: boolean
}

/** What stands at the key. */
export interface Standing {
  readonly size: number
  readonly version?: string
}

/** What must be so when an object appears. */
export type Condition = Readonly<Record<'If-None-Match', '*'>> | Readonly<Record<'If-Match', string>> | undefined

/** How a request that makes an object ended. */
export type Outcome =
  | { readonly kind: 'made'; readonly tag: string | undefined; readonly isKeyed: boolean }
  /** Something else stands there than the condition says, or somebody is about to make it. */
  | { readonly kind: 'other'; readonly isConflict: boolean }
  /** The server knows no conditions. */
  | { readonly kind: 'unconditional' }
  /** The upload is not known: it was completed, or removed. */
  | { readonly kind: 'gone' }

interface Call {
  readonly method: string
  /** Asked of the bucket, not of the object. */
  readonly ofBucket?: boolean
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal?: AbortSignal
}

/** Parts that one answer lists: answers are short. */
const partsAtOnce = '150'
/** Refusals whose reason is asked for once more. */
const unexplained = [301, 307, 400, 401, 403]
/** Statuses that are answers to what makes an object. */
const made = [200, 409, 412, 501]

const md5 = (bytes: Uint8Array): Buffer => createHash('md5').update(bytes).digest()

/** The requests that S3 knows of one object. They are tried again as long as what keeps them from success may pass. */
export class S3Requests implements Disposable {
  readonly object: S3Object
  readonly #library: Library
  readonly #http: HttpClient
  readonly #requester: InstanceType<HttpClient['Requester']>

  private constructor(object: S3Object, library: Library, http: HttpClient) {
    this.object = object
    this.#library = library
    this.#http = http
    this.#requester = new http.Requester(object.http, { ...library.httpOptions(process.env), headers: undefined })
  }

  static async open(object: S3Object, library: Library): Promise<S3Requests> {
    return new S3Requests(object, library, await library.loadHttpClient())
  }

  [Symbol.dispose](): void {
    this.#requester[Symbol.dispose]()
  }

  /** What stands at the key; undefined where nothing does. */
  async look(): Promise<Standing | undefined> {
    const head = await this.#try({ method: 'HEAD' }, standingIn, [200, 404, ...unexplained])
    if (head !== 'refused') return head
    // An answer to HEAD has no text that says why it is no.
    const headers = { Range: 'bytes=0-0' }
    const found = await this.#try({ method: 'GET', headers }, standingIn, [200, 206, 404, 416])
    return found === 'refused' ? undefined : found
  }

  /** Makes the object with one request. */
  async put(body: Uint8Array, condition: Condition, signal?: AbortSignal): Promise<Outcome> {
    const headers = { 'Content-MD5': md5(body).toString('base64'), ...condition }
    return await this.#try(
      { method: 'PUT', headers, body, signal },
      (answer, text) => this.#outcome(answer, text),
      made,
    )
  }

  /** @returns the id of the new upload. */
  async begin(signal?: AbortSignal): Promise<string> {
    const headers = { 'Content-Type': 'application/octet-stream' }
    return await this.#try({ method: 'POST', query: { uploads: '' }, headers, signal }, (_answer, body) => {
      const id = textIn(body, 'UploadId')
      if (id === undefined) throw new this.#http.PassingFailure('the server names no upload')
      return id
    })
  }

  /** Sends a part. Where its tag is an MD5 that is not that of the bytes, it is sent again. */
  async part(upload: string, number: number, body: Uint8Array, signal?: AbortSignal): Promise<Part> {
    const digest = md5(body)
    const headers = { 'Content-MD5': digest.toString('base64') }
    const query = { partNumber: String(number), uploadId: upload }
    return await this.#try({ method: 'PUT', query, headers, body, signal }, (answer) => {
      const tag = bare(answer.headers.etag)
      if (tag === undefined) throw new this.#http.PassingFailure('the server gives the part no ETag')
      if (!isKeyed(answer) && isDigest(tag) && tag !== digest.toString('hex'))
        throw new this.#http.PassingFailure(`the server has other bytes of part ${number} than were sent`)
      return { number, tag, size: body.length, isDigest: tag === digest.toString('hex') }
    })
  }

  /** Parts that the server has; undefined where it does not know the upload. */
  async parts(upload: string, signal?: AbortSignal): Promise<readonly Part[] | undefined> {
    const parts: Part[] = []
    for (let marker = '0'; ;) {
      const query = { uploadId: upload, 'part-number-marker': marker, 'max-parts': partsAtOnce }
      const body = await this.#try(
        { method: 'GET', query, signal },
        (answer, text) => (answer.statusCode === 404 ? undefined : text),
        [200, 404],
      )
      if (body === undefined) return undefined
      for (const { PartNumber, ETag, Size } of elementsIn(body, 'Part')) {
        const [number, size, tag] = [Number(PartNumber), Number(Size), bare(ETag)]
        if (Number.isSafeInteger(number) && Number.isSafeInteger(size) && tag !== undefined)
          parts.push({ number, size, tag })
      }
      const next = textIn(body, 'NextPartNumberMarker')
      if (textIn(body, 'IsTruncated') !== 'true' || next === undefined || next === marker) return parts
      marker = next
    }
  }

  /** Makes the object of the parts. An answer that begins with 200 may still be an error. */
  async complete(upload: string, parts: readonly Part[], condition: Condition): Promise<Outcome> {
    const list = parts.map(
      ({ number, tag }) => `<Part><PartNumber>${number}</PartNumber><ETag>"${escaped(tag)}"</ETag></Part>`,
    )
    const body = Buffer.from(
      `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list.join('')}` +
        '</CompleteMultipartUpload>',
    )
    const headers = { 'Content-Type': 'application/xml', ...condition }
    return await this.#try(
      { method: 'POST', query: { uploadId: upload }, headers, body },
      (answer, text) => {
        return this.#outcome(answer, text)
      },
      [...made, 404],
    )
  }

  /** Uploads of this object that are not complete, the oldest first. */
  async uploads(): Promise<readonly { readonly id: string; readonly begun: string }[]> {
    const { key } = this.object
    const query = { uploads: '', prefix: key, 'max-uploads': partsAtOnce }
    const body = await this.#try({ method: 'GET', query, ofBucket: true }, (_answer, text) => text)
    return elementsIn(body, 'Upload')
      .filter(({ Key }) => Key === key)
      .flatMap(({ UploadId: id, Initiated: begun = '' }) => (id === undefined ? [] : [{ id, begun }]))
      .sort((one, other) => one.begun.localeCompare(other.begun))
  }

  /** Removes an upload and its parts. @returns false where the server does not know it. */
  async abort(upload: string): Promise<boolean> {
    const query = { uploadId: upload }
    return await this.#try({ method: 'DELETE', query }, ({ statusCode }) => statusCode !== 404, [200, 204, 404])
  }

  /** Removes the object, where it is still that version; a server that knows no conditions is asked before. */
  async remove(version: string): Promise<boolean> {
    if ((await this.look())?.version !== version) return false
    return await this.#try({ method: 'DELETE' }, () => true, [200, 204])
  }

  /** An answer that begins with 200 may still be an error. */
  #outcome(answer: IncomingMessage, text: string): Outcome {
    const { statusCode, headers } = answer
    const code = textIn(text, 'Code')
    if ((statusCode === 200 && code !== undefined) || code === 'OperationAborted')
      throw new this.#http.PassingFailure(`the server answers ${code}`)
    if (statusCode === 412 || statusCode === 409) return { kind: 'other', isConflict: statusCode === 409 }
    if (statusCode === 501) return { kind: 'unconditional' }
    if (statusCode === 404) return { kind: 'gone' }
    return { kind: 'made', tag: bare(headers.etag ?? textIn(text, 'ETag')), isKeyed: isKeyed(answer) }
  }

  /** @throws PassingFailure, ImageError usage where something was only looked at, else target. */
  #refuse(method: string, answer: IncomingMessage, body: string): never {
    const { label, signer } = this.object.http
    const { statusCode = 0 } = answer
    const isSigned = (signer?.data as SigningData | undefined)?.credentials !== undefined
    const said = explanationOf(statusCode, body, { isSigned, headers: answer.headers })
    try {
      return this.#http.refuseStatus(answer, label, said)
    } catch (error) {
      if (error instanceof this.#http.PassingFailure || method === 'HEAD' || method === 'GET') throw error
      const why = said === undefined ? statusCode : `${statusCode}: ${said.message}`
      const code = statusCode === 401 || statusCode === 403 ? 'E_WRITE_PERMISSION' : 'E_WRITE'
      throw this.#library.targetError(code, `${label} cannot be written: the server answers ${why}`, {
        hint: said?.hint,
        cause: error,
      })
    }
  }

  /** @param wanted statuses that are answers. @throws ImageError usage, target. */
  async #try<Result>(
    { method, ofBucket = false, query = {}, headers, body, signal }: Call,
    read: (answer: IncomingMessage, body: string) => Result,
    wanted: readonly number[] = [200, 204],
  ): Promise<Result> {
    const { again, answerText, PassingFailure } = this.#http
    const { label, url: address } = this.object.http
    const url = new URL(ofBucket ? this.object.bucketUrl : address)
    url.search = new URLSearchParams(query).toString()
    return await again(label, { isFirst: method === 'HEAD', isWriting: true, signal }, async () => {
      const answer = await this.#requester.send(url, { method, headers, body, signal })
      if (!wanted.includes(answer.statusCode ?? 0)) return this.#refuse(method, answer, await answerText(answer))
      try {
        return read(answer, await answerText(answer))
      } catch (error) {
        if (error instanceof PassingFailure || this.#library.isImageError(error)) throw error
        throw new PassingFailure('the answer cannot be read')
      }
    })
  }
}

/** What an answer says of what stands at a key. */
function standingIn({ statusCode = 0, headers }: IncomingMessage): Standing | undefined | 'refused' {
  const { etag: version, 'content-length': length, 'content-range': range } = headers
  if (statusCode === 404) return undefined
  if (statusCode === 416) return { size: 0, version }
  if (statusCode === 206) return { size: Number(range?.split('/').at(-1)), version }
  return statusCode === 200 ? { size: Number(length), version } : 'refused'
}

/** Whether the store encrypts with keys of its own: ETags are no digests then. */
function isKeyed({ headers }: IncomingMessage): boolean {
  const how = headers['x-amz-server-side-encryption']
  return (
    (how !== undefined && how !== 'AES256') || headers['x-amz-server-side-encryption-customer-algorithm'] !== undefined
  )
}

const bare = (tag: string | undefined): string | undefined => tag?.replace(/^(?:W\/)?"(.*)"$/, '$1')
const isDigest = (tag: string): boolean => /^[0-9a-f]{32}$/.test(tag)
