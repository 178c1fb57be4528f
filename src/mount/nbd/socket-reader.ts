import type net from 'node:net'
import { enough, QueuedBytes } from './byte-reader.js'

/** What is read where nobody waits for as much, in bytes: heads of replies, and what came with them. */
const scratchLength = 16384
/** Shorter rests of such memory are not read into. */
const shortestRoom = 4096

/**
 * Bytes of a socket that go straight into the memory that waits for them. A stream's own reading makes a buffer of 64
 * KiB for each call of the system, and copies it twice: that takes more processor time than the calls.
 */
export class SocketReader extends QueuedBytes {
  readonly socket: net.Socket
  /** What is read without a target; what the queue has of it is not written again. */
  #scratch = Buffer.allocUnsafeSlow(scratchLength)
  #used = 0
  #target: Uint8Array | undefined
  #filled = 0
  /** Whether the next bytes were promised to the target. */
  #isDirect = false

  /** @param connect makes the socket, which is to read in this way. */
  constructor(connect: (onread: net.OnReadOpts) => net.Socket) {
    super()
    this.socket = connect({ buffer: () => this.#room(), callback: (count) => this.#take(count) })
    this.watch(this.socket)
  }

  async into(target: Uint8Array): Promise<void> {
    this.#filled = this.queue.takeInto(target)
    if (this.#filled === target.length) return
    this.#target = target
    while (this.#target === target) await this.more()
  }

  protected resume(): void {
    this.socket.resume()
  }

  /** Nothing is written into anybody's memory afterwards: the socket is closed. */
  protected override failed(): void {
    this.socket.destroy()
  }

  /** Where the next bytes go; asked for after each call of `#take`. */
  #room(): Uint8Array {
    this.#isDirect = this.#target !== undefined
    if (this.#target !== undefined) return this.#target.subarray(this.#filled)
    if (this.#scratch.length - this.#used < shortestRoom) {
      this.#scratch = Buffer.allocUnsafeSlow(scratchLength)
      this.#used = 0
    }
    return this.#scratch.subarray(this.#used)
  }

  /** @returns whether more is to be read. */
  #take(count: number): boolean {
    if (this.#isDirect) this.#filled += count
    else {
      this.queue.push(this.#scratch.subarray(this.#used, this.#used + count))
      this.#used += count
      // Somebody began to wait after the memory was chosen.
      if (this.#target !== undefined) this.#filled += this.queue.takeInto(this.#target.subarray(this.#filled))
    }
    if (this.#filled === this.#target?.length) this.#target = undefined
    this.came()
    return this.queue.length <= enough
  }
}
