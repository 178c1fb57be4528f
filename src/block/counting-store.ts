import { printable, type Label } from '../errors.js'
import type { ByteStore } from './types.js'

/**
 * Takes bytes, forgets them, and knows how large the file would be: for layouts whose places matter and whose content
 * does not.
 */
export class CountingStore implements ByteStore {
  readonly growable = true
  readonly alignment = 1
  readonly zeroed = true
  readonly name: Label
  #size = 0

  constructor(name = 'nowhere') {
    this.name = printable(name)
  }

  get size(): number {
    return this.#size
  }

  read(): void {
    throw new TypeError(`${this.name}: a layout is never read back`)
  }

  write(position: number, bytes: Uint8Array): void {
    this.grown(position + bytes.length)
  }

  truncate(size: number): void {
    this.#size = size
  }

  flush(): void {
    // Nothing is kept.
  }

  /** The file is at least this large. */
  grown(end: number): void {
    this.#size = Math.max(this.#size, end)
  }

  [Symbol.dispose](): void {
    // Nothing is held.
  }
}
