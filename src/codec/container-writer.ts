import type { ImageWriter } from '../block/image-writer.js'
import type { ByteStore } from '../block/types.js'
import { UnitList } from '../block/unit-source.js'
import type { Container } from './container.js'
import { codecFor } from './registry.js'

/** What a unit's first bytes say of it (see Container.tail). */
export const unitHeadLength = 16
/** A unit that gets no smaller takes this much more at most. */
const mostGrowth = 65536

/**
 * A disk, byte for byte, in a compressed file: units one behind the other as the engine compresses them, what holds
 * them together at the end. Units of zeros are compressed too, since the format has no holes.
 */
export class ContainerWriter implements ImageWriter {
  readonly capacity: number
  readonly grain: number
  readonly packedUnit
  readonly #store: ByteStore
  readonly #container: Container
  readonly #units = new UnitList()
  readonly #zeros = new Map<number, Uint8Array>()
  #end: number
  #done = 0

  constructor(store: ByteStore, container: Container, capacity: number, level?: number) {
    const { codec, unitLength, head } = container
    this.#store = store
    this.#container = container
    this.capacity = capacity
    this.grain = unitLength
    this.packedUnit = { length: unitLength, codec, level, always: true, wholeEnd: true } as const
    store.write(0, head)
    this.#end = head.length
  }

  /** Only asked what noise would take: every unit is compressed. */
  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const { unitLength } = this.#container
    const within = offset % unitLength
    const { store, position } = this.placePacked(offset - within, unitLength + mostGrowth)
    return { store, position, length: Math.min(length, unitLength - within) }
  }

  placePacked(offset: number, storedLength: number): { store: ByteStore; position: number } {
    this.#fillTo(offset)
    const length = this.#lengthAt(offset)
    this.#units.add(this.#end, storedLength, length)
    const position = this.#end
    this.#end += storedLength
    this.#done = offset + length
    return { store: this.#store, position }
  }

  zero(): void {
    // The next unit with content, or the end, says how many units of zeros come before it.
  }

  finish(): void {
    this.#fillTo(this.capacity)
    const heads = Array.from({ length: this.#units.count }, (_, index) => {
      const bytes = new Uint8Array(Math.min(unitHeadLength, this.#units.stored(index)))
      this.#store.read(this.#units.position(index), bytes)
      return bytes
    })
    const tail = this.#container.tail(this.#units, heads)
    this.#store.write(this.#end, tail)
    this.#end += tail.length
    this.#store.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }

  #lengthAt(offset: number): number {
    return Math.min(this.#container.unitLength, this.capacity - offset)
  }

  /** Units of zeros up to an offset. */
  #fillTo(offset: number): void {
    if (offset < this.#done) throw new RangeError(`offset ${offset} comes after ${this.#done} was decided`)
    while (this.#done < offset) {
      const length = this.#lengthAt(this.#done)
      const stored = this.#zeroUnit(length)
      this.#store.write(this.#end, stored)
      this.#units.add(this.#end, stored.length, length)
      this.#end += stored.length
      this.#done += length
    }
  }

  #zeroUnit(length: number): Uint8Array {
    const kept = this.#zeros.get(length)
    if (kept !== undefined) return kept
    const { codec, level } = this.packedUnit
    const encode = codecFor(codec).encode?.bind(codecFor(codec))
    if (encode === undefined) throw new TypeError(`${codec} only decompresses`)
    const stored = Uint8Array.from(encode(new Uint8Array(length), level))
    this.#zeros.set(length, stored)
    return stored
  }
}
