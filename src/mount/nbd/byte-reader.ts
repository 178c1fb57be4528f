import type { Duplex } from 'node:stream'
import { ByteQueue } from './byte-queue.js'

/** How much may wait to be taken before the peer is held back, in bytes. */
export const enough = 1024 * 1024

/** Bytes of a peer, to be waited for by one at a time. */
export interface IncomingBytes {
  /** When the last of them came, as `performance.now` has it. */
  readonly heard: number
  /** Bytes that are there and were not taken. */
  readonly waiting: number
  /** Ends all waiting, now and later, with this error; the first one counts. */
  readonly fail: (error: Error) => void
  take(count: number): Promise<Buffer>
  /** Fills the target. */
  into(target: Uint8Array): Promise<void>
}

/** Bytes of a stream. */
export class ByteReader implements IncomingBytes {
  heard = performance.now()
  readonly #stream: Duplex
  readonly #queue = new ByteQueue()
  #failure: Error | undefined
  #wake: () => void = () => undefined

  constructor(stream: Duplex) {
    this.#stream = stream
    stream.on('data', this.#data)
    stream.on('error', this.fail)
    stream.on('end', this.#end)
    stream.on('close', this.#end)
  }

  get waiting(): number {
    return this.#queue.length
  }

  readonly fail = (error: Error): void => {
    this.#failure ??= error
    this.#wake()
  }

  /** Leaves the stream to somebody else. */
  release(): void {
    this.#stream.off('data', this.#data).off('error', this.fail).off('end', this.#end).off('close', this.#end)
  }

  async take(count: number): Promise<Buffer> {
    for (;;) {
      const bytes = this.#queue.take(count)
      if (bytes !== undefined) return bytes
      await this.#more()
    }
  }

  async into(target: Uint8Array): Promise<void> {
    for (
      let done = this.#queue.takeInto(target);
      done < target.length;
      done += this.#queue.takeInto(target.subarray(done))
    )
      await this.#more()
  }

  async #more(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    this.#stream.resume()
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  readonly #data = (bytes: Buffer): void => {
    this.heard = performance.now()
    this.#queue.push(bytes)
    if (this.#queue.length > enough) this.#stream.pause()
    this.#wake()
  }

  readonly #end = (): void => this.fail(closedByServer())
}

export function closedByServer(): Error {
  return new Error('the server closed the connection')
}
