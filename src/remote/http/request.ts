import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { corrupt, isImageError, usage, type Label } from '../../errors.js'
import { isHttp, shownUrl, type HttpAddress } from './address.js'
import { retryAfter } from './answer.js'

/** Answers after which the same question may be asked again. */
const passing: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504])
const redirecting: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const mostRedirects = 10
/** How often one thing is asked for. */
const mostTries = 5
/** Milliseconds of the first pause; each further one is twice as long, up to the longest. */
const firstPause = 500
const longestPause = 30_000

/** Something that may be different the next time: a connection that broke, a server that is busy. */
export class PassingFailure extends Error {
  /** How long the server asked to be left alone, in milliseconds. */
  readonly pause: number | undefined
  /** The server was not reached at all. */
  readonly isUnreachable: boolean

  constructor(message: string, { pause, isUnreachable = false }: { pause?: number; isUnreachable?: boolean } = {}) {
    super(message)
    this.pause = pause
    this.isUnreachable = isUnreachable
  }
}

/** Where a file really is: addresses that lead elsewhere are followed once, not for each request. */
export interface FollowedAddress {
  readonly url: URL
  readonly isRedirected: boolean
}

interface RequesterOptions {
  /** How long a server may keep silent, in milliseconds. */
  readonly milliseconds: number
  readonly connections: number
  readonly headers?: Readonly<Record<string, string>>
}

/** Requests to one server, over connections that are kept. */
export class Requester implements Disposable {
  readonly #address: HttpAddress
  /** Headers for the server that was named, and for no other that it leads to. */
  readonly #own: Readonly<Record<string, string>>
  readonly #milliseconds: number
  readonly #connections: number
  readonly #agents: { readonly http: http.Agent; readonly https: https.Agent }

  constructor(address: HttpAddress, { milliseconds, connections, headers }: RequesterOptions) {
    this.#address = address
    this.#own = { ...(address.authorization === undefined ? {} : { Authorization: address.authorization }), ...headers }
    this.#milliseconds = milliseconds
    this.#connections = connections
    const options = { keepAlive: true, maxSockets: connections }
    this.#agents = { http: new http.Agent(options), https: new https.Agent(options) }
  }

  [Symbol.dispose](): void {
    this.#agents.http.destroy()
    this.#agents.https.destroy()
  }

  get label(): Label {
    return this.#address.label
  }

  /** Requests at once. */
  get connections(): number {
    return this.#connections
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
    headers: http.OutgoingHttpHeaders,
  ): Promise<{ answer: IncomingMessage; at: FollowedAddress }> {
    let at = from
    for (let count = 0; ; count++) {
      const answer = await this.get(at.url, headers)
      if (!redirecting.has(answer.statusCode ?? 0) || answer.headers.location === undefined) return { answer, at }
      answer.resume()
      at = { url: this.#next(at.url, answer.headers.location, count), isRedirected: true }
    }
  }

  /** One request. @returns its answer, whose body is to be read or thrown away. @throws PassingFailure. */
  get(url: URL, headers: http.OutgoingHttpHeaders): Promise<IncomingMessage> {
    const isSecure = url.protocol === 'https:'
    const own = new URL(this.#address.url).origin === url.origin ? this.#own : {}
    return new Promise((resolve, reject) => {
      const request = (isSecure ? https : http).get(url, {
        agent: isSecure ? this.#agents.https : this.#agents.http,
        headers: { ...own, 'Accept-Encoding': 'identity', 'User-Agent': 'vdisk', ...headers },
        timeout: this.#milliseconds,
      })
      request.on('response', resolve)
      request.on('timeout', () => request.destroy(new PassingFailure('the server does not answer')))
      request.on('error', (error: NodeJS.ErrnoException) => reject(brokenConnection(error)))
    })
  }

  #next(url: URL, location: string, count: number): URL {
    const wrong = (why: string, hint?: string) => usage('E_HTTP_REDIRECT', `${this.label}: ${why}`, { hint })
    if (count >= mostRedirects) throw wrong('it leads from one address to another without an end')
    let next: URL
    try {
      next = new URL(location, url)
    } catch {
      throw wrong('it leads to what is no address')
    }
    if (!isHttp(next)) throw wrong(`it leads to an address of another kind, ${next.protocol}`)
    if (url.protocol === 'https:' && next.protocol === 'http:')
      throw wrong(
        `it leads from https to ${shownUrl(next)}, where anybody on the way could change the image`,
        'Give that address itself if you trust the network.',
      )
    return next
  }
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
    answer.on('close', () => reject(new PassingFailure('the connection was closed')))
    answer.on('end', () => {
      if (left.length === 0) resolve()
      else reject(new PassingFailure('the answer ends before all that was asked for has come'))
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
  const unreachable = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN'].includes(
    error.code ?? '',
  )
  return new PassingFailure(error.message, { isUnreachable: unreachable })
}

/** Throws away the body of an answer that says no. @throws PassingFailure, ImageError usage, by its status. */
export function refuseStatus(answer: IncomingMessage, label: Label): never {
  const { statusCode = 0, headers } = answer
  answer.resume()
  if (passing.has(statusCode))
    throw new PassingFailure(`the server answers ${statusCode}`, {
      pause: retryAfter(headers['retry-after'], Date.now()),
    })
  if (statusCode === 404 || statusCode === 410)
    throw usage('E_NOT_FOUND', `${label}: the server has no such file (${statusCode})`)
  if (statusCode === 401 || statusCode === 403)
    throw usage('E_PERMISSION', `${label}: the server does not give it out (${statusCode})`, {
      hint:
        'Name and password stand in the address: https://name:password@host/…; ' + 'a signed address may have expired.',
    })
  throw usage('E_HTTP_STATUS', `${label}: the server answers ${statusCode}`)
}

/**
 * Does something until it works, with pauses that grow, as long as what keeps it from that may pass.
 * @param firstTime nothing has worked yet: a server that cannot be reached is an error of the address then.
 * @throws ImageError usage E_HTTP_CONNECT; corrupt E_READ; what `work` throws besides PassingFailure.
 */
export async function again<Result>(label: Label, firstTime: boolean, work: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof PassingFailure)) throw error
      const { message, isUnreachable } = error
      if (isUnreachable && firstTime)
        throw usage('E_HTTP_CONNECT', `${label}: the server cannot be reached: ${message}`, { cause: error })
      if (tries >= mostTries)
        throw corrupt('E_READ', `${label} cannot be read: ${message} (${mostTries} tries)`, { cause: error })
      const usual = Math.min(longestPause, firstPause * 2 ** (tries - 1)) * Math.random()
      await new Promise((resolve) => setTimeout(resolve, Math.min(longestPause, error.pause ?? usual)))
    }
  }
}
