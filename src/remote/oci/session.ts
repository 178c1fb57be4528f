import type { IncomingMessage } from 'node:http'
import { corrupt, printable, targetError, usage, type ImageError, type Label } from '../../errors.js'
import { keepSecret } from '../../sys/secrets.js'
import type { Explanation, Signer } from '../http/address.js'
import { again, answerText, pieces, PassingFailure, refuseStatus, Requester } from '../http/request.js'
import { parseChallenge, type Challenge } from './challenge.js'
import { credentialsFor, type Credentials } from './credentials.js'
import type { OciOptions } from './environment.js'
import { isLoopback, repositoryUrl, type OciReference } from './reference.js'

/** A question to the registry. */
export interface Asking {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  /** Within the repository (`manifests/latest`), or an address that the registry gave out. */
  readonly path: string | URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal?: AbortSignal
}

/** Tokens are shorter than this, in characters; longer ones are no headers that servers take. */
const longestToken = 32768
/** What identifies this program where a token is asked for. */
const clientId = 'vdisk'

/**
 * Requests to one repository of a registry (OCI Distribution 1.1). What the registry asks for first (Basic, or a token
 * of its server of tokens) is had when it says so, and again when it has expired. Nothing that opens it is printed.
 */
export class RegistrySession implements Signer, Disposable {
  readonly label: Label
  readonly base: URL
  readonly requester: Requester
  readonly #reference: OciReference
  readonly #options: OciOptions
  readonly #actions: 'pull' | 'pull,push'
  #challenge: Challenge | undefined
  #authorization: string | undefined
  #authenticating: Promise<void> | undefined
  /** Whether the registry has accepted who asks: what it refuses later has expired. */
  #worked = false
  #logged: Promise<Credentials | undefined> | undefined

  constructor(reference: OciReference, options: OciOptions, actions: 'pull' | 'pull,push') {
    this.label = reference.label
    this.base = new URL(repositoryUrl(reference, options.plain))
    this.#reference = reference
    this.#options = options
    this.#actions = actions
    this.requester = new Requester({ url: this.base.href, label: this.label }, { ...options.http, signer: this })
  }

  [Symbol.dispose](): void {
    this.requester[Symbol.dispose]()
  }

  /** Headers for requests to the registry itself; where it leads elsewhere none are sent. */
  async sign(): Promise<Readonly<Record<string, string>>> {
    if (this.#authorization === undefined && this.#challenge !== undefined) {
      this.#authenticating ??= this.#authenticate(this.#challenge).finally(() => {
        this.#authenticating = undefined
      })
      await this.#authenticating
    }
    return this.#authorization === undefined ? {} : { Authorization: this.#authorization }
  }

  explain(status: number, body: string): Explanation | undefined {
    const message = registryError(body)
    if (status !== 401) return message === undefined ? undefined : { message }
    // A token lives for minutes: the next request has a new one.
    this.#authorization = undefined
    return { message: message ?? 'it wants to know who asks', hint: this.#loginHint, passes: this.#worked }
  }

  /**
   * Asks once, and again with what the registry demands. @returns the answer, whose body is to be read or thrown away.
   * @throws PassingFailure; ImageError usage E_PERMISSION, E_OCI_LOGIN; corrupt E_HTTP_PROTOCOL.
   */
  async ask(asking: Asking): Promise<IncomingMessage> {
    const first = await this.#send(asking)
    if (first.statusCode !== 401) return this.#accepted(first)
    const header = first.headers['www-authenticate']
    await answerText(first)
    const challenge = parseChallenge(header)
    if (challenge === undefined)
      throw usage('E_PERMISSION', `${this.label}: the registry refuses it (401), and does not say what it wants`)
    this.#challenge = challenge
    this.#authorization = undefined
    await this.#authenticate(challenge)
    const second = await this.#send(asking)
    if (second.statusCode !== 401) return this.#accepted(second)
    throw this.#refusedLogin(registryError(await answerText(second)))
  }

  /**
   * Gets something, tried again while what keeps it from success may pass.
   * @param isFirst whether nothing was asked before. @param read makes the result of the answer, and reads its body.
   */
  async get<Result>(
    asking: Pick<Asking, 'path' | 'headers'>,
    isFirst: boolean,
    read: (answer: IncomingMessage) => Promise<Result>,
  ): Promise<Result> {
    return await again(this.label, { isFirst }, async () => {
      const answer = await this.ask({ method: 'GET', ...asking })
      if ((answer.statusCode ?? 0) < 300) return await read(answer)
      const message = registryError(await answerText(answer))
      return refuseStatus(answer, this.label, message === undefined ? undefined : { message, hint: this.#hint(answer) })
    })
  }

  async #send({ method, path, headers, body, signal }: Asking): Promise<IncomingMessage> {
    return await this.requester.send(new URL(path, this.base), { method, headers, body, signal })
  }

  #accepted(answer: IncomingMessage): IncomingMessage {
    if (this.#authorization !== undefined && (answer.statusCode ?? 0) < 400) this.#worked = true
    return answer
  }

  #hint({ statusCode }: IncomingMessage): string | undefined {
    return statusCode === 401 || statusCode === 403 ? this.#loginHint : undefined
  }

  get #loginHint(): string {
    return `Log in first: skopeo login ${this.#reference.registry}, or docker login.`
  }

  /** @param why an end of a sentence. */
  notAllowed(why: string): ImageError {
    return this.#actions === 'pull'
      ? usage('E_PERMISSION', `${this.label}: the registry does not give it out: ${why}`, { hint: this.#loginHint })
      : targetError('E_WRITE_PERMISSION', `${this.label} cannot be written: ${why}`, { hint: this.#loginHint })
  }

  #refusedLogin(said: string | undefined): ImageError {
    return this.notAllowed(`the registry answers 401${said === undefined ? '' : `: ${said}`}`)
  }

  /** Who asks: looked up when the registry wants to know, and once. */
  async #credentials(): Promise<Credentials | undefined> {
    this.#logged ??= credentialsFor(this.#reference, this.#options.authFiles)
    return await this.#logged
  }

  async #authenticate(challenge: Challenge): Promise<void> {
    const credentials = await this.#credentials()
    if (challenge.kind === 'basic') {
      if (credentials?.kind !== 'password') throw this.#refusedLogin('it wants a name and a password')
      this.#authorization = basic(credentials)
      return
    }
    const token = await this.#token(challenge, credentials)
    keepSecret(token, '…')
    this.#authorization = `Bearer ${token}`
  }

  /** A token of the server that the registry names (Distribution, "Token Authentication"). */
  async #token(
    { realm, service, scope }: Extract<Challenge, { kind: 'bearer' }>,
    credentials: Credentials | undefined,
  ): Promise<string> {
    const url = this.#realmUrl(realm)
    const wanted = scope ?? `repository:${this.#reference.repository}:${this.#actions}`
    const fields = { ...(service === undefined ? {} : { service }), scope: wanted }
    using requester = new Requester({ url: url.href, label: this.label }, this.#options.http)
    return await again(this.label, {}, async () => {
      const answer = await requester.send(...tokenRequest(url, fields, credentials))
      const { statusCode = 0 } = answer
      const text = await answerText(answer)
      if (statusCode === 400 || statusCode === 401 || statusCode === 403) throw this.#refusedLogin(registryError(text))
      if (statusCode !== 200) return refuseStatus(answer, this.label, { message: 'it was asked for a token' })
      const token = tokenIn(text)
      if (token === undefined)
        throw corrupt('E_HTTP_PROTOCOL', `${this.label}: the server of tokens that the registry names gives none`)
      return token
    })
  }

  /** Where passwords are sent to: never unencrypted, unless the registry itself is reached so. */
  #realmUrl(realm: string): URL {
    const wrong = (why: string): ImageError =>
      corrupt('E_HTTP_PROTOCOL', `${this.label}: the registry sends to a server of tokens ${why}`)
    let url: URL
    try {
      url = new URL(realm)
    } catch {
      throw wrong('whose address is none')
    }
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw wrong(`of another kind, ${printable(url.protocol)}`)
    if (url.protocol === 'http:' && this.base.protocol === 'https:' && !isLoopback(url.hostname))
      throw wrong('that is reached without encryption, where a password could be read on the way')
    if (url.username !== '' || url.password !== '') throw wrong('with a name and a password of its own')
    return url
  }
}

function basic({ user, password }: Extract<Credentials, { kind: 'password' }>): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

function tokenRequest(
  url: URL,
  fields: Readonly<Record<string, string>>,
  credentials: Credentials | undefined,
): Parameters<Requester['send']> {
  if (credentials?.kind === 'identity') {
    const form = { ...fields, grant_type: 'refresh_token', refresh_token: credentials.token, client_id: clientId }
    const body = Buffer.from(new URLSearchParams(form).toString())
    return [url, { method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body }]
  }
  const asked = new URL(url)
  for (const [name, value] of Object.entries(fields)) asked.searchParams.set(name, value)
  return [asked, { headers: credentials === undefined ? {} : { Authorization: basic(credentials) } }]
}

function tokenIn(text: string): string | undefined {
  try {
    const { token, access_token: other } = JSON.parse(text) as { token?: unknown; access_token?: unknown }
    const found = typeof token === 'string' && token !== '' ? token : other
    const isToken = typeof found === 'string' && found.length <= longestToken && /^[\x21-\x7e]+$/.test(found)
    return isToken ? found : undefined
  } catch {
    return undefined
  }
}

/** What a registry says of an error, as an end of a sentence: `MANIFEST_UNKNOWN, manifest unknown`. */
export function registryError(body: string): string | undefined {
  try {
    const { errors } = JSON.parse(body) as { errors?: unknown }
    const first = (Array.isArray(errors) ? errors[0] : undefined) as { code?: unknown; message?: unknown } | undefined
    const parts = [first?.code, first?.message].filter((part) => typeof part === 'string' && part !== '')
    return parts.length === 0 ? undefined : printable(parts.join(', ').slice(0, 200))
  } catch {
    return undefined
  }
}

/** The whole body of an answer. @throws PassingFailure when it breaks off; ImageError corrupt E_OCI_MANIFEST. */
export async function bodyOf(answer: IncomingMessage, most: number, label: Label): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of pieces(answer)) {
    length += part.length
    if (length > most) {
      answer.destroy()
      throw corrupt('E_OCI_MANIFEST', `${label}: its manifest has more than ${most} bytes, and no manifest has`)
    }
    parts.push(part)
  }
  const announced = answer.headers['content-length']
  if (announced !== undefined && Number(announced) !== length)
    throw new PassingFailure(`the answer ends after ${length} of ${announced} bytes`)
  return Buffer.concat(parts)
}
