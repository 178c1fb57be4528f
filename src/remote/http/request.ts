import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import {
  corrupt,
  isImageError,
  lostConnection,
  stopIfAborted,
  targetError,
  usage,
  type ImageError,
  type Label,
} from '../../errors.js'
import {
  basicCredentials,
  isHttp,
  shownUrl,
  type Explanation,
  type HttpAddress,
  type Signer,
  type UnsignedRequest,
} from './address.js'
import { retryAfter } from './answer.js'
import { ProxyRefusal, throughProxy, TunnelAgent } from './proxied.js'
import { proxyFor, type Proxies } from './proxies.js'

/** Answers after which the same question may be asked again. */
const passing: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504])
const redirecting: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const mostRedirects = 10
/** How often one thing is asked for. */
const mostTries = 5
/** Milliseconds of the first pause; each further one is twice as long, up to the longest. */
const firstPause = 500
const longestPause = 30_000

type Way = 'sound' | 'silent' | 'lost' | 'unreachable' | 'untrusted'

/** Something that may be different the next time: a connection that broke, a server that is busy. */
export class PassingFailure extends Error {
  /** How long the server asked to be left alone, in milliseconds. */
  readonly pause: number | undefined
  /**
   * What failed: the way to the server (it was not reached at all, or not to the end, or is not shown to be the one
   * that was named), or the server.
   */
  readonly way: Way

  constructor(message: string, { pause, way = 'sound' }: { pause?: number; way?: Way } = {}) {
    super(message)
    this.pause = pause
    this.way = way
  }
}

/** Where a file really is: addresses that lead elsewhere are followed once, not for each request. */
export interface FollowedAddress {
  readonly url: URL
  readonly isRedirected: boolean
}

interface RequesterOptions {
  /** In place of a module that the address names. */
  readonly signer?: Signer
  /** How long a server may keep silent, in milliseconds. */
  readonly milliseconds: number
  readonly connections: number
  readonly headers?: Readonly<Record<string, string>>
  readonly proxies?: Proxies
}

/** What is asked of a server. */
export interface RequestParts {
  /** `GET` when left out. */
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal?: AbortSignal
}

const longestDocument = 64 * 1024 * 1024
/** How much of an answer that says no is read, in bytes. */
const longestRefusal = 65536

const noProxies: Proxies = { without: [] }

/** Requests to one server, over connections that are kept. */
export class Requester implements Disposable {
  readonly #address: HttpAddress
  /** Headers for the server that was named, and for no other that it leads to. */
  readonly #own: Readonly<Record<string, string>>
  readonly #milliseconds: number
  readonly #connections: number
  readonly #proxies: Proxies
  readonly #agents: {
    readonly http: http.Agent
    readonly https: https.Agent
    readonly tunnel?: TunnelAgent
    /** To the proxy of http addresses. */
    readonly proxy: http.Agent
  }
  #signer: Promise<Signer> | undefined

  constructor(
    address: HttpAddress,
    { milliseconds, connections, headers, signer, proxies = noProxies }: RequesterOptions,
  ) {
    this.#address = address
    this.#signer = signer === undefined ? undefined : Promise.resolve(signer)
    this.#own = { ...(address.authorization === undefined ? {} : { Authorization: address.authorization }), ...headers }
    this.#milliseconds = milliseconds
    this.#connections = connections
    this.#proxies = proxies
    const options = { keepAlive: true, maxSockets: connections }
    this.#agents = {
      http: new http.Agent(options),
      https: new https.Agent(options),
      tunnel: proxies.https === undefined ? undefined : new TunnelAgent(proxies.https, options, milliseconds),
      proxy: proxies.http?.isSecure === true ? new https.Agent(options) : new http.Agent(options),
    }
  }

  [Symbol.dispose](): void {
    const { http: plain, https: secure, tunnel, proxy } = this.#agents
    for (const agent of [plain, secure, tunnel, proxy]) agent?.destroy()
  }

  get label(): Label {
    return this.#address.label
  }

  /** Requests at once. */
  get connections(): number {
    return this.#connections
  }

  /** How long a server may keep silent, in milliseconds. */
  get milliseconds(): number {
    return this.#milliseconds
  }

  /** The address that was typed. */
  get start(): FollowedAddress {
    return { url: new URL(this.#address.url), isRedirected: false }
  }

  /**
   * Follows where an address leads to, and gives the first answer that is none of a redirection.
   * @throws ImageError usage E_HTTP_REDIRECT; PassingFailure.
   */
  async follow(
    from: FollowedAddress,
    headers: Readonly<Record<string, string>>,
  ): Promise<{ answer: IncomingMessage; at: FollowedAddress }> {
    let at = from
    for (let count = 0; ; count++) {
      const answer = await this.send(at.url, { headers })
      if (!redirecting.has(answer.statusCode ?? 0) || answer.headers.location === undefined) return { answer, at }
      answer.resume()
      at = { url: this.#next(at.url, answer.headers.location, count), isRedirected: true }
    }
  }

  /**
   * One request. Credentials go to the server that was named, and to no other that it leads to.
   * @returns its answer, whose body is to be read or thrown away. @throws PassingFailure; what a signer throws.
   */
  async send(url: URL, { method = 'GET', headers = {}, body, signal }: RequestParts = {}): Promise<IncomingMessage> {
    const all = await this.#headersFor({ method, url, headers, body })
    const length = body === undefined ? {} : { 'Content-Length': String(body.length) }
    return await new Promise((resolve, reject) => {
      const { agent, way } = this.#way(url)
      const request = (agent instanceof https.Agent ? https : http).request(url, {
        method,
        agent,
        ...way,
        headers: { ...all, ...length, ...(way.headers as http.OutgoingHttpHeaders | undefined) },
        timeout: this.#milliseconds,
        signal,
      })
      request.on('response', resolve)
      request.on('timeout', () => request.destroy(new PassingFailure('the server does not answer', { way: 'silent' })))
      request.on('error', (error: NodeJS.ErrnoException) => reject(brokenConnection(error)))
      request.end(body)
    })
  }

  /** What a GET is sent with; undefined where it goes through a proxy. @throws what a signer throws. */
  async directHeaders(
    url: URL,
    headers: Readonly<Record<string, string>>,
  ): Promise<Readonly<Record<string, string>> | undefined> {
    return proxyFor(url, this.#proxies) === undefined
      ? await this.#headersFor({ method: 'GET', url, headers })
      : undefined
  }

  /** Closes connections that nothing is asked of. */
  closeIdle(): void {
    for (const { freeSockets } of [this.#agents.http, this.#agents.https])
      for (const sockets of Object.values(freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  /** Credentials go to the server that was named alone; one that leads elsewhere may name others for that address. */
  async #headersFor(request: UnsignedRequest): Promise<Readonly<Record<string, string>>> {
    const isOwn = new URL(this.#address.url).origin === request.url.origin
    const own = isOwn ? this.#own : {}
    const named = basicCredentials(request.url)
    const headers = {
      ...own,
      ...(named === undefined ? {} : { Authorization: named }),
      'Accept-Encoding': 'identity',
      'User-Agent': 'vdisk',
      ...request.headers,
    }
    const signer = isOwn ? await this.#loadedSigner() : undefined
    return { ...headers, ...(await signer?.sign({ ...request, headers })) }
  }

  /**
   * Reads the body of an answer that says no, and throws what it means.
   * @throws PassingFailure, ImageError usage, by its status and what the server says.
   */
  async refuse(answer: IncomingMessage): Promise<never> {
    const signer = await this.#loadedSigner()
    if (signer?.explain === undefined) return refuseStatus(answer, this.label)
    const body = await answerText(answer)
    return refuseStatus(answer, this.label, signer.explain(answer.statusCode ?? 0, body, answer.headers))
  }

  /** How a server is reached: by itself, or through a proxy. */
  #way(url: URL): { readonly agent: http.Agent; readonly way: http.RequestOptions } {
    const { http: plain, https: secure, tunnel, proxy: toProxy } = this.#agents
    const proxy = proxyFor(url, this.#proxies)
    if (url.protocol === 'https:') return { agent: proxy === undefined ? secure : (tunnel ?? secure), way: {} }
    return proxy === undefined ? { agent: plain, way: {} } : { agent: toProxy, way: throughProxy(url, proxy) }
  }

  async #loadedSigner(): Promise<Signer | undefined> {
    const { signer } = this.#address
    if (signer !== undefined) this.#signer ??= loadSigner(signer.module, signer.data)
    return await this.#signer
  }

  #next(url: URL, location: string, count: number): URL {
    const wrong = (why: string, hint?: string) => usage('E_HTTP_REDIRECT', `${this.label}: ${why}`, { hint })
    if (count >= mostRedirects) throw wrong('it leads from one address to another without an end')
    let next: URL
    try {
      next = new URL(asUtf8(location), url)
    } catch {
      throw wrong('it leads to what is no address')
    }
    if (!isHttp(next)) throw wrong(`it leads to an address of another kind, ${next.protocol}`)
    if (next.username + next.password !== '' && basicCredentials(next) === undefined)
      throw wrong('it leads to an address whose name or password is not percent-encoded')
    if (url.protocol === 'https:' && next.protocol === 'http:')
      throw wrong(
        `it leads from https to ${shownUrl(next)}, where anybody on the way could change the image`,
        'Give that address itself if you trust the network.',
      )
    return next
  }
}

/** An address as a header has it, where bytes of UTF-8 stand for themselves: Node gives each byte as a character. */
function asUtf8(header: string): string {
  const text = Buffer.from(header, 'latin1').toString()
  return text.includes('\ufffd') ? header : text
}

/** Fills `target` whole with the body of an answer. @throws PassingFailure when it ends too early. */
export async function fill(answer: IncomingMessage, target: Uint8Array): Promise<void> {
  await scatter(answer, [{ target, settle: () => undefined }])
}

/**
 * Fills memory, piece by piece, with the body of an answer. @param left loses each piece as it is full, and settled.
 * @throws PassingFailure when the body ends too early, or goes on.
 */
export function scatter(
  answer: IncomingMessage,
  left: { readonly target: Uint8Array; readonly settle: () => void }[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    let at = 0
    answer.on('data', (bytes: Buffer) => {
      for (let from = 0; from < bytes.length;) {
        const [piece] = left
        if (piece === undefined) {
          answer.destroy(new PassingFailure('the answer is longer than what was asked for'))
          return
        }
        const { target, settle } = piece
        const count = Math.min(bytes.length - from, target.length - at)
        target.set(from === 0 && count === bytes.length ? bytes : bytes.subarray(from, from + count), at)
        from += count
        at += count
        if (at < target.length) continue
        at = 0
        left.shift()
        settle()
      }
    })
    answer.on('error', (error: NodeJS.ErrnoException) => reject(brokenConnection(error)))
    // What is no error (the end) comes before.
    answer.on('close', () => reject(new PassingFailure('the server closed the connection', { way: 'lost' })))
    answer.on('end', () => {
      if (left.length === 0) resolve()
      else reject(new PassingFailure('the answer ends before all that was asked for has come', { way: 'lost' }))
    })
  })
}

/** The body of an answer. @throws PassingFailure when the connection breaks. */
export async function* pieces(answer: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    for await (const bytes of answer) yield bytes as Buffer
  } catch (error) {
    throw brokenConnection(error as NodeJS.ErrnoException)
  }
}

function brokenConnection(error: NodeJS.ErrnoException): Error {
  if (error instanceof PassingFailure || isImageError(error)) return error
  if (error instanceof ProxyRefusal)
    return passing.has(error.status) ? new PassingFailure(error.message) : proxyError(error.message)
  if (isCertificateError(error.code ?? '')) return new PassingFailure(error.message, { way: 'untrusted' })
  const unreachable = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN'].includes(
    error.code ?? '',
  )
  return new PassingFailure(error.message, { way: unreachable ? 'unreachable' : 'lost' })
}

/** Codes of OpenSSL's verification, as Node names them. */
function isCertificateError(code: string): boolean {
  const kinds = ['ERR_TLS_CERT_', 'CERT_', 'CRL_', 'UNABLE_TO_', 'SELF_SIGNED_', 'DEPTH_ZERO_', 'HOSTNAME_MISMATCH']
  return [...kinds, 'INVALID_CA', 'PATH_LENGTH_'].some((kind) => code.startsWith(kind))
}

function proxyError(message: string): ImageError {
  return usage('E_HTTP_PROXY', message, {
    hint: 'Name and password of a proxy stand in its address; no_proxy names servers that are reached without one.',
  })
}

async function loadSigner(module: string, data: unknown): Promise<Signer> {
  const { default: make } = (await import(module)) as { readonly default: (data: unknown) => Signer | Promise<Signer> }
  return await make(data)
}

/** The first bytes of a short answer, as text; an answer that breaks off says nothing. */
export async function answerText(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let length = 0
  try {
    for await (const bytes of pieces(answer)) {
      parts.push(bytes)
      length += bytes.length
      if (length > longestRefusal) break
    }
  } catch (error) {
    if (!(error instanceof PassingFailure)) throw error
  }
  return Buffer.concat(parts).toString('utf8', 0, longestRefusal)
}

/** The body of an answer that is a document. @throws PassingFailure when the connection breaks, or it has no end. */
export async function documentOf(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of pieces(answer)) {
    length += part.length
    if (length > longestDocument) throw new PassingFailure('the answer is longer than any that is sent')
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}

/**
 * Throws away the body of an answer that says no.
 * @param said what the server says besides. @throws PassingFailure, ImageError usage, by its status.
 */
export function refuseStatus(answer: IncomingMessage, label: Label, said?: Explanation): never {
  const { statusCode = 0, headers } = answer
  answer.resume()
  const why = said === undefined ? String(statusCode) : `${statusCode}: ${said.message}`
  if (passing.has(statusCode) || said?.passes === true)
    throw new PassingFailure(`the server answers ${why}`, { pause: retryAfter(headers['retry-after'], Date.now()) })
  if (statusCode === 404 || statusCode === 410)
    throw usage('E_NOT_FOUND', `${label}: the server has no such file (${why})`, { hint: said?.hint })
  if (statusCode === 401 || statusCode === 403)
    throw usage('E_PERMISSION', `${label}: the server does not give it out (${why})`, {
      hint:
        said?.hint ??
        'Name and password stand in the address: https://name:password@host/…; a signed address may have expired.',
    })
  if (statusCode === 407) throw proxyError(`${label}: the proxy wants to know who asks (${why})`)
  throw usage('E_HTTP_STATUS', `${label}: the server answers ${why}`, { hint: said?.hint })
}

interface Trying {
  /** Nothing has worked yet: a server that cannot be reached is an error of the address then. */
  readonly isFirst?: boolean
  /** Something is written: it is an error of the target when it does not work in the end. */
  readonly isWriting?: boolean
  /** Ends pauses. */
  readonly signal?: AbortSignal
  /** How often at most; default: five times. */
  readonly tries?: number
  /** Is called with each failure after which it is tried again. */
  readonly onFailure?: () => void
}

/**
 * Does something until it works, with pauses that grow, as long as what keeps it from that may pass.
 * @throws ImageError usage E_HTTP_CONNECT; corrupt E_READ, E_CONNECTION_LOST, E_HTTP_TIMEOUT; target E_WRITE,
 * E_TARGET_LOST; aborted; what `work` throws besides PassingFailure.
 */
export async function again<Result>(
  label: Label,
  { isFirst = false, isWriting = false, signal, tries: most = mostTries, onFailure }: Trying,
  work: (tries: number) => Promise<Result>,
): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      stopIfAborted(signal)
      return await work(tries)
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw error
      if (error.way === 'unreachable' && isFirst)
        throw usage('E_HTTP_CONNECT', `${label}: the server cannot be reached: ${error.message}`, { cause: error })
      if (error.way === 'untrusted')
        throw usage('E_HTTP_CONNECT', `${label}: the server is not trusted: ${error.message}`, {
          hint: 'NODE_EXTRA_CA_CERTS names a file (PEM) with certificates that are trusted besides.',
          cause: error,
        })
      if (tries >= most) throw lastFailure(label, isWriting, most, error)
      onFailure?.()
      const usual = Math.min(longestPause, firstPause * 2 ** (tries - 1)) * Math.random()
      await pause(Math.min(longestPause, error.pause ?? usual), signal)
    }
  }
}

/** The error where it was tried often enough. */
function lastFailure(label: Label, isWriting: boolean, tries: number, cause: PassingFailure): ImageError {
  const why = `${cause.message} (${tries} tries)`
  if (cause.way === 'silent' && !isWriting) return corrupt('E_HTTP_TIMEOUT', `${label}: ${why}`, { cause })
  if (cause.way !== 'sound') return lostConnection(label, isWriting ? 'writing' : 'reading', why, cause)
  return isWriting
    ? targetError('E_WRITE', `${label} cannot be written: ${why}`, { cause })
    : corrupt('E_READ', `${label} cannot be read: ${why}`, { cause })
}

/** Ends early when it is interrupted. */
async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted === true) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    signal?.addEventListener('abort', done)
  })
}
