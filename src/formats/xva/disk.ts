import { NumberedPlaces } from '../../binary/numbered-places.js'
import { roundUp } from '../../binary/integers.js'
import { tarBlock } from '../../binary/tar-header.js'
import { ExtentReader } from '../../block/read.js'
import type { BlockSource, ByteStore, Extent } from '../../block/types.js'
import { codecFor } from '../../codec/registry.js'
import { corrupt, hints, printable, type ImageError } from '../../errors.js'
import type { XvaDisk } from './description.js'

export const pieceLength = 1048576

/** How the checksum behind a piece is made, as the word of its place. */
export const sums = { none: 0, sha1: 1, xxh64: 2 } as const
const digits = { [sums.sha1]: 40, [sums.xxh64]: 16 } as const

/** The pieces of one disk, while the archive is walked and afterwards. */
export class Pieces {
  readonly places = new NumberedPlaces()
  /** Bytes of the last piece, which may be short. */
  lastLength = pieceLength
  /** Pieces of no bytes, which keep a connection alive. */
  empty = 0
  /** Why none of it can be read. */
  problem: ImageError | undefined
}

/** A disk of an XVA: pieces of 1 MiB, each with its checksum; those that are not there are zero. */
export class XvaSource implements BlockSource {
  readonly sectorSize = 512
  readonly grain = pieceLength
  readonly capacity: number
  readonly #store: ByteStore
  readonly #pieces: Pieces
  readonly #problem: ImageError | undefined
  readonly #last: number
  readonly #reader: ExtentReader

  constructor(store: ByteStore, { id, capacity }: XvaDisk, pieces: Pieces) {
    this.#store = store
    this.#pieces = pieces
    this.capacity = capacity
    this.#last = Math.ceil(capacity / pieceLength) - 1
    this.#reader = new ExtentReader(this)
    // The first and the last piece are always there: what lacks them was cut off.
    const missing = [0, this.#last].find((number) => pieces.places.find(number) < 0)
    this.#problem =
      pieces.problem ??
      (missing === undefined
        ? undefined
        : corrupt(
            'E_TRUNCATED',
            `${store.name}: piece ${missing} of ${printable(id)} is missing, which every whole export has`,
            { details: { piece: missing, size: store.size }, hint: hints.incomplete },
          ))
  }

  /** Why it cannot be read; undefined where it can. */
  get problem(): ImageError | undefined {
    return this.#problem
  }

  extentAt(offset: number, limit: number): Extent {
    if (offset < 0 || offset >= this.capacity) throw new RangeError(`offset ${offset} of ${this.capacity} bytes`)
    if (this.#problem !== undefined) throw this.#problem
    const { places, lastLength } = this.#pieces
    const end = Math.min(offset + limit, this.capacity)
    const number = Math.floor(offset / pieceLength)
    const index = places.find(number)
    const unitOffset = number * pieceLength
    const stored = number === this.#last ? lastLength : pieceLength
    const unitLength = Math.min(stored, this.capacity - unitOffset)
    if (index < 0 || offset >= unitOffset + unitLength) {
      let next = unitOffset + pieceLength
      while (next < end && places.find(next / pieceLength) < 0) next += pieceLength
      return { kind: 'zero', offset, length: Math.min(next, end) - offset }
    }
    const position = places.position(index)
    const length = Math.min(end, unitOffset + unitLength) - offset
    const sum = places.word(index)
    if (sum !== sums.sha1 && sum !== sums.xxh64)
      return { kind: 'data', offset, length, store: this.#store, position: position + offset - unitOffset }
    return {
      kind: 'packed',
      offset,
      length,
      store: this.#store,
      position,
      storedLength: roundUp(stored, tarBlock) + tarBlock + digits[sum],
      codec: codecFor(sum === sums.sha1 ? 'xva-sha1' : 'xva-xxh64'),
      unitOffset,
      unitLength,
    }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }
}
