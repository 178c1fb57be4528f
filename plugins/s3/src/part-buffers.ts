/**
 * Memory for the parts of an upload: one is filled while others are on their way. Failures of what is sent are thrown
 * by what is called next.
 */
export class PartBuffers {
  readonly #length: number
  readonly #most: number
  readonly #free: Uint8Array[] = []
  readonly #sending = new Set<Promise<void>>()
  #made = 0
  #current: Uint8Array | undefined
  #filled = 0
  #failure: { readonly error: unknown } | undefined

  /** @param length bytes of a part. @param lanes parts that are on their way at once. */
  constructor(length: number, lanes: number) {
    this.#length = length
    this.#most = lanes + 1
  }

  /** The part that is filled, where it is full. */
  get full(): Uint8Array | undefined {
    return this.#filled === this.#length ? this.#current : undefined
  }

  /** What the part that is filled has so far. */
  get rest(): Uint8Array {
    return this.#current?.subarray(0, this.#filled) ?? new Uint8Array(0)
  }

  /** Takes bytes into the part that is filled, once there is one. @returns how many it took. */
  async take(bytes: Uint8Array): Promise<number> {
    this.#assertNoFailure()
    const buffer = (this.#current ??= await this.#next())
    const taken = bytes.subarray(0, buffer.length - this.#filled)
    buffer.set(taken, this.#filled)
    this.#filled += taken.length
    return taken.length
  }

  /** Sends the part that was filled; another is filled next. @param bytes what `full` or `rest` gave. */
  send(bytes: Uint8Array, work: () => Promise<void>): void {
    const buffer = this.#current
    this.#current = undefined
    this.#filled = 0
    const sent = work()
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => {
        this.#sending.delete(sent)
        if (buffer?.buffer === bytes.buffer) this.#free.push(buffer)
      })
    this.#sending.add(sent)
  }

  /** Waits for all that is on its way. @throws what the first that failed threw. */
  async settled(): Promise<void> {
    while (this.#sending.size > 0) await Promise.race(this.#sending)
    this.#assertNoFailure()
  }

  async #next(): Promise<Uint8Array> {
    while (this.#free.length === 0 && this.#made >= this.#most) await Promise.race(this.#sending)
    this.#assertNoFailure()
    const free = this.#free.pop()
    if (free !== undefined) return free
    this.#made++
    return new Uint8Array(this.#length)
  }

  #assertNoFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
