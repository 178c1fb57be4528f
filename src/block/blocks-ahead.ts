import type { FarRead } from './far-port.js'
import type { KeptPages } from './kept-pages.js'

/** What is read ahead, in blocks of this many bytes; and how many of them beside the one that is needed. */
const blockLength = 4 * 1024 * 1024
const mostAhead = 7

/** A block that is read ahead: `state` is 0 until its bytes are there, then 1, or 2 where they could not be read. */
interface Block {
  readonly start: number
  readonly bytes: Uint8Array<SharedArrayBuffer>
  readonly state: Int32Array
}

interface AheadOptions {
  /** Where reading ahead ends, in bytes of the file. */
  readonly end: number
  /** How long an answer may take, in milliseconds; and the error where none comes. */
  readonly longest: number
  readonly silent: () => Error
  /** Asks the thread that has the connections. */
  readonly send: (read: FarRead) => void
  /** What is at hand already, and is not read again. */
  readonly kept: KeptPages
}

/** A reader who goes forward in a file of another computer is read ahead of: the line stays busy. */
export class BlocksAhead {
  readonly #options: AheadOptions
  #blocks: Block[] = []
  /** Memory of blocks that were read: it is used again. */
  readonly #free: SharedArrayBuffer[] = []
  /** How far the reader has come since it goes forward, in bytes: the further, the further it is expected to go. */
  #steady = 0

  constructor(options: AheadOptions) {
    this.#options = options
  }

  /** Forgets what was read ahead: the reader went elsewhere. */
  clear(): void {
    this.#pass(Infinity)
    this.#steady = 0
  }

  /**
   * Waits for bytes at `position`. @returns how many of `target` were filled, at least one; 0: the block that begins at
   * `start` could not be read. @throws `silent`.
   */
  take(position: number, target: Uint8Array): { readonly count: number; readonly start: number } {
    const { end, longest, silent, kept } = this.#options
    this.#pass(position)
    if ((this.#blocks[0]?.start ?? Infinity) > position) this.#blocks = [this.#order(position)]
    const wanted = 1 + Math.min(mostAhead, Math.ceil(this.#steady / blockLength))
    while (this.#blocks.length < wanted) {
      const last = this.#blocks.at(-1)
      const start = last === undefined ? end : kept.past(last.start + last.bytes.length)
      if (start >= end) break
      this.#blocks.push(this.#order(start))
    }
    const [block] = this.#blocks
    if (block === undefined) throw new RangeError(`nothing was read ahead at ${position}`)
    if (Atomics.wait(block.state, 0, 0, longest) === 'timed-out') throw silent()
    if (Atomics.load(block.state, 0) !== 1) {
      this.clear()
      return { count: 0, start: block.start }
    }
    const from = position - block.start
    const count = Math.min(target.length, block.bytes.length - from)
    target.set(block.bytes.subarray(from, from + count))
    this.#steady += count
    return { count, start: block.start }
  }

  /** Drops what lies before a position. */
  #pass(position: number): void {
    const left: Block[] = []
    for (const block of this.#blocks) {
      const { start, bytes, state } = block
      if (start + bytes.length > position) left.push(block)
      // The thread still writes into the others.
      else if (Atomics.load(state, 0) !== 0) this.#free.push(bytes.buffer)
    }
    this.#blocks = left
  }

  #order(start: number): Block {
    const { end, send, kept } = this.#options
    const length = kept.next(start, Math.min(start + blockLength, end)) - start
    const buffer = this.#free.pop() ?? new SharedArrayBuffer(blockLength)
    const state = new SharedArrayBuffer(4)
    send({ kind: 'read', offset: start, length, buffer, start: 0, state })
    return { start, bytes: new Uint8Array(buffer, 0, length), state: new Int32Array(state) }
  }
}
