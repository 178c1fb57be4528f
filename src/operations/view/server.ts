import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { isOutOfFiles, printable, targetError } from '../../errors.js'
import { queryValues } from './links.js'

/** What a browser asked for, below the address that only the person who started the server knows. */
export interface PageRequest {
  readonly method: 'GET' | 'POST'
  /** Parts of the path behind the token, which may hold empty ones. */
  readonly path: readonly string[]
  /** Values of the query, or of the form that was sent. */
  readonly values: ReadonlyMap<string, string>
  readonly response: ServerResponse
  /** Fires when the browser is gone, or the server ends. */
  readonly signal: AbortSignal
}

export type PageHandler = (request: PageRequest) => Promise<void>

/** Nothing is fetched from elsewhere, no page of another may hold these, and no script runs but the server's own. */
const policy = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  "script-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const headers: Readonly<Record<string, string>> = {
  'Content-Security-Policy': policy,
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

/** No form of ours is longer. */
const longestForm = 16384

/**
 * A server of pages for one person at this machine. It listens on the loopback address alone, and answers only below
 * a path of 128 random bits: cookies would go to every other server of this machine as well.
 */
export class PageServer implements AsyncDisposable {
  readonly token = randomBytes(16).toString('hex')
  readonly #server: Server
  readonly #handler: PageHandler
  readonly #ending = new AbortController()
  #port = 0

  constructor(handler: PageHandler) {
    this.#handler = handler
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  /** The address that people open. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}/${this.token}/`
  }

  /** @param port 0: any that is free. @throws ImageError target E_LISTEN. */
  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        // No other port would be better.
        if (isOutOfFiles(error)) {
          reject(error)
          return
        }
        const why = error.code === 'EADDRINUSE' ? 'another program listens there' : error.message
        reject(
          targetError('E_LISTEN', `vdisk cannot listen at port ${port}: ${why}`, {
            cause: error,
            hint: 'Choose another port with --port, or leave it out.',
          }),
        )
      })
      this.#server.listen(port, '127.0.0.1', resolve)
    })
    const address = this.#server.address()
    this.#port = typeof address === 'object' && address !== null ? address.port : port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    const { method, url = '' } = request
    const [path = '', query = ''] = url.split('?', 2)
    const [, token = '', ...parts] = path.split('/')
    if (!this.#isMine(request.headers.host) || !this.#isToken(token)) {
      plain(response, 404, 'There is nothing here. The address that vdisk printed is needed, all of it.')
      return
    }
    if (method !== 'GET' && method !== 'POST') {
      plain(response, 405, 'Only GET and POST are understood.')
      return
    }
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const form = method === 'POST' ? await formOf(request) : query
    if (form === undefined) {
      plain(response, 413, 'The form is too long.')
      return
    }
    await this.#handler({
      method,
      path: parts,
      values: queryValues(form),
      response,
      signal: AbortSignal.any([gone.signal, this.#ending.signal]),
    })
  }

  /** A name that leads here from elsewhere (DNS rebinding) is not this server's. */
  #isMine(host: string | undefined): boolean {
    return host === `127.0.0.1:${this.#port}` || host === `localhost:${this.#port}`
  }

  #isToken(text: string): boolean {
    const [given, own] = [Buffer.from(text), Buffer.from(this.token)]
    return given.length === own.length && timingSafeEqual(given, own)
  }
}

/** An answer of one line. */
export function plain(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
  response.end(`${printable(text)}\n`)
}

async function formOf(request: IncomingMessage): Promise<string | undefined> {
  let text = ''
  for await (const piece of request.setEncoding('latin1')) {
    text += piece as string
    if (text.length > longestForm) return undefined
  }
  return text
}
