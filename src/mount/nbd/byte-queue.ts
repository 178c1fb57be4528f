/** Bytes as they come in from a peer, taken out again in the pieces that the protocol has. */
export class ByteQueue {
  #pieces: Buffer[] = []
  #length = 0
  /** How much of the first piece was taken. */
  #taken = 0

  get length(): number {
    return this.#length
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#pieces.push(bytes)
    this.#length += bytes.length
  }

  /** The next `count` bytes in one piece; undefined until as many are there. */
  take(count: number): Buffer | undefined {
    if (count > this.#length) return undefined
    const [first] = this.#pieces
    if (first !== undefined && first.length - this.#taken >= count) {
      const bytes = first.subarray(this.#taken, this.#taken + count)
      this.#drop(first, count)
      return bytes
    }
    const bytes = Buffer.allocUnsafe(count)
    this.takeInto(bytes)
    return bytes
  }

  /** A copy of the next `count` bytes, which stay. @throws RangeError when they are not there yet. */
  peek(count: number): Buffer {
    const bytes = Buffer.alloc(count)
    let done = 0
    for (const [index, piece] of this.#pieces.entries()) {
      done += piece.copy(bytes, done, index === 0 ? this.#taken : 0)
      if (done >= count) return bytes
    }
    throw new RangeError(`${count} bytes are not there yet`)
  }

  /** Moves bytes into a buffer, as many as there are and fit. Gives how many. */
  takeInto(target: Uint8Array): number {
    let done = 0
    for (let [first] = this.#pieces; first !== undefined && done < target.length; [first] = this.#pieces) {
      const count = Math.min(first.length - this.#taken, target.length - done)
      target.set(first.subarray(this.#taken, this.#taken + count), done)
      this.#drop(first, count)
      done += count
    }
    return done
  }

  /** Throws away bytes, as many as there are and are asked for. Gives how many. */
  skip(count: number): number {
    let done = 0
    for (let [first] = this.#pieces; first !== undefined && done < count; [first] = this.#pieces) {
      const part = Math.min(first.length - this.#taken, count - done)
      this.#drop(first, part)
      done += part
    }
    return done
  }

  #drop(first: Buffer, count: number): void {
    this.#taken += count
    this.#length -= count
    if (this.#taken < first.length) return
    this.#pieces.shift()
    this.#taken = 0
  }
}
