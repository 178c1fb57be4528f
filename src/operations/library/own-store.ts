import { ReadOnlyStore } from '../../block/read-only-store.js'
import { corrupt, isImageError, printable, type Label, usage } from '../../errors.js'

/** Where a program has the bytes of an image that is no file: in memory, in a database, behind a protocol. */
export interface ReadableStore {
  /** Bytes; it must not change while the image is open. */
  readonly size: number
  /** What messages call it. */
  readonly name?: string
  /**
   * Fills `target` whole with the bytes at `position`; `position + target.length` ≤ `size`. Synchronous. What it throws
   * is reported as an ImageError corrupt E_READ with that as its cause; so is a promise, and a number (of bytes, as
   * `fs.readSync` returns it) below `target.length`.
   */
  read(position: number, target: Uint8Array): void
  /**
   * Called once, when the image is closed or cannot be opened. What it throws is reported as an ImageError corrupt
   * E_READ, behind an error that came before.
   */
  close?(): void
}

/** A store of the library's user, as the rest of vdisk sees it: read-only, and without a descriptor. */
export class OwnStore extends ReadOnlyStore {
  readonly name: Label
  readonly size: number
  readonly #inner: ReadableStore
  #closed = false

  /** @throws ImageError usage E_SIZE when the size is no whole number of bytes. */
  constructor(inner: ReadableStore) {
    super()
    this.#inner = inner
    this.name = printable(inner.name ?? 'the store')
    this.size = inner.size
    if (Number.isSafeInteger(this.size) && this.size >= 0) return
    this[Symbol.dispose]()
    throw usage('E_SIZE', `${this.name}: ${String(inner.size)} is no size in bytes`)
  }

  read(position: number, target: Uint8Array): void {
    if (position < 0 || position + target.length > this.size)
      throw corrupt(
        'E_TRUNCATED',
        `${this.name}: ${target.length} bytes were to be read at byte ${position}, but there are only ${this.size}`,
        { details: { position, length: target.length, size: this.size } },
      )
    // As JavaScript has it: a function that is declared to return nothing may return anything.
    const read: (position: number, target: Uint8Array) => unknown = this.#inner.read.bind(this.#inner)
    try {
      assertFilled(read(position, target), target.length)
    } catch (cause) {
      if (isImageError(cause)) throw cause
      const why = cause instanceof Error ? cause.message : String(cause)
      throw corrupt('E_READ', `${this.name}: cannot read ${target.length} bytes at byte ${position}: ${why}`, {
        cause,
        details: { position, length: target.length },
      })
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    try {
      this.#inner.close?.()
    } catch (cause) {
      if (isImageError(cause)) throw cause
      const why = cause instanceof Error ? cause.message : String(cause)
      throw corrupt('E_READ', `${this.name}: cannot be closed: ${printable(why)}`, {
        cause,
        hint: 'What was read of it was read without an error.',
      })
    }
  }
}

/**
 * What `read` returns has no meaning, and two kinds of it show that the bytes are not there: what is left in their
 * place would be taken for content. @throws Error
 */
function assertFilled(answer: unknown, length: number): void {
  if (typeof answer === 'number' && answer < length) throw new Error(`its read gave ${answer} of ${length} bytes`)
  if (typeof answer !== 'object' || answer === null || !('then' in answer)) return
  // Nobody else waits for it.
  Promise.resolve(answer).catch(() => undefined)
  throw new Error('its read returned a promise, and it has to be synchronous')
}
