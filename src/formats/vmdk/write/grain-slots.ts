/** A grain that goes to another place. Positions are bytes. */
export interface GrainMove {
  readonly grain: number
  readonly from: number
  readonly to: number
}

const free = 0
const taken = 0xffffffff
/** So many free places are remembered. */
const mostFree = 65536

/**
 * Places of a sparse file that hold a grain each, and which grain: four bytes for each. Places that lie otherwise than
 * in steps of a grain cannot be exchanged.
 */
export class GrainSlots {
  /** Whether all grains lie in steps of a grain. */
  aligned = true
  readonly #base: number
  readonly #grainSize: number
  readonly #owners: Uint32Array
  #low = 0
  #high: number

  /** @param overhead where grains begin. @param size of the file. */
  constructor(overhead: number, grainSize: number, size: number) {
    this.#base = overhead
    this.#grainSize = grainSize
    this.#owners = new Uint32Array(Math.max(0, Math.ceil((size - overhead) / grainSize)))
    this.#high = this.#owners.length
  }

  /** Bytes that belong to a table: they stay. */
  take(position: number, length: number): void {
    const first = Math.max(0, Math.floor((position - this.#base) / this.#grainSize))
    const end = Math.ceil((position + length - this.#base) / this.#grainSize)
    for (let slot = first; slot < Math.min(end, this.#owners.length); slot++) this.#owners[slot] = taken
  }

  own(position: number, grain: number): void {
    const slot = (position - this.#base) / this.#grainSize
    if (!Number.isInteger(slot) || slot < 0 || this.#owners[slot] !== free) this.aligned = false
    else this.#owners[slot] = grain + 1
  }

  /** Whether a grain lies behind a free place. */
  get hasMove(): boolean {
    const first = this.#owners.indexOf(free)
    return first >= 0 && this.#owners.subarray(first).some((owner) => owner !== free && owner !== taken)
  }

  /** The last grain of the file into the first free place before it; undefined where there is none. */
  nextMove(): GrainMove | undefined {
    while (this.#low < this.#owners.length && this.#owners[this.#low] !== free) this.#low++
    do this.#high--
    while (this.#high > this.#low && this.#isFixed(this.#high))
    if (this.#high <= this.#low) return undefined
    const owner = this.#owners[this.#high] ?? free
    this.#owners[this.#low] = owner
    this.#owners[this.#high] = free
    return { grain: owner - 1, from: this.#place(this.#high), to: this.#place(this.#low) }
  }

  /** Places that were not looked at yet. */
  get left(): number {
    return Math.max(0, this.#high - this.#low)
  }

  /** Where the last grain ends, in bytes; tables may follow. */
  get endOfGrains(): number {
    let count = this.#owners.length
    while (count > 0 && this.#isFixed(count - 1)) count--
    return this.#place(count)
  }

  /** Where the last used place ends, in bytes. */
  get end(): number {
    let count = this.#owners.length
    while (count > 0 && this.#owners[count - 1] === free) count--
    return this.#place(count)
  }

  /** Some free places before a position, in bytes. */
  freeBefore(end: number): number[] {
    const places: number[] = []
    for (let slot = 0; this.#place(slot) < end && places.length < mostFree; slot++)
      if (this.#owners[slot] === free) places.push(this.#place(slot))
    return places
  }

  #isFixed(slot: number): boolean {
    return this.#owners[slot] === free || this.#owners[slot] === taken
  }

  #place(slot: number): number {
    return this.#base + slot * this.#grainSize
  }
}
