import { lastAtMost } from '../binary/search.js'
import { corrupt, type Label } from '../errors.js'
import { ReadOnlyStore } from './read-only-store.js'
import type { ByteStore } from './types.js'

/** A range of bytes of a store. */
export interface StoreRange {
  readonly store: ByteStore
  readonly position: number
  readonly length: number
}

/** Ranges of several stores one behind the other, as one store that is read. The stores belong to the caller. */
export class JoinedStore extends ReadOnlyStore {
  readonly size: number
  readonly #ranges: readonly StoreRange[]
  /** Where each range begins. */
  readonly #starts: Float64Array

  constructor(
    readonly name: Label,
    ranges: readonly StoreRange[],
  ) {
    super()
    this.#ranges = ranges
    this.#starts = new Float64Array(ranges.length)
    let size = 0
    for (const [index, { length }] of ranges.entries()) {
      this.#starts[index] = size
      size += length
    }
    this.size = size
  }

  read(position: number, target: Uint8Array): void {
    if (position < 0 || position + target.length > this.size)
      throw corrupt('E_TRUNCATED', `${this.name}: bytes ${position} to ${position + target.length} are past its end`)
    for (let done = 0; done < target.length;) {
      const index = lastAtMost(this.#starts, this.#starts.length, position + done)
      const range = this.#ranges[index]
      if (range === undefined) return
      const within = position + done - (this.#starts[index] ?? 0)
      const length = Math.min(target.length - done, range.length - within)
      range.store.read(range.position + within, target.subarray(done, done + length))
      done += length
    }
  }

  changed(): string | undefined {
    return this.#ranges.map(({ store }) => store.changed?.()).find((change) => change !== undefined)
  }

  [Symbol.dispose](): void {
    // The stores belong to the caller.
  }
}
