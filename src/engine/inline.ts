/** A mebibyte of the page cache is copied within this, in milliseconds; what takes longer waited for a medium. */
const slowPace = 2
/** How many chunks are then moved without keeping this thread waiting, before it is tried again. */
const chunksApart = 32

/**
 * Decides whether chunks are read and written by this thread itself. While both sides are in the page cache that is the
 * quickest way: the bytes are still in the processor's own cache when they are written. The threads of the pool move
 * other chunks meanwhile. Where a medium is waited for, this thread stays free.
 */
export class Inline {
  #skips = 0

  /** Whether the next chunk is to be moved by this thread. */
  takesNext(): boolean {
    if (this.#skips === 0) return true
    this.#skips--
    return false
  }

  /** Says how many milliseconds a chunk of `length` bytes took. */
  took(time: number, length: number): void {
    if (time * 1048576 > slowPace * Math.max(length, 262144)) this.#skips = chunksApart
  }
}
