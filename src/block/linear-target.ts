import type { CopyTarget } from './image-writer.js'
import type { ByteStore } from './types.js'

/** How a store takes a disk whose every byte has the position of its offset. Bytes. */
export interface LinearLayout {
  readonly capacity: number
  readonly grain: number
  /** Nothing is placed before it, and nothing cleared; default 0. */
  readonly start?: number
  /** Makes a range zero that nothing was placed in; left out where the store is zero already. */
  readonly clear?: (position: number, length: number) => void
}

/** The one target in which offset and position are the same: a raw image, a device, an export. */
export class LinearTarget implements CopyTarget {
  readonly capacity: number
  readonly grain: number
  readonly #store: ByteStore
  readonly #clear: LinearLayout['clear']
  #end: number

  constructor(store: ByteStore, { capacity, grain, start = 0, clear }: LinearLayout) {
    this.capacity = capacity
    this.grain = grain
    this.#store = store
    this.#clear = clear
    this.#end = start
  }

  get isPastCache(): boolean {
    return (this.#store.descriptorAlignment ?? 1) > 1
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    this.#clearTo(offset)
    this.#end = offset + length
    return { store: this.#store, position: offset, length }
  }

  zero(): void {
    // What is not placed becomes zero.
  }

  /** Clears what lies behind the last place. */
  clearRest(): void {
    this.#clearTo(this.capacity)
  }

  #clearTo(offset: number): void {
    if (offset > this.#end) this.#clear?.(this.#end, offset - this.#end)
    this.#end = Math.max(this.#end, offset)
  }
}
