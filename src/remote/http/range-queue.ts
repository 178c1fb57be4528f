/** A range that somebody waits for, and the memory that its bytes go to. Bytes. */
export interface WantedRange {
  readonly offset: number
  readonly target: Uint8Array
  /** Somebody does nothing else before it is there. */
  readonly isUrgent?: boolean
  /** Called once; nothing writes into `target` afterwards. */
  readonly settle: (error?: Error) => void
}

const mebibyte = 1024 * 1024
/** What one request asks for, in bytes: long enough that the pause before its answer counts little. */
export const longestRequest = 4 * mebibyte
/** So many requests that end well make room for one more, after a failure. */
const steady = 16
/** What is not shared among free connections any more, in bytes. */
const smallRequest = mebibyte

/**
 * Ranges that were asked for and have no request yet. Neighbours become one request, and what there is to do is shared
 * among the connections that are free.
 */
export class RangeQueue {
  readonly #highest: number
  /** Requests at once: fewer where a server refuses, or breaks, what is asked at once. */
  #most: number
  #successes = 0
  readonly #send: (ranges: readonly WantedRange[]) => Promise<void>
  readonly #waiting: WantedRange[] = []
  #bytes = 0
  #busy = 0
  #isPlanned = false

  /**
   * @param most requests at once.
   * @param send asks for ranges that lie one behind the other, and settles each; it does not throw.
   */
  constructor(most: number, send: (ranges: readonly WantedRange[]) => Promise<void>) {
    this.#most = this.#highest = most
    this.#send = send
  }

  add(range: WantedRange): void {
    if (range.isUrgent === true) this.#waiting.unshift(range)
    else this.#waiting.push(range)
    this.#bytes += range.target.length
    if (this.#isPlanned) return
    // What is asked for at the same time is seen together.
    this.#isPlanned = true
    setImmediate(() => {
      this.#isPlanned = false
      this.#start()
    })
  }

  /** A request failed. What fails together counts once. */
  slower(): void {
    if (this.#successes > 0 || this.#most === this.#highest) this.#most = Math.max(1, Math.floor(this.#most / 2))
    this.#successes = 0
  }

  #start(): void {
    while (this.#busy < this.#most && this.#waiting.length > 0) {
      const ranges = this.#take(this.#bytes / (this.#most - this.#busy))
      this.#busy++
      void this.#send(ranges).finally(() => {
        this.#busy--
        if (++this.#successes % steady === 0 && this.#most < this.#highest) this.#most++
        this.#start()
      })
    }
  }

  /** The first range, and those behind it, up to about `share` bytes. */
  #take(share: number): WantedRange[] {
    const most = Math.min(longestRequest, Math.max(smallRequest, share))
    let count = 0
    let bytes = 0
    for (const { offset, target } of this.#waiting) {
      const first = this.#waiting[0]
      if (count > 0 && (offset !== (first?.offset ?? 0) + bytes || bytes + target.length > most)) break
      bytes += target.length
      count++
    }
    this.#bytes -= bytes
    return this.#waiting.splice(0, count)
  }
}
