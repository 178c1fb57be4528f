import { lastAtMost } from '../binary/search.js'
import { corrupt, targetError, type Label } from '../errors.js'
import type { ByteStore } from './types.js'

/** Bytes to lay over a store; without `bytes` the range is zero. `length` is that of `bytes` where they are given. */
export interface Patch {
  readonly position: number
  readonly length: number
  readonly bytes?: Uint8Array
}

/** Where a run of a patched store comes from: the store below at the same position, the patches, or nowhere (zero). */
export interface PatchedRun {
  readonly origin: 'base' | 'patch' | 'zero'
  readonly length: number
}

/**
 * A store with changes laid over it in memory: a journal replayed without touching the file. It has no descriptor, and
 * refuses writes.
 * Between the end of the store below and `size` it reads as zero. Closing it closes the store below.
 */
export class PatchedStore implements ByteStore {
  readonly growable = false
  readonly alignment = 1
  readonly zeroed = false
  readonly name: Label
  readonly size: number
  /** The store below, for runs whose origin is `base`. */
  readonly base: ByteStore
  readonly #patches: readonly Patch[]
  /** Sorted ends of ranges, and of each range [edge i, edge i+1) the index of its patch; −1: none. */
  readonly #edges: Float64Array
  readonly #owners: Int32Array

  /**
   * @param patches in the order in which they happened: a later one covers an earlier one. @param size at least the
   * base's.
   */
  constructor(base: ByteStore, patches: readonly Patch[], size: number) {
    this.base = base
    this.name = base.name
    this.size = size
    this.#patches = patches
    const edges = new Float64Array(patches.length * 2)
    for (const [index, patch] of patches.entries())
      edges.set([patch.position, patch.position + patch.length], index * 2)
    this.#edges = distinct(edges.sort())
    this.#owners = this.#assign()
  }

  /** The run at `position`; 0 < length ≤ limit. `position` must be below `size`. */
  runAt(position: number, limit: number): PatchedRun {
    const range = this.#rangeAt(position)
    const end = Math.min(position + limit, this.#edges[range + 1] ?? Infinity, this.size)
    const patch = this.#patches[this.#owners[range] ?? -1]
    if (patch !== undefined) return { origin: patch.bytes === undefined ? 'zero' : 'patch', length: end - position }
    if (position >= this.base.size) return { origin: 'zero', length: end - position }
    return { origin: 'base', length: Math.min(end, this.base.size) - position }
  }

  read(position: number, target: Uint8Array): void {
    if (position < 0 || position + target.length > this.size) {
      throw corrupt(
        'E_TRUNCATED',
        `${this.name}: ${target.length} bytes were to be read at byte ${position}, but there are only ${this.size}`,
        { details: { position, length: target.length, size: this.size } },
      )
    }
    for (let done = 0; done < target.length;) {
      const at = position + done
      const run = this.runAt(at, target.length - done)
      const piece = target.subarray(done, done + run.length)
      if (run.origin === 'base') this.base.read(at, piece)
      else this.#fill(at, piece)
      done += run.length
    }
  }

  write(): void {
    throw targetError('E_WRITE', `${this.name} is open for reading only`)
  }

  truncate(): void {
    throw targetError('E_WRITE', `${this.name} is open for reading only`)
  }

  flush(): void {
    // Nothing is ever written.
  }

  [Symbol.dispose](): void {
    this.base[Symbol.dispose]()
  }

  #fill(position: number, target: Uint8Array): void {
    const patch = this.#patches[this.#owners[this.#rangeAt(position)] ?? -1]
    if (patch?.bytes === undefined) target.fill(0)
    else target.set(patch.bytes.subarray(position - patch.position, position - patch.position + target.length))
  }

  /** The index of the last edge at or before `position`; −1 before all. */
  #rangeAt(position: number): number {
    return lastAtMost(this.#edges, this.#edges.length, position)
  }

  /** Gives every range its last patch: from the last patch to the first, each takes what is not taken yet. */
  #assign(): Int32Array {
    const owners = new Int32Array(this.#edges.length).fill(-1)
    // free[i]: a range at or after i that may still be without owner (path-compressed, so that many large patches stay
    // linear).
    const free = Int32Array.from({ length: this.#edges.length + 1 }, (_, index) => index)
    const firstFree = (start: number): number => {
      let root = start
      while (free[root] !== root) root = free[root] ?? root
      for (let at = start; at !== root;) {
        const next = free[at] ?? root
        free[at] = root
        at = next
      }
      return root
    }
    for (let index = this.#patches.length - 1; index >= 0; index--) {
      const patch = this.#patches[index]
      if (patch === undefined) continue
      const end = patch.position + patch.length
      for (
        let range = firstFree(this.#rangeAt(patch.position));
        (this.#edges[range] ?? Infinity) < end;
        range = firstFree(range)
      ) {
        owners[range] = index
        free[range] = range + 1
      }
    }
    return owners
  }
}

function distinct(sorted: Float64Array): Float64Array {
  let count = 0
  for (const value of sorted) {
    if (count === 0 || sorted[count - 1] !== value) sorted[count++] = value
  }
  return sorted.slice(0, count)
}
