import { viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'

/** Bytes of tables kept. */
const keptBytes = 4 * 1024 * 1024

/** Tables of an image, read when they are needed; those used last are kept. */
export class KeptTables {
  readonly #store: ByteStore
  readonly #tables = new Map<number, DataView>()
  #bytes = 0

  constructor(store: ByteStore) {
    this.#store = store
  }

  /** @param length always the same for a position. @throws ImageError corrupt E_TRUNCATED; E_READ. */
  at(position: number, length: number): DataView {
    const kept = this.#tables.get(position)
    if (kept !== undefined) return kept
    const bytes = new Uint8Array(length)
    this.#store.read(position, bytes)
    while (this.#tables.size > 0 && this.#bytes + length > keptBytes) {
      const [oldest, dropped] = this.#tables.entries().next().value ?? [-1, undefined]
      this.#tables.delete(oldest)
      this.#bytes -= dropped?.byteLength ?? 0
    }
    const table = viewOf(bytes)
    this.#tables.set(position, table)
    this.#bytes += length
    return table
  }

  /** The file was changed. */
  forget(): void {
    this.#tables.clear()
    this.#bytes = 0
  }
}

/** Bytes that a directory is read in at once. */
const pageLength = 4096

/** A directory of 32-bit or 64-bit words, of which only parts are kept. */
export class Directory {
  readonly #tables: KeptTables
  readonly position: number
  readonly entries: number
  readonly #width: 4 | 8

  constructor(tables: KeptTables, position: number, entries: number, width: 4 | 8 = 4) {
    this.#tables = tables
    this.position = position
    this.entries = entries
    this.#width = width
  }

  word(index: number): number {
    const { view, at } = this.#place(index)
    return view.getUint32(at, true)
  }

  wide(index: number): bigint {
    const { view, at } = this.#place(index)
    return view.getBigUint64(at, true)
  }

  /** Where an entry lies in the file, in bytes. */
  place(index: number): number {
    return this.position + index * this.#width
  }

  /** The first index from `first` on, below `end`, whose entry is not zero; `end` where all are. */
  nextUsed(first: number, end: number): number {
    let index = first
    while (index < end && (this.#width === 4 ? this.word(index) === 0 : this.wide(index) === 0n)) index++
    return index
  }

  #place(index: number): { readonly view: DataView; readonly at: number } {
    const perPage = pageLength / this.#width
    const page = Math.floor(index / perPage)
    const length = Math.min(pageLength, (this.entries - page * perPage) * this.#width)
    return {
      view: this.#tables.at(this.position + page * pageLength, length),
      at: (index - page * perPage) * this.#width,
    }
  }
}
