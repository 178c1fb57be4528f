import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { refused, targetError, usage, type ImageError, type Label } from '../../errors.js'
import type { HttpAddress } from '../http/address.js'
import { retryAfter } from '../http/answer.js'
import type { ReaderOptions } from '../http/reader-options.js'
import { again, PassingFailure, Requester, documentOf } from '../http/request.js'
import type { StoredRun } from '../http/stored-runs.js'
import { apiVersion } from './api.js'
import { pageList } from './page-list.js'

type Headers = Readonly<Record<string, string>>

/** How often one thing is asked for: a disk that is throttled is busy for a while. */
const mostTries = 8
/** How long a lease lasts that is not renewed, in seconds: the longest that ends by itself. */
const leaseSeconds = 60
/** Codes of the service after which the same question may be asked again, whatever the status. */
const passingCodes: ReadonlySet<string> = new Set(['Md5Mismatch', 'OperationTimedOut', 'ServerBusy', 'InternalError'])
const leaseCodes: ReadonlySet<string> = new Set([
  'LeaseAlreadyPresent',
  'LeaseIdMismatchWithBlobOperation',
  'LeaseIdMismatchWithLeaseOperation',
  'LeaseIdMissing',
  'LeaseLost',
  'LeaseNotPresentWithBlobOperation',
  'LeaseNotPresentWithLeaseOperation',
])

export interface BlobFacts {
  readonly size: number
  readonly version: string | undefined
  /** What its maker has written beside it, by lower-case name. */
  readonly marks: Readonly<Record<string, string>>
}

/** What a question is asked with. */
interface Asking {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  /** Beside the signature. */
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Headers
  readonly body?: Uint8Array
  /** Statuses and codes of the service that are an answer, not an error. */
  readonly takes?: readonly (number | string)[]
  readonly tries?: number
}

interface Answered {
  readonly status: number
  readonly code: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly text: string
  /** How often it was asked; what was asked before may have been done, and its answer lost. */
  readonly tries: number
}

/**
 * One page blob, by the REST interface of Azure's storage. All questions are tried again while what keeps them from an
 * answer may pass. They throw ImageError: target E_EXISTS, E_NO_FOLDER, E_WRITE_PERMISSION, E_WRITE; refused
 * E_TARGET_CHANGED where somebody else has the lease; usage E_HTTP_CONNECT, E_NOT_A_FILE; aborted E_ABORTED.
 */
export class PageBlob implements Disposable {
  readonly label: Label
  readonly #requester: Requester
  readonly #url: URL
  readonly #signal: AbortSignal | undefined
  /** Is called when the service is busy or failed. */
  readonly #onFailure: (() => void) | undefined
  #reached = false

  constructor(
    address: HttpAddress,
    options: ReaderOptions,
    { signal, onFailure }: { readonly signal?: AbortSignal; readonly onFailure?: () => void } = {},
  ) {
    this.label = address.label
    this.#requester = new Requester(address, options)
    this.#url = new URL(address.url)
    this.#signal = signal
    this.#onFailure = onFailure
  }

  [Symbol.dispose](): void {
    this.#requester[Symbol.dispose]()
  }

  /** @returns undefined where there is none. */
  async facts(): Promise<BlobFacts | undefined> {
    const { status, headers } = await this.#ask({ method: 'HEAD', takes: [404] })
    if (status === 404) return undefined
    const type = headers['x-ms-blob-type']
    if (type !== undefined && type !== 'PageBlob')
      throw usage('E_NOT_A_FILE', `${this.label} is a ${String(type)}, and not a page blob`, {
        hint: 'Give another name: Azure starts machines from page blobs only.',
      })
    const marks = Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith('x-ms-meta-') ? [[name.slice('x-ms-meta-'.length), String(value)] as const] : [],
    )
    return {
      size: Number(headers['content-length']),
      version: headers.etag,
      marks: Object.fromEntries(marks),
    }
  }

  /**
   * Makes it, empty. @param mark by which it is known again. @param replaces the version that may be replaced;
   * undefined: none.
   */
  async create(size: number, mark: readonly [string, string], replaces: string | undefined): Promise<void> {
    const [name, value] = mark
    const { status, code, tries } = await this.#ask({
      method: 'PUT',
      headers: {
        'x-ms-blob-type': 'PageBlob',
        'x-ms-blob-content-length': String(size),
        [`x-ms-meta-${name}`]: value,
        ...(replaces === undefined ? { 'If-None-Match': '*' } : { 'If-Match': replaces }),
      },
      takes: [409, 412],
    })
    if (status < 300) return
    // It may have been made by a request whose answer was lost.
    if (tries > 1 && (await this.facts())?.marks[name] === value) return
    if (status === 409 && code === 'BlobAlreadyExists') throw blobExists(this.label)
    if (code === 'ConditionNotMet')
      throw refused('E_TARGET_CHANGED', `${this.label} is another one than it was a moment ago`, {
        hint: 'Look who else writes it, and start again.',
      })
    throw this.#refusal(status, code)
  }

  /** Takes the lease under an id, which may have it already. @returns whether it could be had. */
  async lease(id: string): Promise<boolean> {
    const headers = { 'x-ms-lease-duration': String(leaseSeconds), 'x-ms-proposed-lease-id': id }
    return await this.#leaseAction('acquire', headers, ['LeaseAlreadyPresent'])
  }

  /** Takes the lease over from an id, which has it no more from then on. @returns whether it had it. */
  async takeLeaseOver(from: string, id: string): Promise<boolean> {
    const headers = { 'x-ms-lease-id': from, 'x-ms-proposed-lease-id': id }
    const others = ['LeaseNotPresentWithLeaseOperation', 'LeaseIdMismatchWithLeaseOperation']
    return await this.#leaseAction('change', headers, others)
  }

  async renewLease(id: string): Promise<void> {
    await this.#leaseAction('renew', leased(id), [])
  }

  async endLease(id: string, tries?: number): Promise<void> {
    await this.#leaseAction('release', leased(id), [404, 409], tries)
  }

  /** Writes pages, with their checksum. @param md5 of the bytes. @returns the version that it is then. */
  async put(
    position: number,
    bytes: Uint8Array,
    md5: Uint8Array,
    lease: string | undefined,
  ): Promise<string | undefined> {
    const { headers } = await this.#ask({
      method: 'PUT',
      query: { comp: 'page' },
      headers: {
        'x-ms-page-write': 'update',
        'x-ms-range': rangeOf(position, bytes.length),
        'Content-MD5': Buffer.from(md5).toString('base64'),
        ...leased(lease),
      },
      body: bytes,
    })
    return headers.etag
  }

  /** Sets all marks of it: others are gone. */
  async setMarks(marks: Readonly<Record<string, string>>, lease: string): Promise<void> {
    const headers: Record<string, string> = { ...leased(lease) }
    for (const [name, value] of Object.entries(marks)) headers[`x-ms-meta-${name}`] = value
    await this.#ask({ method: 'PUT', query: { comp: 'metadata' }, headers })
  }

  async clear(position: number, length: number, lease: string | undefined): Promise<void> {
    await this.#ask({
      method: 'PUT',
      query: { comp: 'page' },
      headers: {
        'x-ms-page-write': 'clear',
        'x-ms-range': rangeOf(position, length),
        ...leased(lease),
      },
    })
  }

  /** What of it was written. @param most ends the list early. */
  async pages(size: number, most?: number): Promise<StoredRun[]> {
    const ask = async (mark: string | undefined): Promise<string> => {
      const query = { comp: 'pagelist', ...(mark === undefined ? {} : { marker: mark }) }
      return (await this.#ask({ method: 'GET', query })).text
    }
    try {
      return await pageList(size, ask, most)
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause
      throw targetError('E_WRITE', `${this.label}: the list of its pages cannot be read: ${cause.message}`, { cause })
    }
  }

  /** @param guard the lease that it must have, or the version that it must be. @returns whether it is gone. */
  async remove(guard: { readonly lease?: string; readonly version?: string }, tries?: number): Promise<boolean> {
    const { status } = await this.#ask({
      method: 'DELETE',
      headers: { ...leased(guard.lease), ...(guard.version === undefined ? {} : { 'If-Match': guard.version }) },
      takes: [403, 404, 409, 412],
      tries,
    })
    return status < 300 || status === 404
  }

  async #leaseAction(action: string, headers: Headers, takes: Asking['takes'], tries?: number): Promise<boolean> {
    const { status } = await this.#ask({
      method: 'PUT',
      query: { comp: 'lease' },
      headers: { 'x-ms-lease-action': action, ...headers },
      takes,
      tries,
    })
    return status < 300
  }

  async #ask({ method, query = {}, headers = {}, body, takes = [], tries = mostTries }: Asking): Promise<Answered> {
    const url = new URL(this.#url)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    const trying = {
      isFirst: !this.#reached,
      isWriting: true,
      tries,
      onFailure: this.#onFailure,
      signal: this.#signal,
    }
    return await again(this.label, trying, async (count) => {
      const answer = await this.#requester.send(url, {
        method,
        headers: { 'x-ms-version': apiVersion, ...headers },
        // Without a length it would be sent in chunks, which the service refuses.
        body: body ?? (method === 'PUT' ? new Uint8Array(0) : undefined),
        signal: this.#signal,
      })
      this.#reached = true
      const text = await documentOf(answer)
      const { statusCode: status = 0 } = answer
      const code = errorCode(answer, text)
      if (status < 300 || takes.includes(status) || (code !== undefined && takes.includes(code)))
        return { status, code, headers: answer.headers, text, tries: count }
      if (status === 429 || status === 408 || status >= 500 || passingCodes.has(code ?? ''))
        throw new PassingFailure(answered(status, code), {
          pause: retryAfter(answer.headers['retry-after'], Date.now()),
        })
      throw this.#refusal(status, code)
    })
  }

  #refusal(status: number, code: string | undefined): ImageError {
    const { label } = this
    const what = answered(status, code)
    if (code !== undefined && leaseCodes.has(code))
      return refused(
        'E_TARGET_CHANGED',
        `${label}: another program has it (${code}), or this one kept silent too long`,
        {
          hint: 'Look who else writes it. Nothing of theirs was removed.',
        },
      )
    if (code === 'ContainerNotFound' || status === 404)
      return targetError('E_NO_FOLDER', `${label}: there is no such container, or the blob is gone (${status})`, {
        hint: 'Make the container first: az storage container create.',
      })
    if (status === 401 || status === 403)
      return targetError('E_WRITE_PERMISSION', `${label}: the signed address does not allow it: ${what}`, {
        hint:
          'It needs the permissions read, create, write and delete (sp=rcwd), and may have expired: make a new one ' +
          '(az storage blob generate-sas, az disk grant-access).',
      })
    return targetError('E_WRITE', `${label} cannot be written: ${what}`)
  }
}

function blobExists(label: Label): ImageError {
  return targetError('E_EXISTS', `the target ${label} exists already`, {
    hint: 'Use --force to replace it; what it holds is gone as soon as the upload begins.',
  })
}

export function md5Of(bytes: Uint8Array): Uint8Array {
  return createHash('md5').update(bytes).digest()
}

function answered(status: number, code: string | undefined): string {
  return `the server answers ${status}${code === undefined ? '' : ` (${code})`}`
}

function leased(id: string | undefined): Headers {
  return id === undefined ? {} : { 'x-ms-lease-id': id }
}

function rangeOf(position: number, length: number): string {
  return `bytes=${position}-${position + length - 1}`
}

/** What the service calls the error: in a header, or in the document that it sends. */
function errorCode({ headers, statusCode = 0 }: IncomingMessage, text: string): string | undefined {
  if (statusCode < 300) return undefined
  const code = headers['x-ms-error-code'] ?? /<Code>([A-Za-z0-9]{1,100})<\/Code>/.exec(text)?.[1]
  return typeof code === 'string' && /^\w{1,100}$/.test(code) ? code : undefined
}
