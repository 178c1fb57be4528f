import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { targetError, type Label } from '../../errors.js'
import { retryAfter } from '../http/answer.js'
import { again, answerText, PassingFailure } from '../http/request.js'
import type { OciOptions } from './environment.js'
import { mostManifestBytes, manifestTypes } from './manifest.js'
import { ownPlatform } from './platform.js'
import type { OciReference } from './reference.js'
import { bodyOf, registryError, RegistrySession, type Asking } from './session.js'

/** What writes a tag of a registry. It throws ImageError: target E_WRITE, E_WRITE_PERMISSION; aborted. */
export class RegistryWriter implements Disposable {
  readonly label: Label
  readonly base: URL
  readonly #session: RegistrySession
  readonly #tag: string
  #signal: AbortSignal | undefined
  #reached = false

  constructor(reference: OciReference & { readonly tag: string }, options: OciOptions, signal?: AbortSignal) {
    this.#session = new RegistrySession(reference, options, 'pull,push')
    this.label = reference.label
    this.base = this.#session.base
    this.#tag = reference.tag
    this.#signal = signal
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]()
  }

  /** What takes back what was begun is not interrupted. */
  ignoreSignal(): void {
    this.#signal = undefined
  }

  /** The platform that an image has where nothing else is said. */
  get ownPlatform(): string {
    return ownPlatform(process.arch)
  }

  /** What the tag leads to; undefined where it leads to nothing. */
  async standing(): Promise<{ readonly version: string } | undefined> {
    const headers = { Accept: manifestTypes.join(', ') }
    return await this.ask({ method: 'GET', path: this.#manifest, headers }, [404], async (answer) => {
      if (answer.statusCode === 404) {
        await answerText(answer)
        return undefined
      }
      return { version: digestOf(await bodyOf(answer, mostManifestBytes, this.label)) }
    })
  }

  /**
   * Gives the tag to a manifest. @param guard is asked before each try, and throws where it is not to be done.
   * @returns its digest.
   */
  async putManifest(manifest: Buffer, type: string, guard: () => Promise<void>): Promise<string> {
    const digest = digestOf(manifest)
    await this.tryAgain(async (tries) => {
      // A request whose answer was lost may have been done.
      if (tries > 1 && (await this.standing())?.version === digest) return
      await guard()
      const answer = await this.send({
        method: 'PUT',
        path: this.#manifest,
        headers: { 'Content-Type': type },
        body: manifest,
      })
      const text = await answerText(answer)
      if (answer.statusCode !== 201) throw this.refusal(answer, text)
      const said = answer.headers['docker-content-digest']
      if (said !== undefined && said !== digest)
        throw targetError('E_WRITE', `${this.label}: the registry has another manifest than was sent`)
    })
    return digest
  }

  /** Removes the tag, not what it leads to, which may have others. @returns whether it is gone. */
  async removeTag(version: string): Promise<boolean> {
    if ((await this.standing())?.version !== version) return false
    return await this.ask({ method: 'DELETE', path: this.#manifest }, [400, 404, 405], async (answer) => {
      await answerText(answer)
      return answer.statusCode === 202 || answer.statusCode === 404
    })
  }

  /** One question, tried again. @param takes statuses that are answers besides those below 300. */
  async ask<Result>(
    asking: Asking,
    takes: readonly number[],
    read: (answer: IncomingMessage) => Promise<Result>,
  ): Promise<Result> {
    return await this.tryAgain(async () => {
      const answer = await this.send(asking)
      const { statusCode = 0 } = answer
      if (statusCode < 300 || takes.includes(statusCode)) return await read(answer)
      throw this.refusal(answer, await answerText(answer))
    })
  }

  async send(asking: Asking): Promise<IncomingMessage> {
    const answer = await this.#session.ask({ signal: this.#signal, ...asking })
    this.#reached = true
    return answer
  }

  async tryAgain<Result>(work: (tries: number) => Promise<Result>): Promise<Result> {
    return await again(this.label, { isFirst: !this.#reached, isWriting: true, signal: this.#signal }, work)
  }

  /** What an answer that says no means. */
  refusal({ statusCode = 0, headers }: IncomingMessage, text: string): Error {
    const said = registryError(text)
    const why = `the registry answers ${statusCode}${said === undefined ? '' : `: ${said}`}`
    if (statusCode === 408 || statusCode === 429 || statusCode >= 500)
      return new PassingFailure(why, { pause: retryAfter(headers['retry-after'], Date.now()) })
    if (statusCode === 401 || statusCode === 403) return this.#session.notAllowed(why)
    return targetError('E_WRITE', `${this.label} cannot be written: ${why}`)
  }

  get #manifest(): string {
    return `manifests/${this.#tag}`
  }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
