import type { UnderWay } from 'vdisk'

/**
 * Memory for the parts of an upload: one is filled while others are on their way. Failures of what is sent are thrown
 * by what is called next.
 */
export class PartBuffers {
  readonly #length: number
  readonly #most: number
  readonly #free: Uint8Array[] = []
  readonly #sending: UnderWay
  #made = 0
  #current: Uint8Array | undefined
  #filled = 0

  /** @param length bytes of a part. @param lanes parts that are on their way at once. @param sending sends them. */
  constructor(length: number, lanes: number, sending: UnderWay) {
    this.#length = length
    this.#most = lanes + 1
    this.#sending = sending
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
    this.#sending.stopIfFailed()
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
    this.#sending.begin(
      work().finally(() => {
        if (buffer?.buffer === bytes.buffer) this.#free.push(buffer)
      }),
    )
  }

  async #next(): Promise<Uint8Array> {
    await this.#sending.until(() => this.#free.length > 0 || this.#made < this.#most)
    const free = this.#free.pop()
    if (free !== undefined) return free
    this.#made++
    return new Uint8Array(this.#length)
  }
}
