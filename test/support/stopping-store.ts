import { MemoryStore } from '../../src/block/memory-store.js'
import { targetError } from '../../src/errors.js'

/** A store full of bytes from the start, of which a number of changes succeed and no further one: a pulled plug. */
export class StoppingStore extends MemoryStore {
  /** Changes done so far. */
  changes = 0
  readonly #allowed: number
  #filled = false

  constructor(contents: Uint8Array, name: string, allowed = Infinity) {
    super(undefined, name)
    super.write(0, contents)
    super.truncate(contents.length)
    this.#filled = true
    this.#allowed = allowed
  }

  #change(): void {
    if (!this.#filled) return
    if (this.changes >= this.#allowed) throw targetError('E_WRITE', `${this.name}: the plug was pulled`)
    this.changes++
  }

  override write(position: number, bytes: Uint8Array): void {
    this.#change()
    super.write(position, bytes)
  }

  override truncate(size: number): void {
    this.#change()
    super.truncate(size)
  }
}
