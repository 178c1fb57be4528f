import { ExtentReader } from './read.js'
import type { BlockSource, Extent } from './types.js'

/** A disk that is larger than what it is made of: the rest is zero. Closing it leaves the inner disk open. */
export class PaddedSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #inner: BlockSource
  readonly #reader = new ExtentReader(this)

  /** @param capacity bytes, at least those of `inner`. */
  constructor(inner: BlockSource, capacity: number) {
    if (capacity < inner.capacity)
      throw new RangeError(`a disk of ${inner.capacity} bytes cannot be padded to ${capacity}`)
    this.#inner = inner
    this.capacity = capacity
    this.sectorSize = inner.sectorSize
    this.grain = inner.grain
  }

  extentAt(offset: number, limit: number): Extent {
    const available = this.#inner.capacity - offset
    return available > 0
      ? this.#inner.extentAt(offset, Math.min(limit, available))
      : { kind: 'zero', offset, length: Math.min(limit, this.capacity - offset) }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The inner disk belongs to the caller.
  }
}
