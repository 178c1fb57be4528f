import { LinearTarget } from '../../block/linear-target.js'
import type { ByteStore } from '../../block/types.js'
import type { DiskShape, ImageWriter, OptionValues } from '../driver.js'

/** A raw image: guest offset and host position are the same. */
export class RawWriter extends LinearTarget implements ImageWriter {
  readonly placeZeros: boolean
  readonly sequential = true
  readonly #file: ByteStore

  constructor(store: ByteStore, { capacity }: DiskShape, options: OptionValues) {
    super(store, { capacity, grain: 4096 })
    this.placeZeros = options['preallocation'] === 'full' || !store.zeroed
    this.#file = store
    // The whole length at once: blocks are then found for ranges in the middle of a file, not for one that grows and
    // grows.
    if (store.growable) store.truncate(capacity)
  }

  finish(): void {
    this.#file.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }
}
