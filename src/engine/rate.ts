import { setTimeout } from 'node:timers/promises'
import { aborted } from '../errors.js'
import { milliseconds } from '../sys/clock.js'

/**
 * Keeps work below so many bytes per second: a bucket that fills steadily, and holds what a quarter of a second brings.
 * Who takes more than is in it owes the rest, and waits until it is paid.
 */
export class RateLimit {
  readonly #perMillisecond: number
  readonly #most: number
  #available: number
  #filled = milliseconds()
  /** Waits one behind the other: each ends later than the one before, and a signal has one listener at a time. */
  #waits: Promise<void> = Promise.resolve()

  /** @param bytesPerSecond above 0. */
  constructor(bytesPerSecond: number) {
    this.#perMillisecond = bytesPerSecond / 1000
    this.#most = bytesPerSecond / 4
    this.#available = this.#most
  }

  /** The same; undefined where there is no limit. */
  static of(bytesPerSecond: number | undefined): RateLimit | undefined {
    return bytesPerSecond === undefined ? undefined : new RateLimit(bytesPerSecond)
  }

  /** Undefined, or a promise: the work is to begin when that settles. @throws ImageError aborted E_ABORTED. */
  take(bytes: number, signal?: AbortSignal): Promise<void> | undefined {
    const now = milliseconds()
    this.#available = Math.min(this.#most, this.#available + (now - this.#filled) * this.#perMillisecond) - bytes
    this.#filled = now
    if (this.#available >= 0) return undefined
    const end = now - this.#available / this.#perMillisecond
    this.#waits = this.#waits.then(() => pause(Math.max(0, end - milliseconds()), signal))
    return this.#waits
  }
}

async function pause(time: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await setTimeout(time, undefined, { signal })
  } catch (cause) {
    throw aborted(undefined, { cause })
  }
}
