import type { Syscalls } from '../sys/types.js'
import { milliseconds } from '../sys/clock.js'

const mebibyte = 1024 * 1024
/** Bytes after which what was written is sent on its way to the medium. */
const stepLength = 8 * mebibyte
/** Bytes on their way at a time: enough to keep any medium busy, and little beside the memory of a computer. */
const windowLength = 64 * mebibyte
/** Bytes over which a pace is taken. */
const paceLength = 16 * mebibyte
/** Milliseconds a mebibyte that a copy into pages at hand takes at most, whatever the computer. */
const slowPace = 1
/** New pages matter where this part of the time is spent writing; elsewhere decoding or reading is waited for. */
const writingPart = 0.75

interface Range {
  readonly position: number
  readonly length: number
}

/**
 * Keeps the medium at work while a file is written through the page cache, so that the flush at the end finds little to
 * do; and releases the memory behind it. New pages cost more than the copy into them where the kernel has none at hand
 * (or, in a virtual machine, has to get them from its host): the few that are used in turn are always at hand, and the
 * cache keeps what the user had in it.
 *
 * Where nobody waits for the medium, that begins when new pages turn out to be slow, and ends where the medium turns
 * out to be slower still.
 */
export class WriteBehind {
  readonly #descriptor: number
  readonly #system: Pick<Syscalls, 'startWriting' | 'finishWriting'>
  readonly #clock: () => number
  readonly #started: Range[] = []
  #state: 'waits for slow pages' | 'on trial' | 'on' | 'off'
  /** What the pace is being taken of: bytes, milliseconds, and when that began. */
  #measured: { length: number; time: number; since: number }
  /** Milliseconds a mebibyte before it was begun; after the trial, of the medium. */
  #pace = 0
  #pending: Range[] = []
  #pendingLength = 0
  #startedLength = 0

  /** @param awaited whether the file is to be on the medium in the end. @param clock milliseconds. */
  constructor(
    descriptor: number,
    system: Pick<Syscalls, 'startWriting' | 'finishWriting'>,
    awaited: boolean,
    clock = milliseconds,
  ) {
    this.#clock = clock
    this.#measured = { length: 0, time: 0, since: clock() }
    this.#descriptor = descriptor
    this.#system = system
    this.#state = awaited ? 'on' : 'waits for slow pages'
  }

  /**
   * To be called when a range was written. Undefined, or a promise: nothing of it is under way when that settles.
   * @param took milliseconds. @throws Error of the system with its code, where the medium did not take what was
   * written: `flush` would not report it any more.
   */
  wrote(position: number, length: number, took: number): Promise<void> | undefined {
    if (this.#state !== 'on') this.#measure(length, took)
    if (this.#state === 'waits for slow pages' || this.#state === 'off') return undefined
    const last = this.#pending.at(-1)
    if (last !== undefined && last.position + last.length === position)
      this.#pending[this.#pending.length - 1] = { position: last.position, length: last.length + length }
    else this.#pending.push({ position, length })
    this.#pendingLength += length
    if (this.#pendingLength < stepLength) return undefined
    const ranges = this.#pending
    this.#pending = []
    this.#pendingLength = 0
    return this.#send(ranges)
  }

  #measure(length: number, took: number): void {
    const measured = this.#measured
    // On trial the time that passes counts, with what was waited for, from when the medium has enough to do.
    if (this.#state === 'on trial' && this.#startedLength < windowLength - stepLength) return
    const now = this.#clock()
    if (measured.length === 0 && this.#state === 'on trial') measured.since = now - took
    measured.length += length
    measured.time += took
    if (measured.length < (this.#state === 'on trial' ? windowLength : paceLength)) return
    const trial = this.#state === 'on trial'
    const elapsed = now - measured.since
    const pace = ((trial ? elapsed : measured.time) * mebibyte) / measured.length
    const isBound = measured.time >= writingPart * elapsed
    this.#measured = { length: 0, time: 0, since: now }
    if (trial) {
      this.#state = pace < this.#pace ? 'on' : 'off'
      this.#pace = pace
    } else if (this.#state === 'off') {
      // The first pages may have been better than what came later.
      if (pace > this.#pace) this.#state = 'on'
    } else if (pace > slowPace && isBound) {
      this.#pace = pace
      this.#state = 'on trial'
    }
  }

  async #send(ranges: readonly Range[]): Promise<void> {
    for (const range of ranges) {
      this.#started.push(range)
      this.#startedLength += range.length
    }
    // One after the other: each takes a thread of the pool that reads and writes, too.
    for (const range of ranges) await this.#system.startWriting(this.#descriptor, range.position, range.length)
    while (this.#startedLength > windowLength) {
      const range = this.#started.shift()
      if (range === undefined) return
      this.#startedLength -= range.length
      await this.#system.finishWriting(this.#descriptor, range.position, range.length)
    }
  }
}
