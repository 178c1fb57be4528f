import type { IncomingHttpHeaders } from 'node:http'
import { printable, usage, type Label } from '../../errors.js'
import { isPlainText } from '../../sys/host-fs.js'
import { keepSecret } from '../../sys/secrets.js'

/**
 * A module whose default export makes a {@link Signer} of `data`. Requests are sent by threads, which import it by its
 * address.
 */
export interface SignerModule {
  readonly module: string
  /** What can be handed to a thread. */
  readonly data: unknown
}

/** A request before it is sent. */
export interface UnsignedRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

export interface Signer {
  /** @returns headers to be sent besides. */
  sign(request: UnsignedRequest): Promise<Readonly<Record<string, string>>> | Readonly<Record<string, string>>
  /**
   * What an answer that says no means. @param body its first bytes, as text. @param headers those of the answer.
   * @returns an end of a sentence without secrets, and what to do; undefined where the status alone says it.
   */
  explain?(status: number, body: string, headers: IncomingHttpHeaders): Explanation | undefined
}

/** What a server says besides the status. */
export interface Explanation {
  /** `the credentials have expired (ExpiredToken)` */
  readonly message: string
  readonly hint?: string
  /** The same request may be answered otherwise later. */
  readonly passes?: boolean
}

/** A file of a web server. */
export interface HttpAddress {
  /** Without the name and password, which go into a header. */
  readonly url: string
  /** The value of the `Authorization` header. */
  readonly authorization?: string
  /** What signs each request, where that is not done by a header alone. */
  readonly signer?: SignerModule
  /** What people see: without name, password and query, which may be a signature that opens the file. */
  readonly label: Label
}

/** @throws ImageError usage E_HTTP_URL. */
export function parseHttpAddress(text: string): HttpAddress {
  const wrong = (why: string) =>
    usage('E_HTTP_URL', `this is no http or https address: ${why}`, {
      hint: 'For example https://cloud.example/images/disk.qcow2',
    })
  if (!isPlainText(text)) throw wrong('it is not UTF-8')
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw wrong('it cannot be taken apart')
  }
  if (!isHttp(url)) throw wrong(`it begins with ${url.protocol}`)
  url.hash = ''
  const label = shownUrl(url)
  keepSecret(text, label)
  if (url.username === '' && url.password === '') return { url: url.href, label }
  const authorization = basicCredentials(url)
  if (authorization === undefined) throw wrong('its name or password is not percent-encoded')
  url.username = ''
  url.password = ''
  keepSecret(url.href, label)
  return { url: url.href, authorization, label }
}

export function isHttp({ protocol }: URL): boolean {
  return protocol === 'http:' || protocol === 'https:'
}

/** An address as people see it. */
export function shownUrl(url: URL): Label {
  return printable(`${url.protocol}//${url.host}${url.pathname}${url.search === '' ? '' : '?…'}`)
}

/** The `Authorization` header for the name and password in an address; undefined where it has none that are encoded. */
export function basicCredentials({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  try {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    return `Basic ${Buffer.from(pair).toString('base64')}`
  } catch {
    return undefined
  }
}
