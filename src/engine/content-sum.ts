import zlib from 'node:zlib'
import { OrderedTaking, type ContentTaker } from '../block/content-taker.js'
import { isZero } from '../binary/zero.js'
import { corrupt } from '../errors.js'
import type { ContentPlace } from './content-order.js'
import type { Salvage } from './salvaged.js'

/** Bytes of a slice at most. */
const longestSlice = 65536

/**
 * A sum over the content of a disk which does not depend on the order in which its parts come: of each slice that is
 * not zero, its CRC-32 and one that is mixed with its place. It shows that a disk changed between two reads; it proves
 * nothing against who wants to deceive.
 */
class ContentSum {
  readonly #slice: number
  #plain = 0
  #mixed = 0

  /** @param slice bytes; parts begin at its multiples, and end there, but for the disk's end. */
  constructor(slice: number) {
    this.#slice = slice
  }

  add(offset: number, bytes: Uint8Array): void {
    if (offset % this.#slice !== 0) throw new RangeError(`offset ${offset} is no multiple of ${this.#slice}`)
    for (let at = 0; at < bytes.length; at += this.#slice) {
      const slice = bytes.subarray(at, at + this.#slice)
      if (isZero(slice)) continue
      const crc = zlib.crc32(slice)
      const index = (offset + at) / this.#slice
      this.#plain = (this.#plain + crc) % 2 ** 32
      this.#mixed = (this.#mixed + crc * ((index % 65521) + 1)) % 2 ** 32
    }
  }

  equals(other: ContentSum): boolean {
    return this.#plain === other.#plain && this.#mixed === other.#mixed
  }
}

/**
 * Takes the content of a disk that is read twice: in order, the first time, and as it comes the second time, and holds
 * the two against each other.
 */
export class ReadTwice implements ContentTaker {
  readonly start = 0
  readonly end: number
  readonly #taker: OrderedTaking
  readonly #first: ContentSum
  readonly #second: ContentSum

  /** @param capacity bytes of the disk. @param grain what parts of it begin at multiples of. */
  constructor(taker: ContentTaker, capacity: number, grain: number) {
    this.end = capacity
    this.#taker = new OrderedTaking(taker)
    const slice = sliceFor(grain)
    this.#first = new ContentSum(slice)
    this.#second = new ContentSum(slice)
  }

  take(offset: number, bytes: Uint8Array): void {
    this.#taker.add(offset, bytes)
    this.#first.add(offset, bytes)
  }

  takeZeros(offset: number, length: number): void {
    this.#taker.zerosTo(offset + length)
  }

  /** What is read the second time, in any order. */
  readonly again: ContentPlace = {
    give: (offset, bytes) => {
      this.#second.add(offset, bytes.subarray(0, Math.max(0, this.end - offset)))
      return Promise.resolve()
    },
    end: () => undefined,
  }

  /** @throws ImageError corrupt E_SOURCE_CHANGED */
  assertSame(): void {
    if (this.#first.equals(this.#second)) return
    throw corrupt('E_SOURCE_CHANGED', 'the source changed between the two times that it was read', {
      hint: 'Stop what writes to the source, and try again; or send a raw image, which is read once.',
    })
  }
}

/** The largest power of two that divides a grain, at most {@link longestSlice}. */
function sliceFor(grain: number): number {
  let slice = 1
  while (slice < longestSlice && grain % (2 * slice) === 0) slice *= 2
  return slice
}

/**
 * What the second read is salvaged with: it is tried again, down to single sectors; but what could be read the first
 * time has its place, and cannot become zero.
 */
export function strictly(salvage: Salvage): Salvage {
  return {
    capacity: salvage.capacity,
    get bad() {
      return salvage.bad
    },
    salvage: async (offset, target, signal) => {
      const before = total(salvage)
      await salvage.salvage(offset, target, signal)
      if (total(salvage) === before) return
      throw corrupt('E_READ', `bytes from offset ${offset} on could be read once, and cannot be read again`, {
        hint: 'The disk is failing: send a raw image (--to raw), which is read once.',
      })
    },
  }
}

function total({ bad }: Salvage): number {
  return bad.reduce((sum, { length }) => sum + length, 0)
}
