import net from 'node:net'
import tls from 'node:tls'
import { encodingOf, isOtherVersion, type VersionMarks } from './answer.js'
import type { WantedRange } from './range-queue.js'

/** The longest head of an answer that is looked at, in bytes; the first read has room for as much. */
const longestHead = 16384

/** What an answer to a range must be, in bytes: `size` of the whole file. */
export interface ExpectedRange {
  readonly offset: number
  readonly length: number
  readonly size: number
  /** Of the version of the file. */
  readonly marks: VersionMarks
}

/**
 * `silent`: no byte came for too long; `lost`: the connection ended within the answer; `other`: there is no answer, or
 * none that is plain.
 */
export type DirectOutcome = 'done' | 'silent' | 'lost' | 'other'

/** What is under way on a connection. */
interface Asked {
  readonly expected: ExpectedRange
  /** Loses each piece as it is full, and settled. */
  readonly left: WantedRange[]
  readonly end: (outcome: DirectOutcome) => void
}

/**
 * A kept connection of HTTP/1.1 whose plain answers (206, of exactly the range that was asked for, with its length) go
 * straight from the socket into the memory that waits for them. Node's http hands them out in buffers of 64 KiB, whose
 * making, parsing and copying take more processor time than the system's call. All other answers are left to Node's:
 * the connection is closed, and the range is to be asked for again there.
 */
export class DirectConnection {
  readonly #socket: net.Socket
  readonly #head = new Uint8Array(longestHead)
  #headLength = 0
  #inBody = false
  /** Bytes of the first piece that are there. */
  #filled = 0
  /** In the order of the answers. */
  readonly #asked: Asked[] = []
  #failure: DirectOutcome | undefined

  /** Connects. @param milliseconds how long the server may keep silent while something was asked. */
  constructor(url: URL, milliseconds: number) {
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    const isSecure = url.protocol === 'https:'
    const options = {
      host,
      port: Number(url.port || (isSecure ? 443 : 80)),
      noDelay: true,
      onread: { buffer: () => this.#room(), callback: (count: number) => this.#take(count) },
    }
    const servername = net.isIP(host) === 0 ? host : undefined
    this.#socket = isSecure
      ? tls.connect({ ...options, servername, ALPNProtocols: ['http/1.1'] })
      : net.connect(options)
    this.#socket.setTimeout(milliseconds, () => {
      if (this.#asked.length > 0) this.#close('silent')
    })
    for (const event of ['error', 'end', 'close'] as const)
      this.#socket.on(event, () => this.#close(this.#inBody ? 'lost' : 'other'))
  }

  /** Nothing more can be asked. */
  get isClosed(): boolean {
    return this.#failure !== undefined
  }

  /** How many answers are not there yet. */
  get count(): number {
    return this.#asked.length
  }

  /** Asks for a range. @param request the head of the request. Nothing is written into `left` later. */
  ask(request: string, expected: ExpectedRange, left: WantedRange[]): Promise<DirectOutcome> {
    return new Promise((resolve) => {
      if (this.#failure !== undefined) {
        resolve(this.#failure)
        return
      }
      this.#asked.push({ expected, left, end: resolve })
      this.#socket.write(request, 'latin1')
    })
  }

  close(): void {
    this.#close('other')
  }

  #close(outcome: DirectOutcome): void {
    this.#failure ??= outcome
    this.#socket.destroy()
    const [first, ...others] = this.#asked.splice(0)
    first?.end(outcome)
    // Of what was asked behind it nothing has come.
    for (const { end } of others) end('other')
  }

  /** Where the next bytes go. */
  #room(): Uint8Array {
    const piece = this.#inBody ? this.#asked[0]?.left[0] : undefined
    return piece === undefined ? this.#head.subarray(this.#headLength) : piece.target.subarray(this.#filled)
  }

  /** @returns whether more is to be read. */
  #take(count: number): boolean {
    if (this.#inBody) this.#advance(count)
    else {
      this.#headLength += count
      this.#takeHeads()
    }
    return !this.isClosed
  }

  /** Takes what was read together: heads, and what of bodies came with them. */
  #takeHeads(): void {
    while (this.#headLength > 0 && !this.isClosed) {
      const bytes = Buffer.from(this.#head.buffer, 0, this.#headLength)
      const end = this.#inBody ? 0 : bytes.indexOf('\r\n\r\n') + 4
      const [asked] = this.#asked
      // A server that speaks without being asked is not understood.
      if (asked === undefined) this.#close('other')
      else if (this.#inBody || end >= 4) {
        if (!this.#inBody && !isPlainAnswer(bytes.toString('latin1', 0, end - 4), asked.expected)) this.#close('other')
        else this.#takeBody(asked, bytes, end)
      } else if (this.#headLength === longestHead) this.#close('other')
      else return
    }
  }

  /** Takes bytes of a piece that were read with a head. */
  #takeBody({ left }: Asked, bytes: Buffer, from: number): void {
    const [piece] = left
    if (piece === undefined) {
      this.#close('other')
      return
    }
    this.#inBody = true
    const some = bytes.subarray(from, from + piece.target.length - this.#filled)
    piece.target.set(some, this.#filled)
    this.#head.copyWithin(0, from + some.length, this.#headLength)
    this.#headLength -= from + some.length
    if (some.length > 0) this.#advance(some.length)
  }

  /** So many bytes of the first piece have come. */
  #advance(count: number): void {
    const [asked] = this.#asked
    const [piece] = asked?.left ?? []
    this.#filled += count
    if (asked === undefined || piece === undefined || this.#filled < piece.target.length) return
    this.#filled = 0
    asked.left.shift()
    piece.settle()
    if (asked.left.length > 0) return
    this.#inBody = false
    this.#asked.shift()
    asked.end('done')
  }
}

/** Whether an answer is the one that is expected (RFC 9112, sections 4, 5 and 6.3); what is odd is not. */
function isPlainAnswer(head: string, { offset, length, size, marks }: ExpectedRange): boolean {
  const [status = '', ...lines] = head.split('\r\n')
  if (!/^HTTP\/1\.1 206(?: |$)/.test(status)) return false
  const fields = new Map<string, string>()
  for (const line of lines) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined || value === undefined) return false
    const key = name.toLowerCase()
    // What is there twice may mean two things.
    if (fields.has(key) && decisive.has(key)) return false
    fields.set(key, value)
  }
  return (
    fields.get('content-length') === String(length) &&
    fields.get('content-range')?.toLowerCase() === `bytes ${offset}-${offset + length - 1}/${size}` &&
    !fields.has('transfer-encoding') &&
    encodingOf({ 'content-encoding': fields.get('content-encoding') }) === undefined &&
    (fields.get('connection') ?? 'keep-alive').toLowerCase() === 'keep-alive' &&
    !isOtherVersion(marks, { etag: fields.get('etag'), modified: fields.get('last-modified') })
  )
}

const decisive: ReadonlySet<string> = new Set([
  'content-length',
  'content-range',
  'transfer-encoding',
  'content-encoding',
  'connection',
  'etag',
  'last-modified',
])
