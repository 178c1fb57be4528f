import net from 'node:net'
import fs from '../../sys/host-fs.js'
import type { Writable } from 'node:stream'
import tls from 'node:tls'
import { safeNumber } from '../../binary/integers.js'
import { ImageError, isImageError, printable, unsupported, usage } from '../../errors.js'
import { ByteReader, type IncomingBytes } from './byte-reader.js'
import { handshakeFlags, serverFlagsOf, transmissionFlagsOf, type TransmissionFlags } from './entries.js'
import { protocolError } from './protocol-error.js'
import {
  bitmapContext,
  blockSizeInfo,
  clientFlags,
  exportAnswer,
  exportAnswerPadding,
  exportInfo,
  firstErrorReply,
  greeting,
  greetingMagic,
  infoType,
  longestPayload,
  option,
  optionHeader,
  optionMagic,
  optionReply,
  optionReplyMagic,
  replyType,
  half,
  word,
} from './structs.js'
import type { NbdAddress } from './uri.js'
import { inFolder } from '../../sys/host-path.js'

/** What a reply to an option may have, in bytes; and how many replies an option may get. */
const longestReply = 65536
const maximumReplies = 1000

/** An export as its server describes it. Bytes. */
export interface ExportFacts {
  readonly size: number
  readonly flags: TransmissionFlags
  /** Requests are multiples of `minimum`, and carry at most `maximum`. */
  readonly minimum: number
  readonly maximum: number
  /** Replies to reads come in chunks. */
  readonly structured: boolean
  /** The id of what block status is asked for, where the server knows it. */
  readonly context?: number
  /** Where all dirty bitmaps of QEMU were asked for: their contexts. */
  readonly contexts?: readonly string[]
}

/** A connection that is ready for requests. */
export interface Agreed {
  readonly stream: Writable
  readonly reader: IncomingBytes
  readonly facts: ExportFacts
}

interface Reply {
  readonly type: number
  readonly data: Buffer
}

/**
 * Connects to a server and agrees on an export.
 * @param context what block status is to say. @throws ImageError usage E_NBD_CONNECT, E_NBD_EXPORT; corrupt
 * E_NBD_PROTOCOL, E_NBD_TIMEOUT; unsupported E_NBD_OLD, E_NBD_TLS.
 */
export async function agree(
  address: NbdAddress,
  where: string,
  milliseconds: number,
  context: string,
): Promise<Agreed> {
  const socket = await connect(address, where, milliseconds)
  const how = { where, milliseconds, context }
  const plain = { stream: socket, reader: new ByteReader(socket) }
  const secure = async (): Promise<Incoming> => {
    plain.reader.release()
    const stream = await secured(socket, address, where)
    return { stream, reader: new ByteReader(stream) }
  }
  return await agreeOver(plain, address, how, secure)
}

/** A stream, and what reads it. */
type Incoming = Pick<Agreed, 'stream' | 'reader'>

/** The same over a stream that stands already. @param secure puts TLS over it. */
export async function agreeOver(
  plain: Incoming,
  { name, tls: wantsTls }: Pick<NbdAddress, 'name' | 'tls'>,
  { where, milliseconds, context }: { readonly where: string; readonly milliseconds: number; readonly context: string },
  secure?: () => Promise<Incoming>,
): Promise<Agreed> {
  let { stream, reader } = plain
  const timer = setTimeout(
    () => reader.fail(new ImageError('corrupt', 'E_NBD_TIMEOUT', `${where}: the server does not answer`)),
    milliseconds,
  )
  try {
    const server = greeting.read(await reader.take(greeting.size))
    if (server.magic !== greetingMagic) throw protocolError(where, 'what listens there is no NBD server')
    const flags = serverFlagsOf(server.flags)
    if (server.option !== optionMagic || !flags.fixedNewstyle)
      throw unsupported(
        'E_NBD_OLD',
        `${where}: the server speaks an older form of the protocol, which is not supported`,
      )
    stream.write(clientFlags.write({ flags: handshakeFlags }))
    if (wantsTls && secure !== undefined) {
      await startTls(stream, reader, where)
      ;({ stream, reader } = await secure())
    }
    const facts = await new Negotiator(stream, reader, where).go(name, flags.noZeroes, context)
    return { stream, reader, facts }
  } catch (error) {
    stream.destroy()
    if (isImageError(error)) throw error
    const why = error instanceof Error ? error.message : String(error)
    // A server that does not take the certificate of the client says so after its own handshake (TLS 1.3).
    throw stream === plain.stream ? cannotConnect(where, why, error) : noTls(where, why, error)
  } finally {
    clearTimeout(timer)
  }
}

function connect({ endpoint }: NbdAddress, where: string, milliseconds: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket =
      endpoint.kind === 'unix'
        ? net.connect({ path: endpoint.path })
        : net.connect({ host: endpoint.host, port: endpoint.port })
    const fail = (why: string, cause?: unknown): void => {
      socket.destroy()
      reject(cannotConnect(where, why, cause))
    }
    const timer = setTimeout(() => fail('no answer'), milliseconds)
    socket.once('error', (cause) => fail(cause.message, cause))
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.removeAllListeners('error').setNoDelay(true)
      resolve(socket)
    })
    socket.once('close', () => clearTimeout(timer))
  })
}

function cannotConnect(where: string, why: string, cause: unknown): ImageError {
  return usage('E_NBD_CONNECT', `${where}: cannot connect: ${why}`, {
    cause,
    hint: 'Is the server running, and is the URI the one it printed?',
  })
}

function noTls(where: string, why: string, cause: unknown): ImageError {
  return unsupported('E_NBD_TLS', `${where}: TLS cannot be had: ${why}`, {
    cause,
    hint:
      'Certificates are taken from the folder named by ?tls-certificates=DIR in the URI: ca-cert.pem, ' +
      'client-cert.pem, client-key.pem.',
  })
}

async function startTls(stream: Writable, reader: IncomingBytes, where: string): Promise<void> {
  const negotiator = new Negotiator(stream, reader, where)
  const [reply] = await negotiator.ask(option.startTls, Buffer.alloc(0))
  if (reply?.type !== replyType.ack)
    throw unsupported('E_NBD_TLS', `${where}: the server has no TLS${reply === undefined ? '' : messageOf(reply)}`)
  // Anybody could have sent it, in the clear.
  if (reader.waiting > 0) throw protocolError(where, 'bytes came before TLS stood')
}

/**
 * Certificates lie where the URI says (`tls-certificates=DIR`), under the names that libnbd uses; without it the
 * system's authorities count.
 */
function secured(socket: net.Socket, { endpoint, certificates }: NbdAddress, where: string): Promise<tls.TLSSocket> {
  const pem = (name: string): Buffer | undefined => {
    const path = certificates === undefined ? undefined : inFolder(certificates, name)
    return path === undefined || !fs.existsSync(path) ? undefined : fs.readFileSync(path)
  }
  const [ca, cert, key] = [pem('ca-cert.pem'), pem('client-cert.pem'), pem('client-key.pem')]
  const servername = endpoint.kind === 'tcp' && net.isIP(endpoint.host) === 0 ? endpoint.host : undefined
  return new Promise((resolve, reject) => {
    const secure = tls.connect({
      socket,
      minVersion: 'TLSv1.2',
      servername,
      ca,
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
      // A socket file has no host name for a certificate to bear; its authority is still checked.
      ...(endpoint.kind === 'tcp' ? { host: endpoint.host } : { checkServerIdentity: () => undefined }),
    })
    secure.once('error', (cause: Error) => {
      reject(noTls(where, cause.message, cause))
    })
    secure.once('secureConnect', () => {
      secure.removeAllListeners('error')
      resolve(secure)
    })
  })
}

class Negotiator {
  readonly #stream: Writable
  readonly #reader: IncomingBytes
  readonly #where: string

  constructor(stream: Writable, reader: IncomingBytes, where: string) {
    this.#stream = stream
    this.#reader = reader
    this.#where = where
  }

  async go(name: string, noZeroes: boolean, context: string): Promise<ExportFacts> {
    const structured = isAck(await this.ask(option.structuredReply, Buffer.alloc(0)))
    const { id, contexts } = structured ? await this.#contexts(name, context) : {}
    const replies = await this.ask(option.go, Buffer.concat([named(name), half(1), half(infoType.blockSize)]))
    const last = replies.at(-1)
    if (last?.type === replyType.errorUnsupported) return await this.#exportName(name, noZeroes, structured)
    if (last?.type === replyType.errorTlsRequired)
      throw unsupported('E_NBD_TLS', `${this.#where}: the server wants TLS: use nbds:// or nbds+unix://`)
    if (last === undefined || last.type >= firstErrorReply) {
      throw usage(
        'E_NBD_EXPORT',
        `${this.#where}: the server does not give the export ` +
          `${name === '' ? 'without a name' : printable(name)}${last === undefined ? '' : messageOf(last)}`,
      )
    }
    let size: bigint | undefined
    let word = 0
    let sizes = { minimum: 1, maximum: longestPayload }
    for (const { type, data } of replies) {
      if (type !== replyType.info || data.length < 2) continue
      const info = data.readUInt16BE(0)
      if (info === infoType.export && data.length === exportInfo.size) ({ size, flags: word } = exportInfo.read(data))
      if (info === infoType.blockSize && data.length === blockSizeInfo.size) sizes = this.#blockSizes(data)
    }
    if (size === undefined) throw protocolError(this.#where, 'it did not send the size of the export')
    return {
      size: safeNumber(size, 'the size of the export'),
      flags: transmissionFlagsOf(word),
      ...sizes,
      structured,
      context: id,
      contexts,
    }
  }

  #blockSizes(data: Buffer): { minimum: number; maximum: number } {
    const { minimum, maximum } = blockSizeInfo.read(data)
    if (minimum < 1 || minimum > 65536 || 2 ** Math.round(Math.log2(minimum)) !== minimum || maximum < minimum) {
      throw protocolError(this.#where, `it has blocks of ${minimum} to ${maximum} bytes, which cannot be`)
    }
    // 2^32−1 means that there is no limit.
    return { minimum, maximum: Math.min(maximum - (maximum % minimum), longestPayload) }
  }

  /** The id of a context; of all dirty bitmaps of QEMU, which there are. */
  async #contexts(name: string, context: string): Promise<{ readonly id?: number; readonly contexts?: string[] }> {
    if (context === bitmapContext('')) {
      const found = await this.#askContexts(option.listMetaContext, name, context)
      return { contexts: found.map((data) => data.subarray(4).toString()) }
    }
    const found = await this.#askContexts(option.setMetaContext, name, context)
    return { id: found.find((data) => data.subarray(4).equals(Buffer.from(context)))?.readUInt32BE(0) }
  }

  /** What the server says of contexts: an id, and a name behind it; nothing where it knows none. */
  async #askContexts(code: number, name: string, context: string): Promise<Buffer[]> {
    const query = Buffer.from(context)
    const replies = await this.ask(code, Buffer.concat([named(name), word(1), word(query.length), query]))
    if (!isAck(replies)) return []
    return replies.flatMap(({ type, data }) => (type === replyType.metaContext && data.length >= 4 ? [data] : []))
  }

  /** Servers without GO. */
  async #exportName(name: string, noZeroes: boolean, structured: boolean): Promise<ExportFacts> {
    const bytes = Buffer.from(name)
    this.#stream.write(
      Buffer.concat([
        optionHeader.write({ magic: optionMagic, option: option.exportName, length: bytes.length }),
        bytes,
      ]),
    )
    const { size, flags } = exportAnswer.read(await this.#reader.take(exportAnswer.size))
    if (!noZeroes) await this.#reader.take(exportAnswerPadding)
    return {
      size: safeNumber(size, 'the size of the export'),
      flags: transmissionFlagsOf(flags),
      minimum: 1,
      maximum: longestPayload,
      structured,
    }
  }

  /** All replies to an option; the last is ACK or an error. */
  async ask(code: number, data: Buffer): Promise<Reply[]> {
    this.#stream.write(
      Buffer.concat([optionHeader.write({ magic: optionMagic, option: code, length: data.length }), data]),
    )
    const replies: Reply[] = []
    while (replies.length < maximumReplies) {
      const header = optionReply.read(await this.#reader.take(optionReply.size))
      if (header.magic !== optionReplyMagic || header.option !== code || header.length > longestReply)
        throw protocolError(this.#where, 'a reply to an option is not built as it should be')
      const reply = { type: header.type, data: Buffer.from(await this.#reader.take(header.length)) }
      replies.push(reply)
      if (reply.type === replyType.ack || reply.type >= firstErrorReply) return replies
    }
    throw protocolError(this.#where, 'it sends replies without end')
  }
}

function isAck(replies: readonly Reply[]): boolean {
  return replies.at(-1)?.type === replyType.ack
}

function messageOf({ data }: Reply): string {
  return data.length === 0 ? '' : `: ${printable(data.toString().slice(0, 400))}`
}

function named(name: string): Buffer {
  const bytes = Buffer.from(name)
  return Buffer.concat([word(bytes.length), bytes])
}
