import { moveNumbers } from '../binary/move-numbers.js'
import { ExtentReader } from './read.js'
import type { BlockSource, ByteStore, Codec, Extent } from './types.js'

/** From this length on, which takes long to decode, a glance decodes only the start, of as many bytes at most. */
const largeUnit = 1048576

/** Content that is stored as compressed units, one behind the other, each of which decodes on its own. */
export class UnitSource implements BlockSource {
  readonly sectorSize = 512
  readonly capacity: number
  /** Bytes of the largest unit. */
  readonly grain: number
  readonly #store: ByteStore
  readonly #codec: Codec
  readonly #units: UnitList
  readonly #reader = new ExtentReader(this)

  constructor(store: ByteStore, codec: Codec, units: UnitList) {
    this.#store = store
    this.#codec = codec
    this.#units = units
    this.capacity = units.capacity
    this.grain = Math.max(512, units.largest)
  }

  extentAt(offset: number, limit: number): Extent {
    const index = this.#units.at(offset)
    const unitOffset = this.#units.offset(index)
    const unitLength = this.#units.length(index)
    const length = Math.min(limit, unitOffset + unitLength - offset)
    const storedLength = this.#units.stored(index)
    if (storedLength === 0) return { kind: 'zero', offset, length }
    return {
      kind: 'packed',
      offset,
      length,
      store: this.#store,
      position: this.#units.position(index),
      storedLength,
      codec: this.#codec,
      unitOffset,
      unitLength,
      decoded: this.#reader,
    }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  /** The start of a large unit is decoded alone. */
  glance(offset: number, target: Uint8Array): void {
    const index = this.#units.at(offset)
    const isStart = offset === this.#units.offset(index) && this.#units.length(index) >= largeUnit
    if (!isStart || target.length > largeUnit || !this.#decodeStart(index, target)) this.read(offset, target)
  }

  #decodeStart(index: number, target: Uint8Array): boolean {
    if (this.#codec.decodeStart === undefined) return false
    const stored = new Uint8Array(Math.min(this.#units.stored(index), largeUnit))
    this.#store.read(this.#units.position(index), stored)
    return this.#codec.decodeStart(stored, target)
  }

  /** Decodes the last unit in Node's pool, so that it is at hand when the end is read; false where that cannot be. */
  decodeEnd(): boolean {
    const { decode, decodeLong } = this.#codec.inPool ?? {}
    const extent = this.capacity === 0 ? undefined : this.extentAt(this.capacity - 1, 1)
    if (decode === undefined || extent?.kind !== 'packed') return false
    const { position, storedLength, unitLength } = extent
    const output = new Uint8Array(unitLength)
    const read = (at: number, target: Uint8Array): Promise<number> => {
      this.#store.read(position + at, target)
      return Promise.resolve(target.length)
    }
    const whole = async (): Promise<boolean> => {
      const input = new Uint8Array(storedLength)
      await read(0, input)
      const [isWhole] = await decode([{ input, output }])
      return isWhole === true
    }
    const decoding = decodeLong === undefined ? whole() : decodeLong(storedLength, read, output)
    decoding.then(
      (isWhole) => isWhole && this.#reader.keep(extent, output),
      // Who reads it decodes it, and says what is wrong.
      () => undefined,
    )
    return true
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }
}

/** Where units are, in the order of their content; 28 bytes for each. */
export class UnitList {
  capacity = 0
  largest = 0
  #count = 0
  #offsets = new Float64Array(256)
  #positions = new Float64Array(256)
  #stored = new Uint32Array(256)
  #last = 0

  get count(): number {
    return this.#count
  }

  /** Adds the next unit; those without content are left out. */
  add(position: number, stored: number, length: number): void {
    if (length === 0) return
    if (this.#count === this.#stored.length) this.#grow()
    this.#offsets[this.#count] = this.capacity
    this.#positions[this.#count] = position
    this.#stored[this.#count] = stored
    this.#count++
    this.capacity += length
    this.largest = Math.max(this.largest, length)
  }

  /** Adds a unit that holds nothing but zeros: it is not decoded any more. */
  addZeros(length: number): void {
    const { largest } = this
    this.add(0, 0, length)
    this.largest = largest
  }

  /** The unit that holds an offset. */
  at(offset: number): number {
    if (offset < 0 || offset >= this.capacity) throw new RangeError(`offset ${offset} of ${this.capacity} bytes`)
    const near = this.#last
    if (this.offset(near) <= offset && offset < this.offset(near) + this.length(near)) return near
    let low = 0
    let high = this.#count
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (this.offset(middle) <= offset) low = middle
      else high = middle
    }
    return (this.#last = low)
  }

  offset(index: number): number {
    return this.#offsets[index] ?? 0
  }

  length(index: number): number {
    return (index + 1 === this.#count ? this.capacity : this.offset(index + 1)) - this.offset(index)
  }

  position(index: number): number {
    return this.#positions[index] ?? 0
  }

  stored(index: number): number {
    return this.#stored[index] ?? 0
  }

  #grow(): void {
    const size = 2 * this.#stored.length
    this.#offsets = moveNumbers(this.#offsets, new Float64Array(size))
    this.#positions = moveNumbers(this.#positions, new Float64Array(size))
    this.#stored = moveNumbers(this.#stored, new Uint32Array(size))
  }
}
