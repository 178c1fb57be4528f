import { writeZeros } from '../../block/zeros.js'
import { deserialize } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { roundDown, roundUp } from '../../binary/integers.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, ImageError, rebuilt, targetError, printable, type Label } from '../../errors.js'
import type { ExportFacts } from './client-negotiation.js'
import type { ThreadAnswer, ThreadReply, ThreadRequest, ThreadStart } from './client-thread.js'
import { nbdUri, type NbdAddress } from './uri.js'

const mebibyte = 1024 * 1024
/** How long a server may keep silent, in milliseconds. */
const patience = 60_000
/** What the thread can answer at once, in bytes: 4096 runs of up to 9 bytes. */
const answerLength = 65536

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * An export of an NBD server as host bytes. Its connections live in a thread of their own: who calls `read` waits for
 * the thread, who
 * calls `fetch` need not.
 */
export class ExportStore implements ByteStore {
  readonly growable = false
  readonly alignment = 1
  readonly zeroed = false
  readonly name: Label
  readonly size: number
  readonly facts: ExportFacts
  readonly #worker: Worker
  readonly #words: Int32Array
  readonly #answer: Uint8Array
  readonly #bounce = new SharedArrayBuffer(mebibyte)
  readonly #milliseconds: number
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1
  #closed = false
  /** What is known of the runs from `start` on: lengths, data and zeros in turn, data first. */
  #known: { readonly start: number; readonly end: number; readonly lengths: readonly number[] } = {
    start: 0,
    end: 0,
    lengths: [],
  }

  /**
   * Connects, and waits until the export is open.
   * @param milliseconds how long the server may keep silent. @throws ImageError usage E_NBD_CONNECT, E_NBD_EXPORT;
   * corrupt; unsupported.
   */
  constructor(address: NbdAddress, milliseconds = patience) {
    this.name = printable(nbdUri(address))
    this.#milliseconds = milliseconds
    const control = new SharedArrayBuffer(8)
    const answer = new SharedArrayBuffer(answerLength)
    this.#words = new Int32Array(control)
    this.#answer = new Uint8Array(answer)
    this.#worker = new Worker(new URL('./client-thread.js', import.meta.url), {
      workerData: { address, where: this.name, milliseconds, control, answer } satisfies ThreadStart,
    })
    this.#worker.unref()
    this.#worker.on('message', (reply: ThreadReply) => this.#settle(reply))
    this.#worker.on('error', (error) => this.#failAll(error))
    this.#worker.on('exit', () => this.#failAll(new Error(`${this.name}: its thread has ended`)))
    try {
      const { facts } = this.#awaitAnswer(2 * milliseconds)
      if (facts === undefined) throw new Error(`${this.name}: the thread did not describe the export`)
      this.facts = facts
      this.size = facts.size
    } catch (error) {
      void this.#worker.terminate()
      throw error
    }
  }

  read(position: number, target: Uint8Array): void {
    this.#within(position, target.length)
    for (let done = 0; done < target.length;) {
      const { start, end } = this.#aligned(
        position + done,
        Math.min(position + target.length, position + done + mebibyte - 65536),
      )
      this.#call({ kind: 'read', offset: start, length: end - start, buffer: this.#bounce, start: 0 })
      const from = position + done - start
      const count = Math.min(end - start - from, target.length - done)
      target.set(new Uint8Array(this.#bounce, from, count), done)
      done += count
    }
  }

  async fetch(position: number, target: Uint8Array): Promise<void> {
    this.#within(position, target.length)
    const { buffer, byteOffset, length } = target
    const { start, end } = this.#aligned(position, position + length)
    if (start !== position || end !== position + length || !(buffer instanceof SharedArrayBuffer))
      this.read(position, target)
    else await this.#ask({ kind: 'read', offset: position, length, buffer, start: byteOffset })
  }

  write(position: number, bytes: Uint8Array): void {
    this.#changeable(position, bytes.length)
    for (let done = 0; done < bytes.length;) {
      const at = position + done
      const { start, end } = this.#aligned(at, Math.min(position + bytes.length, at + mebibyte - 65536))
      const count = Math.min(end, position + bytes.length) - at
      // Blocks that are written in part keep the rest.
      if (start < at || at + count < end)
        this.#call({ kind: 'read', offset: start, length: end - start, buffer: this.#bounce, start: 0 })
      new Uint8Array(this.#bounce).set(bytes.subarray(done, done + count), at - start)
      this.#call({ kind: 'write', offset: start, length: end - start, buffer: this.#bounce, start: 0 })
      done += count
    }
  }

  async send(position: number, bytes: Uint8Array): Promise<void> {
    this.#changeable(position, bytes.length)
    const { buffer, byteOffset, length } = bytes
    const { start, end } = this.#aligned(position, position + length)
    if (start !== position || end !== position + length || !(buffer instanceof SharedArrayBuffer))
      this.write(position, bytes)
    else await this.#ask({ kind: 'write', offset: position, length, buffer, start: byteOffset })
  }

  /** Makes a range read as zero, without keeping this thread waiting. @throws ImageError target. */
  async clear(position: number, length: number): Promise<void> {
    this.#changeable(position, length)
    const { start, end } = this.#aligned(position, position + length)
    const [inner, stop] = [
      Math.min(start < position ? start + this.facts.minimum : start, position + length),
      end > position + length ? end - this.facts.minimum : end,
    ]
    if (!this.facts.flags.writeZeroes || stop <= inner) {
      writeZeros(this, position, length)
      return
    }
    if (inner > position) this.write(position, new Uint8Array(inner - position))
    if (stop < position + length) this.write(stop, new Uint8Array(position + length - stop))
    await this.#ask({ kind: 'zero', offset: inner, length: stop - inner })
  }

  /** An export has the size it has. @throws ImageError target E_WRITE for any other. */
  truncate(size: number): void {
    if (size !== this.size)
      throw targetError('E_WRITE', `${this.name} has ${this.size} bytes and cannot be given ${size}`)
  }

  flush(): void {
    if (this.facts.flags.flush) this.#call({ kind: 'flush', offset: 0, length: 0 })
  }

  /** As `flush`, without keeping this thread waiting. @throws ImageError target. */
  async flushed(): Promise<void> {
    if (this.facts.flags.flush) await this.#ask({ kind: 'flush', offset: 0, length: 0 })
  }

  /** What the server says of the run at `position`. */
  holeAt(position: number, limit: number): { readonly hole: boolean; readonly length: number } {
    if (this.facts.allocation === undefined) return { hole: false, length: limit }
    if (position < this.#known.start || position >= this.#known.end) this.#look(position)
    let { start } = this.#known
    for (const [index, length] of this.#known.lengths.entries()) {
      start += length
      if (position < start) return { hole: index % 2 === 1, length: Math.min(limit, start - position) }
    }
    throw corrupt('E_NBD_PROTOCOL', `${this.name}: the server reports nothing about offset ${position}`)
  }

  #look(position: number): void {
    const { start } = this.#aligned(position, position + 1)
    const { runs = [] } = this.#call({ kind: 'status', offset: start, length: this.size - start })
    this.#known = { start, end: start + runs.reduce((sum, length) => sum + length, 0), lengths: runs }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    try {
      this.#call({ kind: 'close', offset: 0, length: 0 })
    } finally {
      void this.#worker.terminate()
    }
  }

  /** The range rounded to the server's blocks. */
  #aligned(start: number, end: number): { start: number; end: number } {
    const { minimum } = this.facts
    return { start: roundDown(start, minimum), end: Math.min(roundUp(end, minimum), this.size) }
  }

  #within(position: number, length: number): void {
    if (position < 0 || position + length > this.size)
      throw corrupt(
        'E_TRUNCATED',
        `${this.name}: ${length} bytes were to be read at byte ${position}, but it has ${this.size}`,
        { details: { position } },
      )
  }

  #changeable(position: number, length: number): void {
    if (this.facts.flags.readOnly) throw targetError('E_WRITE_PERMISSION', `${this.name} is served for reading only`)
    if (position < 0 || position + length > this.size)
      throw targetError(
        'E_WRITE',
        `${this.name}: ${length} bytes were to be written at byte ${position}, but it has ${this.size}`,
      )
    // What is known of runs may be wrong from now on.
    this.#known = { start: 0, end: 0, lengths: [] }
  }

  /** Has the thread do something, and waits for it. */
  #call(request: Omit<ThreadRequest, 'id'>): ThreadAnswer {
    Atomics.store(this.#words, 0, 0)
    this.#worker.postMessage({ id: 0, ...request } satisfies ThreadRequest)
    return this.#awaitAnswer(12 * this.#milliseconds)
  }

  #awaitAnswer(milliseconds: number): ThreadAnswer {
    if (Atomics.wait(this.#words, 0, 0, milliseconds) === 'timed-out')
      throw new ImageError('corrupt', 'E_NBD_TIMEOUT', `${this.name}: the server does not answer`)
    const answer = deserialize(this.#answer.slice(0, Atomics.load(this.#words, 1))) as ThreadAnswer
    if (answer.failure !== undefined) throw rebuilt(answer.failure)
    return answer
  }

  #ask(request: Omit<ThreadRequest, 'id'>): Promise<void> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) this.#worker.ref()
      this.#waiting.set(id, { resolve, reject })
      this.#worker.postMessage({ id, ...request } satisfies ThreadRequest)
    })
  }

  #settle({ id, failure }: ThreadReply): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if (failure === undefined) waiting.resolve()
    else waiting.reject(rebuilt(failure))
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
