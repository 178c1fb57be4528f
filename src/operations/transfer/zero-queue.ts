import { aborted } from '../../errors.js'
import { milliseconds } from '../../sys/clock.js'
import { nextTurn } from '../../sys/next-turn.js'

/** What zero ranges are given to. */
interface Zeroable {
  zero(position: number, length: number): void
}

const mebibyte = 1048576
/** One call makes this much zero at first; more while the device is quick, less while it is slow. */
const firstSlice = 16 * mebibyte
const largestSlice = 1024 * mebibyte
const mostRanges = 4096
/** Milliseconds. The call blocks: interruptions and progress wait for it. */
const quick = 30
const slow = 120

/**
 * Makes ranges of a device zero beside the writing of data. Devices differ: some do it at once, some write every byte.
 * The device is
 * asked for slices that take a moment each.
 */
export class ZeroQueue {
  readonly #store: Zeroable
  readonly #ranges: { position: number; length: number }[] = []
  #slice = firstSlice
  #closed = false
  #ended = false
  #wake: (() => void) | undefined
  #pending = 0
  #zeroed = 0

  constructor(store: Zeroable) {
    this.#store = store
  }

  /** Bytes that were added and are not zero yet. */
  get pending(): number {
    return this.#pending
  }

  /** Bytes made zero so far. */
  get zeroed(): number {
    return this.#zeroed
  }

  add(position: number, length: number): void {
    if (length <= 0) return
    this.#ranges.push({ position, length })
    this.#pending += length
    // A device slower at zeros than at data would let the list grow.
    for (let first = this.#ranges[0]; first !== undefined && this.#ranges.length > mostRanges; first = this.#ranges[0])
      this.#step(first)
    this.#wake?.()
  }

  /** Settles when all that was added before is zero. @throws ImageError aborted E_ABORTED where that will never be. */
  async settled(): Promise<void> {
    const last = this.#ranges.at(-1)
    while (last !== undefined && last.length > 0) {
      if (this.#ended) throw aborted()
      await nextTurn()
    }
  }

  /** Nothing more will come. */
  close(): void {
    this.#closed = true
    this.#wake?.()
  }

  /** Works until the queue is closed and empty. @throws ImageError target; aborted E_ABORTED. */
  async work(signal: AbortSignal, onProgress: () => void): Promise<void> {
    const wake = (): void => this.#wake?.()
    signal.addEventListener('abort', wake, { once: true })
    try {
      for (;;) {
        if (signal.aborted) throw aborted()
        const range = this.#ranges[0]
        if (range === undefined) {
          if (this.#closed) return
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
          this.#wake = undefined
          continue
        }
        this.#step(range)
        onProgress()
        // Lets signals and the writing of data through: the call blocked.
        await nextTurn()
      }
    } finally {
      this.#ended = true
      signal.removeEventListener('abort', wake)
    }
  }

  #step(range: { position: number; length: number }): void {
    const length = Math.min(range.length, this.#slice)
    const began = milliseconds()
    this.#store.zero(range.position, length)
    const took = milliseconds() - began
    if (length === this.#slice && took < quick) this.#slice = Math.min(largestSlice, this.#slice * 2)
    else if (took > slow) this.#slice = Math.max(mebibyte, this.#slice / 2)
    range.position += length
    range.length -= length
    this.#pending -= length
    this.#zeroed += length
    if (range.length === 0) this.#ranges.shift()
  }
}
