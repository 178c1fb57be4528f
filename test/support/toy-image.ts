import { ExtentReader } from '../../src/block/read.js'
import type { BlockSource, ByteStore, Extent } from '../../src/block/types.js'
import { codecFor } from '../../src/codec/registry.js'
import type { CopyTarget } from '../../src/block/image-writer.js'

/**
 * A toy image kept as a list of runs: what was placed, zeroed or packed where. Readable at once, for tests of the
 * engine alone.
 */
export class ToyImage implements BlockSource, CopyTarget {
  readonly sectorSize = 512
  readonly capacity: number
  readonly grain: number
  readonly packedUnit?: { length: number; codec: string }
  readonly placeZeros?: boolean
  /** Every call in the order it came, for assertions. */
  readonly calls: { kind: 'place' | 'packed' | 'zero'; offset: number; length: number; position: number }[] = []
  readonly #store: ByteStore
  readonly #longest: number
  readonly #reader = new ExtentReader(this)
  #free: number

  constructor(
    store: ByteStore,
    capacity: number,
    options: {
      grain?: number
      packedUnit?: { length: number; codec: string }
      longest?: number
      placeZeros?: boolean
      start?: number
    } = {},
  ) {
    this.#store = store
    this.capacity = capacity
    this.grain = options.grain ?? 4096
    this.#longest = options.longest ?? Infinity
    this.#free = options.start ?? 0
    if (options.packedUnit !== undefined) this.packedUnit = options.packedUnit
    if (options.placeZeros !== undefined) this.placeZeros = options.placeZeros
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const taken = Math.min(length, this.#longest)
    const position = this.#take('place', offset, taken, taken)
    return { store: this.#store, position, length: taken }
  }

  placePacked(offset: number, storedLength: number): { store: ByteStore; position: number } {
    return { store: this.#store, position: this.#take('packed', offset, storedLength, storedLength) }
  }

  zero(offset: number, length: number): void {
    this.#take('zero', offset, length, 0)
  }

  #take(kind: 'place' | 'packed' | 'zero', offset: number, length: number, bytes: number): number {
    const last = this.calls.at(-1)
    if (last !== undefined && offset <= last.offset)
      throw new Error(`calls must ascend: ${offset} after ${last.offset}`)
    const position = this.#free
    this.calls.push({ kind, offset, length, position })
    this.#free += bytes
    return position
  }

  extentAt(offset: number, limit: number): Extent {
    let next = this.capacity
    for (const call of this.calls) {
      const guestLength = call.kind === 'packed' ? (this.packedUnit?.length ?? 0) : call.length
      if (offset >= call.offset && offset < call.offset + guestLength) {
        const skipped = offset - call.offset
        const length = Math.min(limit, guestLength - skipped, this.capacity - offset)
        if (call.kind === 'zero') return { kind: 'zero', offset, length }
        if (call.kind === 'place')
          return { kind: 'data', offset, length, store: this.#store, position: call.position + skipped }
        return {
          kind: 'packed',
          offset,
          length,
          store: this.#store,
          position: call.position,
          storedLength: call.length,
          codec: codecFor(this.packedUnit?.codec ?? ''),
          unitOffset: call.offset,
          unitLength: guestLength,
        }
      }
      if (call.offset > offset) {
        next = Math.min(next, call.offset)
      }
    }
    return { kind: 'absent', offset, length: Math.min(limit, next - offset) }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The store belongs to the test.
  }
}
