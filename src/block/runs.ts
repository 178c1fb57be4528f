import type { ByteStore, Codec, Extent } from './types.js'

/** What one table entry (or one stretch of empty ones) says of a disk from some offset on. */
export type Piece = { readonly length: number } & (
  | { readonly kind: 'zero' | 'absent' }
  | {
      readonly kind: 'data'
      readonly position: number
      /** Table entries that it was made of; one when left out. */
      readonly entries?: number
    }
  | { readonly kind: 'packed'; readonly position: number; readonly storedLength: number; readonly unitOffset: number }
)

/** A run of like pieces, as far as it has been walked; `complete` when it goes no further. */
interface Run {
  readonly piece: Piece
  readonly offset: number
  length: number
  complete: boolean
}

/** How many table entries one call walks at most, so that a call is short whatever its limit. */
export const walkedEntries = 65536

/** Where the bytes of pieces are. */
export interface PieceStores {
  /** Where plain data is. @throws ImageError reference when that was not opened. */
  readonly data: () => ByteStore
  readonly packed: ByteStore
  readonly codec: Codec
  /** Guest bytes of a compressed unit. */
  readonly unitLength: number
}

/**
 * Extents made of the pieces that the tables of an image give, like pieces joined. The last run is remembered: callers
 * that take a
 * long one in parts get the rest of it without a second walk.
 */
export class PieceRuns {
  readonly #capacity: number
  readonly #pieceAt: (offset: number) => Piece
  readonly #stores: PieceStores
  #last: Run | undefined

  /** @param pieceAt the piece at an offset, from there to its end. @throws ImageError where the entry is damaged. */
  constructor(capacity: number, pieceAt: (offset: number) => Piece, stores: PieceStores) {
    this.#capacity = capacity
    this.#pieceAt = pieceAt
    this.#stores = stores
  }

  /** As `BlockSource.extentAt`. */
  extentAt(offset: number, limit: number): Extent {
    if (!(offset >= 0 && offset < this.#capacity && limit > 0))
      throw new RangeError(`no extent of ${limit} bytes at offset ${offset} in a disk of ${this.#capacity} bytes`)
    const end = Math.min(offset + limit, this.#capacity)
    let run = this.#last
    if (run === undefined || offset < run.offset || offset >= run.offset + run.length) {
      const piece = this.#pieceAt(offset)
      run = { piece, offset, length: piece.length, complete: piece.kind === 'packed' }
      this.#last = run
    }
    this.#prolong(run, end)
    return this.#extent(run, offset, Math.min(end, run.offset + run.length) - offset)
  }

  /** The tables have changed: nothing that was walked counts any more. */
  forget(): void {
    this.#last = undefined
  }

  /**
   * Takes in the pieces that follow a run, up to `end`. Each table entry is looked at once, however the run is asked
   * for.
   */
  #prolong(run: Run, end: number): void {
    const { piece } = run
    for (let walked = 0; !run.complete && run.offset + run.length < end && walked < walkedEntries;) {
      const next = this.#following(run.offset + run.length)
      walked += next?.kind === 'data' ? (next.entries ?? 1) : 1
      if (
        next?.kind !== piece.kind ||
        (next.kind === 'data' && piece.kind === 'data' && next.position !== piece.position + run.length)
      )
        run.complete = true
      else run.length += next.length
    }
  }

  /**
   * The piece that may prolong a run. Damage there does not spoil the run before it: it is thrown when that piece is
   * asked for.
   */
  #following(offset: number): Piece | undefined {
    try {
      return this.#pieceAt(offset)
    } catch {
      return undefined
    }
  }

  #extent({ piece, offset: start }: Run, offset: number, length: number): Extent {
    const { data, packed, codec, unitLength } = this.#stores
    switch (piece.kind) {
      case 'zero':
      case 'absent':
        return { kind: piece.kind, offset, length }
      case 'data':
        return { kind: 'data', offset, length, store: data(), position: piece.position + (offset - start) }
      case 'packed':
        return {
          kind: 'packed',
          offset,
          length,
          store: packed,
          position: piece.position,
          storedLength: piece.storedLength,
          codec,
          unitOffset: piece.unitOffset,
          unitLength,
        }
    }
  }
}
