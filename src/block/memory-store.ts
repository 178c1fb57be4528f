import { corrupt, printable, type Label } from '../errors.js'
import type { ByteStore } from './types.js'

/**
 * Bytes in memory, kept by pages so that a sparse terabyte costs nothing. For tests, layouts made before they are
 * written, and small inputs.
 */
export class MemoryStore implements ByteStore {
  readonly growable = true
  readonly alignment = 1
  readonly zeroed = true
  readonly name: Label
  #size = 0
  readonly #pages = new Map<number, Uint8Array>()
  readonly #pageSize: number

  /** @param pageSize bytes a page: small where little is written here and there, as in a layout. */
  constructor(contents?: Uint8Array, name = 'memory', pageSize = 65536) {
    this.name = printable(name)
    this.#pageSize = pageSize
    if (contents !== undefined) this.write(0, contents)
  }

  get size(): number {
    return this.#size
  }

  read(position: number, target: Uint8Array): void {
    if (position < 0 || position + target.length > this.#size) {
      throw corrupt(
        'E_TRUNCATED',
        `${this.name}: ${target.length} bytes were to be read at byte ${position}, but there are only ${this.#size}`,
        { details: { position, length: target.length, size: this.#size } },
      )
    }
    this.#eachPage(position, target.length, (page, within, at, length) => {
      const bytes = this.#pages.get(page)
      if (bytes === undefined) target.fill(0, at, at + length)
      else target.set(bytes.subarray(within, within + length), at)
    })
  }

  write(position: number, bytes: Uint8Array): void {
    this.#eachPage(position, bytes.length, (page, within, at, length) => {
      let target = this.#pages.get(page)
      if (target === undefined) {
        target = new Uint8Array(this.#pageSize)
        this.#pages.set(page, target)
      }
      target.set(bytes.subarray(at, at + length), within)
    })
    this.#size = Math.max(this.#size, position + bytes.length)
  }

  truncate(size: number): void {
    for (const [page, bytes] of this.#pages) {
      const start = page * this.#pageSize
      if (start >= size) this.#pages.delete(page)
      else if (start + this.#pageSize > size) bytes.fill(0, size - start)
    }
    this.#size = size
  }

  flush(): void {
    // Memory is as durable as it gets.
  }

  /** The store is at least this large: bytes that are kept elsewhere end here. */
  grown(end: number): void {
    this.#size = Math.max(this.#size, end)
  }

  /** What lies before a position is read no more: it reads as zero from here on. */
  forget(end: number): void {
    for (const page of this.#pages.keys()) {
      if ((page + 1) * this.#pageSize > end) break
      this.#pages.delete(page)
    }
  }

  /** All bytes in one array. Only for stores that are known to be small. */
  contents(): Uint8Array {
    const all = new Uint8Array(this.#size)
    this.read(0, all)
    return all
  }

  [Symbol.dispose](): void {
    this.#pages.clear()
  }

  #eachPage(
    position: number,
    length: number,
    visit: (page: number, within: number, at: number, length: number) => void,
  ): void {
    let at = 0
    while (at < length) {
      const page = Math.floor((position + at) / this.#pageSize)
      const within = position + at - page * this.#pageSize
      const piece = Math.min(length - at, this.#pageSize - within)
      visit(page, within, at, piece)
      at += piece
    }
  }
}
