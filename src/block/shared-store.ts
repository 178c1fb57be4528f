import type { Label } from '../errors.js'
import { ReadOnlyStore } from './read-only-store.js'
import { RangeSource } from './range-source.js'
import type { BlockSource, ByteStore, Note } from './types.js'

/**
 * A store that several readers hold, and that is closed when the last of them closes it. It is made with one holder.
 */
export class SharedStore extends ReadOnlyStore {
  readonly #store: ByteStore
  readonly #whole: BlockSource
  #holders = 1

  constructor(store: ByteStore) {
    super()
    this.#store = store
    this.#whole = new RangeSource(store)
  }

  get name(): Label {
    return this.#store.name
  }

  get size(): number {
    return this.#store.size
  }

  get fd(): number | undefined {
    return this.#store.fd
  }

  get descriptorAlignment(): number | undefined {
    return this.#store.descriptorAlignment
  }

  /** Of a store without a descriptor: the store itself, which may have other ways to its bytes. */
  get source(): BlockSource | undefined {
    return this.#store.source ?? (this.#store.fd === undefined ? this.#whole : undefined)
  }

  get notes(): readonly Note[] | undefined {
    return this.#store.notes
  }

  changed(): string | undefined {
    return this.#store.changed?.()
  }

  read(position: number, target: Uint8Array): void {
    this.#store.read(position, target)
  }

  /** Once more: to be closed once more. */
  hold(): this {
    this.#holders++
    return this
  }

  [Symbol.dispose](): void {
    if (--this.#holders === 0) this.#store[Symbol.dispose]()
  }
}
