import { corrupt, unsupported, type Label } from '../errors.js'
import { eachPiece } from './pieces.js'
import type { ByteStore } from './types.js'

const pageLength = 4096
/** Changes that are kept, in bytes. */
const usualLimit = 128 * 1024 * 1024

/**
 * A store whose changes stay in memory, so that what is only tried leaves no trace. Closing it closes the store below.
 */
export class DraftStore implements ByteStore {
  readonly growable = true
  readonly alignment = 1
  readonly zeroed = false
  readonly name: Label
  readonly #base: ByteStore
  readonly #limit: number
  readonly #pages = new Map<number, Uint8Array>()
  #size: number
  /** Bytes of the store below that are still to be seen: what was cut off does not come back. */
  #visible: number

  /** @param limit bytes of changes that are kept in memory at most. */
  constructor(base: ByteStore, limit = usualLimit) {
    this.#base = base
    this.#limit = limit
    this.name = base.name
    this.#size = base.size
    this.#visible = base.size
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
    this.#readBase(position, target)
    if (this.#pages.size === 0) return
    eachPiece(position, target.length, pageLength, (number, within, at, length) => {
      const page = this.#pages.get(number)
      if (page !== undefined) target.set(page.subarray(within, within + length), at)
    })
  }

  /** @throws ImageError unsupported E_DRAFT_TOO_LARGE when there is too much to keep. */
  write(position: number, bytes: Uint8Array): void {
    eachPiece(position, bytes.length, pageLength, (number, within, at, length) =>
      this.#page(number).set(bytes.subarray(at, at + length), within),
    )
    this.#size = Math.max(this.#size, position + bytes.length)
  }

  truncate(size: number): void {
    for (const [number, page] of this.#pages) {
      if (number * pageLength >= size) this.#pages.delete(number)
      else if ((number + 1) * pageLength > size) page.fill(0, size - number * pageLength)
    }
    this.#visible = Math.min(this.#visible, size)
    this.#size = size
  }

  flush(): void {
    // There is nothing that could outlive the process.
  }

  [Symbol.dispose](): void {
    this.#pages.clear()
    this.#base[Symbol.dispose]()
  }

  #readBase(position: number, target: Uint8Array): void {
    const length = Math.max(0, Math.min(target.length, this.#visible - position))
    if (length > 0) this.#base.read(position, target.subarray(0, length))
    target.fill(0, length)
  }

  #page(number: number): Uint8Array {
    const kept = this.#pages.get(number)
    if (kept !== undefined) return kept
    if (this.#pages.size * pageLength >= this.#limit)
      throw unsupported(
        'E_DRAFT_TOO_LARGE',
        `${this.name}: more than ${this.#limit} bytes would change, too many to keep in memory`,
        { hint: 'Let the changes be made in a copy: --output FILE.' },
      )
    const page = new Uint8Array(pageLength)
    this.#readBase(number * pageLength, page)
    this.#pages.set(number, page)
    return page
  }
}
