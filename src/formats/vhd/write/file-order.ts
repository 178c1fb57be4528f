import { roundUp } from '../../../binary/integers.js'
import { corrupt } from '../../../errors.js'
import { sectorLength, unallocated } from '../format/structs.js'

/** A range of the file, in bytes. */
export interface Area {
  readonly position: number
  readonly length: number
}

/**
 * What blocks must keep to: they end before `end` (bytes), but for what the disk's last one lacks behind the capacity.
 */
export interface Limits {
  readonly end: number
  readonly blockSize: number
  readonly capacity: number
}

/**
 * The blocks and structures of a file in the order in which they lie, as they are when this is made: four bytes a
 * block.
 */
export class FileOrder {
  readonly #words: Uint32Array
  /** The sectors of all blocks that are in the file, ascending. */
  readonly #sorted: Uint32Array
  readonly #length: number
  readonly #structures: readonly Area[]

  /**
   * @param words the BAT. @param length bytes a block takes, with its bitmap. @param structures all that is no block.
   */
  constructor(words: Uint32Array, length: number, structures: readonly Area[]) {
    this.#words = words
    this.#length = length
    this.#structures = [...structures].sort((left, right) => left.position - right.position)
    this.#sorted = words.slice().sort()
    // The value for "none" is the greatest there is.
    this.#sorted = this.#sorted.subarray(0, this.#from(unallocated * sectorLength))
  }

  /** Where the last of all ends, in whole sectors. */
  get end(): number {
    const ends = this.#structures.map(({ position, length }) => position + length)
    if (this.#sorted.length > 0) ends.push(this.position(this.#sorted.length - 1) + this.#length)
    return roundUp(Math.max(...ends), sectorLength)
  }

  /** Where the block at this place of the order begins in the file. */
  position(place: number): number {
    return (this.#sorted[place] ?? 0) * sectorLength
  }

  /** The block's number for each place of the order. */
  owners(): Uint32Array {
    const owners = new Uint32Array(this.#sorted.length)
    for (const [block, word] of this.#words.entries())
      if (word !== unallocated) owners[this.#from(word * sectorLength)] = block
    return owners
  }

  /** What nothing uses before the last block and structure, in whole sectors. */
  *gaps(): Generator<Area> {
    let end = 0
    let structure = 0
    for (let place = 0; place < this.#sorted.length || structure < this.#structures.length;) {
      const area = this.#structures[structure]
      const block = place < this.#sorted.length ? this.position(place) : Infinity
      const isBlock = area === undefined || block < area.position
      const next = isBlock ? { position: block, length: this.#length } : area
      if (isBlock) place++
      else structure++
      if (next.position > end) yield { position: end, length: next.position - end }
      end = Math.max(end, roundUp(next.position + next.length, sectorLength))
    }
  }

  /** Positions in the gaps where a block fits, ascending. */
  *holes(length: number): Generator<number> {
    for (const gap of this.gaps())
      for (let at = gap.position; at + length <= gap.position + gap.length; at += length) yield at
  }

  /**
   * @throws ImageError corrupt E_OVERLAP where a block shares bytes with another or a structure, E_TRUNCATED where one
   * ends too late.
   */
  verify(name: string, { end, blockSize, capacity }: Limits): void {
    const bitmapLength = this.#length - blockSize
    for (let place = 1; place < this.#sorted.length; place++) {
      if (this.position(place) < this.position(place - 1) + this.#length)
        throw this.#overlap(name, place, 'another block')
    }
    for (const area of this.#structures) {
      const place = this.#from(area.position - this.#length + 1)
      if (place < this.#sorted.length && this.position(place) < area.position + area.length)
        throw this.#overlap(name, place, `what else is at byte ${area.position}`)
    }
    // Only those that come last can end too late.
    for (let place = this.#sorted.length - 1; place >= 0 && this.position(place) + this.#length > end; place--) {
      const block = this.#blockAt(place)
      const needed = bitmapLength + Math.min(blockSize, Math.max(0, capacity - block * blockSize))
      if (this.position(place) + needed > end) {
        throw corrupt(
          'E_TRUNCATED',
          `${name}: block ${block} at byte ${this.position(place)} ends behind the footer at byte ${end}: an ` +
            'image like this is not changed',
          { details: { position: this.position(place), block } },
        )
      }
    }
  }

  #overlap(name: string, place: number, what: string): Error {
    const block = this.#blockAt(place)
    const position = this.position(place)
    return corrupt(
      'E_OVERLAP',
      `${name}: block ${block} at byte ${position} lies upon ${what}: an image like this is not changed`,
      { details: { position, block } },
    )
  }

  #blockAt(place: number): number {
    return this.#words.lastIndexOf(this.#sorted[place] ?? unallocated)
  }

  /** The first place of the order whose block begins at or behind a position. */
  #from(position: number): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.position(middle) < position) low = middle + 1
      else high = middle
    }
    return low
  }
}
