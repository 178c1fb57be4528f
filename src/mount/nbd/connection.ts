import type { Duplex } from 'node:stream'
import { clientFlagsOf } from './entries.js'
import { ByteQueue } from './byte-queue.js'
import type { PieceBuffers } from './buffers.js'
import { greetingBytes, Negotiation, type Next } from './negotiation.js'
import type { ServedDisk } from './served-disk.js'
import { clientFlags, optionHeader, optionMagic } from './structs.js'
import { Transmission } from './transmission.js'

/** What an option may carry, in bytes. */
const longestOption = 65536
const maximumOptions = 1000
/** How long a client may take until it has chosen an export, in milliseconds. */
const negotiationTime = 30_000

/**
 * Puts TLS over a connection; gives the new stream when it stands and the client is one that may come in, else
 * undefined.
 */
export type Securing = (stream: Duplex, done: (secure: Duplex | undefined) => void) => void

export interface ConnectionOptions {
  readonly disks: readonly ServedDisk[]
  readonly buffers: PieceBuffers
  /** Left out: there is no TLS. */
  readonly secure?: Securing
  /** A client has chosen an export. */
  readonly onTransmission?: (disk: ServedDisk) => void
  /** The connection is gone; called once. */
  readonly onClose?: () => void
}

/** One client. Whatever it sends, only its own connection ends. */
export class Connection {
  readonly #options: ConnectionOptions
  #stream: Duplex
  #input = new ByteQueue()
  #negotiation: Negotiation | undefined
  #optionCount = 0
  /** Bytes of an option that is too long, which are thrown away. */
  #skipping = 0
  #transmission: Transmission | undefined
  #closed = false
  #ending = false
  readonly #timer: NodeJS.Timeout

  constructor(stream: Duplex, options: ConnectionOptions) {
    this.#options = options
    this.#stream = stream
    this.#listen(stream)
    this.#timer = setTimeout(() => this.close(), negotiationTime)
    stream.write(greetingBytes())
  }

  /** Whether a client uses an export. */
  get active(): boolean {
    return this.#transmission !== undefined
  }

  /** Ends the connection at once. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#timer)
    this.#transmission?.stop()
    this.#stream.destroy()
    this.#options.onClose?.()
  }

  #listen(stream: Duplex): void {
    stream.on('data', this.#data)
    stream.on('error', () => this.close())
    // A client that sends no more without having said goodbye waits for nothing.
    stream.on('end', () => this.close())
    stream.on('close', () => this.close())
  }

  readonly #data = (bytes: Buffer): void => {
    this.#input.push(bytes)
    if (this.#transmission !== undefined) this.#transmission.pump()
    else this.#negotiate()
  }

  /** Closes when what was sent is out, or the client does not take it. */
  #end(): void {
    if (this.#ending) return
    this.#ending = true
    setTimeout(() => this.close(), negotiationTime).unref()
    this.#stream.end(() => this.close())
  }

  #negotiate(): void {
    while (!this.#closed && this.#transmission === undefined && this.#option()) continue
  }

  /** Takes the client's flags or an option; false when more bytes must come in. */
  #option(): boolean {
    if (this.#skipping > 0) {
      this.#skipping -= this.#input.skip(this.#skipping)
      return this.#skipping === 0
    }
    if (this.#negotiation === undefined) return this.#clientFlags()
    if (this.#input.length < optionHeader.size) return false
    const header = this.#input.peek(optionHeader.size)
    const { magic, option: code, length } = optionHeader.read(header)
    if (magic !== optionMagic || ++this.#optionCount > maximumOptions) {
      this.close()
      return false
    }
    if (length > longestOption) {
      this.#input.skip(optionHeader.size)
      this.#skipping = length
      return this.#go(this.#negotiation.tooLong(code, length))
    }
    if (this.#input.length < optionHeader.size + length) {
      this.#optionCount--
      return false
    }
    this.#input.skip(optionHeader.size)
    return this.#go(this.#negotiation.take(code, this.#input.take(length) ?? Buffer.alloc(0)))
  }

  #clientFlags(): boolean {
    const bytes = this.#input.take(clientFlags.size)
    if (bytes === undefined) return false
    const flags = clientFlagsOf(clientFlags.read(bytes).flags)
    if (flags === undefined) {
      this.close()
      return false
    }
    const { disks, secure } = this.#options
    this.#negotiation = new Negotiation({
      disks,
      tls: secure !== undefined,
      noZeroes: flags.noZeroes,
      send: (reply) => this.#stream.write(reply),
    })
    return true
  }

  #go(next: Next): boolean {
    switch (next.kind) {
      case 'more':
        return true
      case 'end':
        this.#end()
        return false
      case 'tls':
        this.#secure()
        return false
      case 'transmission':
        clearTimeout(this.#timer)
        this.#transmission = new Transmission(
          {
            stream: this.#stream,
            input: this.#input,
            buffers: this.#options.buffers,
            close: (how) => {
              if (how === 'at once') this.close()
              else this.#end()
            },
          },
          next.session,
        )
        this.#options.onTransmission?.(next.session.disk)
        this.#transmission.pump()
        return false
    }
  }

  #secure(): void {
    const { secure } = this.#options
    // What came in the clear before TLS stood could be anybody's: it must not be taken for what came after.
    if (secure === undefined || this.#input.length > 0) {
      this.close()
      return
    }
    this.#stream.removeAllListeners('data').removeAllListeners('end')
    this.#input = new ByteQueue()
    secure(this.#stream, (stream) => {
      if (stream === undefined || this.#closed) {
        stream?.destroy()
        this.close()
        return
      }
      this.#stream = stream
      this.#negotiation?.secured()
      this.#listen(stream)
    })
  }
}
