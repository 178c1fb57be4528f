import { setImmediate } from 'node:timers/promises'
import { milliseconds } from '../sys/clock.js'

/** A mebibyte of the page cache is copied within this, in milliseconds; what takes longer waited for a medium. */
const slowPace = 2
/** How many chunks are then moved without keeping this thread waiting, before it is tried again. */
const chunksApart = 32
/** Milliseconds for which this thread may see nothing else: signals, progress, what other threads say. */
const longestStretch = 25

/**
 * Decides whether chunks are read and written by this thread itself. While both sides are in the page cache that takes
 * half the processor's time of handing them to the threads of the pool: the bytes are still in the processor's own
 * cache when they are written. Where a medium is waited for, several chunks on their way are what counts.
 */
export class Inline {
  #skips = 0
  #since: number | undefined

  /** Whether the next chunk is to be moved by this thread. */
  takesNext(): boolean {
    if (this.#skips === 0) return true
    this.#skips--
    return false
  }

  /** Says when a chunk was begun, of how many bytes, as `milliseconds()` has it. */
  took(start: number, length: number): void {
    const now = milliseconds()
    if ((now - start) * 1048576 > slowPace * Math.max(length, 262144)) this.#skips = chunksApart
    this.#since ??= start
  }

  /** To be awaited after each chunk: lets others have the thread from time to time. */
  pause(): Promise<void> | undefined {
    if (this.#since === undefined || milliseconds() - this.#since < longestStretch) return undefined
    this.#since = undefined
    return setImmediate()
  }
}
