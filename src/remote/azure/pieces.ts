/** Most bytes that Put Page takes at once. */
const longestPiece = 4 * 1024 * 1024

/** Bytes that are sent together. */
export interface PagePiece {
  readonly position: number
  readonly bytes: Uint8Array
}

/**
 * Cuts what comes in ascending order into pieces. They depend on what is written where, and not on how it comes: a
 * later run makes the same ones.
 */
export class PieceCutter {
  #position = 0
  #length = 0
  #bytes: Uint8Array | undefined;

  /** Takes bytes, and gives out the pieces that are complete with them. */
  *take(position: number, bytes: Uint8Array): Generator<PagePiece> {
    if (position < this.#end) throw new RangeError(`byte ${position} comes behind byte ${this.#end}`)
    if (position > this.#end) yield* this.rest()
    for (let done = 0; done < bytes.length;) {
      const at = position + done
      if (this.#length === 0) this.#position = at
      const limit = (Math.floor(this.#position / longestPiece) + 1) * longestPiece
      const count = Math.min(bytes.length - done, limit - at)
      // Short ones take no more memory than they touch.
      this.#bytes ??= Buffer.allocUnsafeSlow(longestPiece)
      this.#bytes.set(bytes.subarray(done, done + count), this.#length)
      this.#length += count
      done += count
      if (at + count === limit) yield* this.rest()
    }
  }

  /** What is not complete yet. */
  *rest(): Generator<PagePiece> {
    const end = this.#end
    if (this.#length > 0 && this.#bytes !== undefined)
      yield { position: this.#position, bytes: this.#bytes.subarray(0, this.#length) }
    // The bytes belong to who got the piece.
    this.#bytes = undefined
    this.#position = end
    this.#length = 0
  }

  get #end(): number {
    return this.#position + this.#length
  }
}
