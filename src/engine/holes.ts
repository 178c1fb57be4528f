import { assertUnchanged } from '../block/changed.js'
import type { ByteStore } from '../block/types.js'
import { syscalls } from '../sys/syscalls.js'

/**
 * Which parts of a host file are holes, asked from the filesystem (or the store that knows itself) run by run and never
 * read. One object a store: it remembers the
 * last run, so that walking a file forwards costs one call a run.
 */
export class HostHoles {
  readonly #store: ByteStore
  readonly #descriptor: number | undefined
  readonly #size: number
  #start = 0
  #end = 0
  #hole = false

  constructor(store: ByteStore) {
    this.#store = store
    this.#descriptor = store.fd
    this.#size = store.size
  }

  /** How the file's run at `position` is stored: `length` ≤ limit bytes from there are a hole, or data. */
  runAt(position: number, limit: number): { readonly hole: boolean; readonly length: number } {
    if (this.#store.holeAt !== undefined) return this.#store.holeAt(position, limit)
    if (position < this.#start || position >= this.#end) this.#look(position)
    return { hole: this.#hole, length: Math.min(limit, this.#end - position) }
  }

  #look(position: number): void {
    const system = this.#descriptor === undefined ? undefined : syscalls()
    // Past the end there is nothing, not even a hole: the read will say that the file is too short.
    const data =
      system === undefined || this.#descriptor === undefined || position >= this.#size
        ? undefined
        : system.nextData(this.#descriptor, position)
    this.#start = position
    if (data === undefined || system === undefined || this.#descriptor === undefined) {
      // Not known: everything may be data.
      this.#hole = false
      this.#end = Infinity
    } else if (data > position) {
      // A file that was cut meanwhile has no more data either: its end is then not a hole that may be skipped.
      if (data >= this.#size) assertUnchanged(this.#store)
      this.#hole = true
      this.#end = Math.min(data, this.#size)
    } else {
      this.#hole = false
      this.#end = system.nextHole(this.#descriptor, position) ?? Infinity
    }
  }
}
