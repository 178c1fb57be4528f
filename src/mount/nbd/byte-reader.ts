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

/** Bytes as a peer sends them, kept until somebody takes them. */
export abstract class QueuedBytes implements IncomingBytes {
  heard = performance.now()
  protected readonly queue = new ByteQueue()
  #failure: Error | undefined
  #wake: () => void = () => undefined

  get waiting(): number {
    return this.queue.length
  }

  readonly fail = (error: Error): void => {
    this.#failure ??= error
    this.failed?.()
    this.#wake()
  }

  async take(count: number): Promise<Buffer> {
    for (;;) {
      const bytes = this.queue.take(count)
      if (bytes !== undefined) return bytes
      await this.more()
    }
  }

  abstract into(target: Uint8Array): Promise<void>

  /** Lets the peer go on. */
  protected abstract resume(): void

  /** What is to be done when all waiting ends. */
  protected failed?(): void

  protected readonly ended = (): void => this.fail(closedByServer())

  /** Ends all waiting when the stream ends. */
  protected watch(stream: Duplex): void {
    stream.on('error', this.fail)
    stream.on('end', this.ended)
    stream.on('close', this.ended)
  }

  /** Waits until something has come. @throws the error of {@link fail}. */
  protected async more(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    this.resume()
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  /** Something has come, and lies where it belongs. */
  protected came(): void {
    this.heard = performance.now()
    this.#wake()
  }
}

/** Bytes of a stream. */
export class ByteReader extends QueuedBytes {
  readonly #stream: Duplex

  constructor(stream: Duplex) {
    super()
    this.#stream = stream
    stream.on('data', this.#data)
    this.watch(stream)
  }

  /** Leaves the stream to somebody else. */
  release(): void {
    this.#stream.off('data', this.#data).off('error', this.fail).off('end', this.ended).off('close', this.ended)
  }

  async into(target: Uint8Array): Promise<void> {
    for (
      let done = this.queue.takeInto(target);
      done < target.length;
      done += this.queue.takeInto(target.subarray(done))
    )
      await this.more()
  }

  protected resume(): void {
    this.#stream.resume()
  }

  readonly #data = (bytes: Buffer): void => {
    this.queue.push(bytes)
    if (this.queue.length > enough) this.#stream.pause()
    this.came()
  }
}

export function closedByServer(): Error {
  return new Error('the server closed the connection')
}
