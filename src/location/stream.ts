import type { ByteStore } from '../block/types.js'
import { printable, type Label } from '../errors.js'
import { otherId, type Location, type LocationId } from './location.js'

let count = 0

/**
 * A store that is there already and is no file of its own: standard input that was kept, memory. It has no neighbours,
 * so what it holds can name no other file.
 */
export class StreamLocation implements Location {
  readonly scheme = 'stream'
  readonly kind = 'stream'
  readonly id: LocationId
  readonly label: Label
  readonly address = ''
  readonly name = undefined
  readonly member: string | undefined
  readonly #store: ByteStore

  /** @param member which of several disks in it is meant. */
  constructor(store: ByteStore, member?: string) {
    this.#store = store
    this.member = member
    this.label = printable(store.name)
    this.id = otherId('stream', count++)
  }

  /** The store that it was made of: closing it closes this. */
  store(): ByteStore {
    return this.#store
  }

  sibling(): undefined {
    return undefined
  }

  siblings(): readonly string[] {
    return []
  }
}
