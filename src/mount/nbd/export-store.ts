import { writeZeros } from '../../block/zeros.js'
import { roundDown, roundUp } from '../../binary/integers.js'
import { noRuns, runAt } from '../../block/alternating-runs.js'
import type { ByteStore } from '../../block/types.js'
import { assertWithin } from '../../block/within.js'
import { corrupt, targetError, printable, type Label } from '../../errors.js'
import { ThreadCalls } from '../../sys/thread-calls.js'
import type { ExportFacts } from './client-negotiation.js'
import type { ExportAnswer, ExportRequest, ExportThreadData } from './client-thread.js'
import { allocationContext } from './structs.js'
import { nbdUri, type NbdAddress } from './uri.js'

const mebibyte = 1024 * 1024
/** How long a server may keep silent, in milliseconds. */
const patience = 60_000
/** What the thread can answer at once, in bytes: 4096 runs of up to 9 bytes. */
const answerLength = 65536

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
  readonly #thread: ThreadCalls<ExportRequest, ExportAnswer>
  readonly #bounce = new SharedArrayBuffer(mebibyte)
  readonly #milliseconds: number
  #closed = false
  #known = noRuns

  /**
   * Connects, and waits until the export is open.
   * @param milliseconds how long the server may keep silent. @param context what {@link holeAt} goes by.
   * @throws ImageError usage E_NBD_CONNECT, E_NBD_EXPORT; corrupt; unsupported.
   */
  constructor(address: NbdAddress, milliseconds = patience, context = allocationContext) {
    this.name = printable(nbdUri(address))
    this.#milliseconds = milliseconds
    this.#thread = new ThreadCalls(
      new URL('./client-thread.js', import.meta.url),
      { address, where: this.name, milliseconds, context } satisfies ExportThreadData,
      {
        name: this.name,
        answerLength,
        silent: () => corrupt('E_NBD_TIMEOUT', `${this.name}: the server does not answer`),
      },
    )
    const { facts } = this.#thread.started(2 * milliseconds)
    if (facts === undefined) throw new Error(`${this.name}: the thread did not describe the export`)
    this.facts = facts
    this.size = facts.size
  }

  read(position: number, target: Uint8Array): void {
    assertWithin(this, position, target.length)
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
    assertWithin(this, position, target.length)
    const { buffer, byteOffset, length } = target
    const { start, end } = this.#aligned(position, position + length)
    if (start !== position || end !== position + length || !(buffer instanceof SharedArrayBuffer))
      this.read(position, target)
    else await this.#thread.ask({ kind: 'read', offset: position, length, buffer, start: byteOffset })
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
    else await this.#thread.ask({ kind: 'write', offset: position, length, buffer, start: byteOffset })
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
    await this.#thread.ask({ kind: 'zero', offset: inner, length: stop - inner })
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
    if (this.facts.flags.flush) await this.#thread.ask({ kind: 'flush', offset: 0, length: 0 })
  }

  /** What the server says of the run at `position`. */
  holeAt(position: number, limit: number): { readonly hole: boolean; readonly length: number } {
    if (this.facts.context === undefined) return { hole: false, length: limit }
    const known = runAt(this.#known, position, limit)
    if (known !== undefined) return known
    const { start } = this.#aligned(position, position + 1)
    const { runs = [] } = this.#call({ kind: 'status', offset: start, length: this.size - start })
    this.#known = { start, lengths: runs }
    const found = runAt(this.#known, position, limit)
    if (found === undefined)
      throw corrupt('E_NBD_PROTOCOL', `${this.name}: the server reports nothing about offset ${position}`)
    return found
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    try {
      this.#call({ kind: 'close', offset: 0, length: 0 })
    } finally {
      this.#thread.terminate()
    }
  }

  /** The range rounded to the server's blocks. */
  #aligned(start: number, end: number): { start: number; end: number } {
    const { minimum } = this.facts
    return { start: roundDown(start, minimum), end: Math.min(roundUp(end, minimum), this.size) }
  }

  #changeable(position: number, length: number): void {
    if (this.facts.flags.readOnly) throw targetError('E_WRITE_PERMISSION', `${this.name} is served for reading only`)
    if (position < 0 || position + length > this.size)
      throw targetError(
        'E_WRITE',
        `${this.name}: ${length} bytes were to be written at byte ${position}, but it has ${this.size}`,
      )
    // What is known of runs may be wrong from now on.
    this.#known = noRuns
  }

  /** Has the thread do something, and waits for it. */
  #call(request: ExportRequest): ExportAnswer {
    return this.#thread.call(request, 12 * this.#milliseconds)
  }
}
