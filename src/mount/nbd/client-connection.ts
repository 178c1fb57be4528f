import type { Writable } from 'node:stream'
import { ImageError, isImageError, lostConnection, printable, targetError } from '../../errors.js'
import type { IncomingBytes } from './byte-reader.js'
import { agree, agreeOver, type Agreed, type ExportFacts } from './client-negotiation.js'
import { isClean, readsAsZero } from './entries.js'
import { protocolError } from './protocol-error.js'
import { isLast } from './replies.js'
import {
  allocationContext,
  blockDescriptor,
  chunkHeader,
  chunkMagic,
  chunkOffset,
  chunkType,
  commandType,
  errorNumber,
  errorPayload,
  firstErrorChunk,
  holePayload,
  request as requestLayout,
  requestMagic,
  simpleReply,
  simpleReplyMagic,
} from './structs.js'
import type { NbdAddress } from './uri.js'

/** What a chunk may have besides the data of a read. */
const longestChunk = 1024 * 1024
/** Chunks in which one read may come. */
const maximumChunks = 65536

/** One run of an export's status. */
export interface ExportRun {
  readonly length: number
  /** Nothing of it is to be read: it is zero, or as it was when a bitmap was begun. */
  readonly isLeftOut: boolean
}

export interface ClientRequest {
  readonly type: number
  readonly flags?: number
  readonly offset: number
  readonly length: number
  /** Of a write. */
  readonly payload?: Uint8Array
  /** Of a read: where its bytes go. */
  readonly target?: Uint8Array
}

interface Pending extends ClientRequest {
  readonly cookie: bigint
  resolve(runs: readonly ExportRun[]): void
  reject(error: unknown): void
  /** Of a read in chunks: what came in, and not yet put in order. */
  readonly covered: { readonly start: number; readonly end: number }[]
  runs: ExportRun[]
  error: ImageError | undefined
}

/**
 * A connection to an export: any number of requests at once. Whatever the server sends is checked before it is
 * believed.
 */
export class ClientConnection {
  readonly facts: ExportFacts
  readonly #stream: Writable
  readonly #reader: IncomingBytes
  readonly #where: string
  readonly #isLeftOut: (status: number) => boolean
  readonly #pending = new Map<bigint, Pending>()
  readonly #timer: NodeJS.Timeout
  #nextCookie = 1n
  /** When it became the server's turn to speak. */
  #asked = performance.now()
  #failure: Error | undefined
  #isLost = false

  private constructor(
    { stream, reader, facts }: Agreed,
    {
      where,
      milliseconds,
      context,
    }: { readonly where: string; readonly milliseconds: number; readonly context: string },
  ) {
    this.facts = facts
    this.#stream = stream
    this.#reader = reader
    this.#where = where
    this.#isLeftOut = context === allocationContext ? readsAsZero : isClean
    this.#timer = setInterval(
      () => {
        // A server may take its time to write and flush much; what is only read comes soon.
        const patience = [...this.#pending.values()].some(
          ({ type }) => type !== commandType.read && type !== commandType.blockStatus,
        )
          ? 10 * milliseconds
          : milliseconds
        if (this.#pending.size > 0 && performance.now() - Math.max(this.#asked, reader.heard) > patience)
          this.#reader.fail(
            new ImageError(
              'corrupt',
              'E_NBD_TIMEOUT',
              `${where}: the server has not answered for ${Math.round(patience / 1000)} seconds`,
            ),
          )
      },
      Math.min(1000, milliseconds),
    )
    void this.#receive()
  }

  /**
   * @param milliseconds how long the server may keep silent. @param context what block status is to say.
   * @throws ImageError as {@link agree}.
   */
  static async open(
    address: NbdAddress,
    where: string,
    milliseconds: number,
    context: string,
  ): Promise<ClientConnection> {
    return new ClientConnection(await agree(address, where, milliseconds, context), { where, milliseconds, context })
  }

  /** The same over a stream that stands already, and what reads it: the export without a name. */
  static async over(
    plain: Pick<Agreed, 'stream' | 'reader'>,
    where: string,
    milliseconds: number,
  ): Promise<ClientConnection> {
    const context = allocationContext
    const agreed = await agreeOver(plain, { name: '', tls: false }, { where, milliseconds, context })
    return new ClientConnection(agreed, { where, milliseconds, context })
  }

  /** Requests without a reply yet. */
  get load(): number {
    return this.#pending.size
  }

  get failed(): boolean {
    return this.#failure !== undefined
  }

  /** The stream ended or broke, in whatever way: what the server sent was in order. */
  get isLost(): boolean {
    return this.#isLost
  }

  /**
   * Sends a request, and gives what came of it: for a block status its runs, which begin at the offset. @throws
   * ImageError
   */
  request(wanted: ClientRequest): Promise<readonly ExportRun[]> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(failureOf(wanted, this.#failure))
        return
      }
      const cookie = this.#nextCookie++
      if (this.#pending.size === 0) this.#asked = performance.now()
      this.#pending.set(cookie, { ...wanted, cookie, resolve, reject, covered: [], runs: [], error: undefined })
      this.#send(wanted, cookie)
    })
  }

  /** Says goodbye, and closes. */
  close(): void {
    if (this.#failure !== undefined) return
    this.#send({ type: commandType.disconnect, offset: 0, length: 0 }, 0n)
    this.#fail(new Error('the connection was closed'))
    this.#stream.end()
  }

  #send({ type, flags = 0, offset, length, payload }: ClientRequest, cookie: bigint): void {
    const header = requestLayout.write({ magic: requestMagic, flags, type, cookie, offset: BigInt(offset), length })
    if (payload === undefined) this.#stream.write(header)
    else {
      this.#stream.cork()
      this.#stream.write(header)
      this.#stream.write(payload)
      this.#stream.uncork()
    }
  }

  async #receive(): Promise<void> {
    try {
      for (;;) await this.#reply()
    } catch (error) {
      this.#isLost = !isImageError(error)
      const why = error instanceof Error ? error.message : String(error)
      this.#fail(isImageError(error) ? error : lostConnection(this.#where, 'reading', why, error))
      this.#stream.destroy()
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error
    clearInterval(this.#timer)
    for (const pending of this.#pending.values()) pending.reject(failureOf(pending, this.#failure))
    this.#pending.clear()
  }

  async #reply(): Promise<void> {
    const start = Buffer.from(await this.#reader.take(simpleReply.size))
    const { magic, error, cookie } = simpleReply.read(start)
    if (magic === simpleReplyMagic) {
      await this.#simple(this.#find(cookie), error)
      return
    }
    const header = chunkHeader.read(
      Buffer.concat([start, await this.#reader.take(chunkHeader.size - simpleReply.size)]),
    )
    if (header.magic !== chunkMagic || !this.facts.structured)
      throw protocolError(this.#where, 'a reply is not built as it should be')
    const pending = this.#find(header.cookie)
    await this.#chunk(pending, header.type, header.length)
    if (isLast(header.flags)) this.#settle(pending)
  }

  #find(cookie: bigint): Pending {
    const pending = this.#pending.get(cookie)
    if (pending === undefined) throw protocolError(this.#where, 'a reply came to nothing that was asked')
    return pending
  }

  async #simple(pending: Pending, error: number): Promise<void> {
    if (pending.type === commandType.read && this.facts.structured)
      throw protocolError(this.#where, 'a read was answered without chunks')
    if (error !== 0) pending.error = this.#refusal(pending, error, '')
    else if (pending.target !== undefined) {
      await this.#reader.into(pending.target)
      pending.covered.push({ start: 0, end: pending.length })
    }
    this.#settle(pending)
  }

  async #chunk(pending: Pending, type: number, length: number): Promise<void> {
    if (type === chunkType.offsetData) {
      const target = await this.#place(pending, length, length - chunkOffset.size)
      await this.#reader.into(target)
      return
    }
    if (length > longestChunk) throw protocolError(this.#where, `a chunk of ${length} bytes`)
    if (type === chunkType.offsetHole) {
      if (length !== holePayload.size) throw protocolError(this.#where, 'a chunk is not built as it should be')
      const { offset, size } = holePayload.read(await this.#reader.take(length))
      this.#cover(pending, offset, size).fill(0)
      return
    }
    const payload = await this.#reader.take(length)
    if (type === chunkType.blockStatus) this.#status(pending, payload)
    else if (type >= firstErrorChunk) this.#error(pending, payload)
    else if (type !== chunkType.none || length > 0)
      throw protocolError(this.#where, `a chunk of the unknown type ${type}`)
  }

  /** Where the data of a chunk goes. */
  async #place(pending: Pending, length: number, size: number): Promise<Uint8Array> {
    if (length <= chunkOffset.size) throw protocolError(this.#where, 'a chunk without data')
    const { offset } = chunkOffset.read(await this.#reader.take(chunkOffset.size))
    return this.#cover(pending, offset, size)
  }

  #cover({ target, offset: begin, length, covered }: Pending, offset: bigint, size: number): Uint8Array {
    const start = offset - BigInt(begin)
    if (
      target === undefined ||
      start < 0n ||
      size === 0 ||
      start + BigInt(size) > BigInt(length) ||
      covered.length >= maximumChunks
    ) {
      throw protocolError(this.#where, `${size} bytes came for offset ${offset}, which were not asked for`)
    }
    covered.push({ start: Number(start), end: Number(start) + size })
    return target.subarray(Number(start), Number(start) + size)
  }

  #status(pending: Pending, payload: Buffer): void {
    const count = (payload.length - 4) / blockDescriptor.size
    if (
      pending.type !== commandType.blockStatus ||
      pending.runs.length > 0 ||
      !Number.isInteger(count) ||
      count < 1 ||
      payload.readUInt32BE(0) !== this.facts.context
    ) {
      throw protocolError(this.#where, 'a block status is not built as it should be')
    }
    let done = 0
    for (let index = 0; index < count && done < pending.length; index++) {
      const { length, status } = blockDescriptor.read(payload, 4 + index * blockDescriptor.size)
      if (length === 0) throw protocolError(this.#where, 'a block status of no bytes')
      // The last one may reach further than was asked.
      pending.runs.push({ length: Math.min(length, pending.length - done), isLeftOut: this.#isLeftOut(status) })
      done += length
    }
  }

  #error(pending: Pending, payload: Buffer): void {
    if (payload.length < errorPayload.size) throw protocolError(this.#where, 'an error is not built as it should be')
    const { error, messageLength } = errorPayload.read(payload)
    const message = payload
      .subarray(errorPayload.size, errorPayload.size + messageLength)
      .toString()
      .slice(0, 400)
    pending.error ??= this.#refusal(pending, error, message)
  }

  #refusal({ type, offset, length }: ClientRequest, error: number, message: string): ImageError {
    const reason = message === '' ? (errorNames.get(error) ?? `error ${error}`) : printable(message)
    const details = { offset, length, error }
    if (type === commandType.read || type === commandType.blockStatus)
      return new ImageError(
        'corrupt',
        'E_READ',
        `${this.#where}: cannot read ${length} bytes at offset ${offset}: ${reason}`,
        { details },
      )
    const code =
      error === errorNumber.noSpace
        ? 'E_NO_SPACE'
        : error === errorNumber.permission
          ? 'E_WRITE_PERMISSION'
          : error === errorNumber.notSupported
            ? 'E_NOT_SUPPORTED'
            : 'E_WRITE'
    const failure =
      type === commandType.flush
        ? 'what was written cannot be flushed'
        : `cannot write ${length} bytes at offset ${offset}`
    return new ImageError('target', code, `${this.#where}: ${failure}: ${reason}`, { details })
  }

  #settle(pending: Pending): void {
    if (pending.error !== undefined) {
      this.#pending.delete(pending.cookie)
      pending.reject(pending.error)
      return
    }
    if (pending.type === commandType.read && !isWhole(pending))
      throw protocolError(
        this.#where,
        `not all of ${pending.length} bytes at offset ${pending.offset} came, or some twice`,
      )
    if (pending.type === commandType.blockStatus && pending.runs.length === 0)
      throw protocolError(this.#where, 'a block status came without runs')
    this.#pending.delete(pending.cookie)
    pending.resolve(pending.runs)
  }
}

/** What a request that writes fails with: what became of the target is no fault of a source. */
function failureOf({ type }: ClientRequest, failure: Error): Error {
  const isReading = type === commandType.read || type === commandType.blockStatus
  if (isReading || !isImageError(failure) || !lostCodes.has(failure.code)) return failure
  return targetError('E_TARGET_LOST', failure.message, { cause: failure })
}

const lostCodes: ReadonlySet<string> = new Set(['E_CONNECTION_LOST', 'E_NBD_TIMEOUT'])

/** Whether every byte of a read came once. */
function isWhole({ covered, length }: Pending): boolean {
  let end = 0
  for (const range of covered.sort((a, b) => a.start - b.start)) {
    if (range.start !== end) return false
    ;({ end } = range)
  }
  return end === length
}

const errorNames = new Map<number, string>([
  [errorNumber.permission, 'not permitted'],
  [errorNumber.io, 'input/output error'],
  [errorNumber.memory, 'out of memory'],
  [errorNumber.invalid, 'invalid request'],
  [errorNumber.noSpace, 'no space left'],
  [errorNumber.overflow, 'too long'],
  [errorNumber.notSupported, 'not supported'],
  [errorNumber.shutdown, 'the server is shutting down'],
])
