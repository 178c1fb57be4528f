import type { ByteStore } from '../../block/types.js'
import type { DiskShape, ImageWriter, OptionValues } from '../driver.js'

/** A raw image: guest offset and host position are the same. */
export class RawWriter implements ImageWriter {
  readonly capacity: number
  readonly grain = 4096
  readonly placeZeros: boolean
  /** Positions only go up and nothing is written besides the data: can go to a pipe in one pass. */
  readonly sequential = true
  readonly #store: ByteStore

  constructor(store: ByteStore, shape: DiskShape, options: OptionValues) {
    this.capacity = shape.capacity
    this.placeZeros = options['preallocation'] === 'full' || !store.zeroed
    this.#store = store
    // The whole length at once: blocks are then found for ranges in the middle of a file, not for one that grows and
    // grows.
    if (store.growable) store.truncate(shape.capacity)
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    return { store: this.#store, position: offset, length }
  }

  zero(): void {
    // A new file reads as zero where nothing was written.
  }

  finish(): void {
    this.#store.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }
}
