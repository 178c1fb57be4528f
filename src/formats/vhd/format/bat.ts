import { viewOf } from '../../../binary/integers.js'
import { Recent } from '../../../binary/recent.js'
import type { ByteStore } from '../../../block/types.js'

const entriesPerPiece = 16384
/** 256 pieces of 64 KiB: the whole table of an 8 TiB disk with blocks of 2 MiB, and never more than 16 MiB. */
const keptPieces = 256
/**
 * How many entries one call looks at for a run of unallocated blocks: answers stay quick, longer runs take more calls.
 */
const longestRun = 65536

/** The block allocation table, read by pieces when they are needed. */
export class BlockTable {
  readonly #store: ByteStore
  readonly #position: number
  readonly #entries: number
  readonly #pieces: Recent<DataView>

  /** @param entries must lie inside the store. */
  constructor(store: ByteStore, position: number, entries: number) {
    this.#store = store
    this.#position = position
    this.#entries = entries
    this.#pieces = new Recent(keptPieces, (index) => this.#piece(index))
  }

  /** The word of a block: a sector number, or 0xFFFFFFFF. */
  word(block: number): number {
    if (block < 0 || block >= this.#entries) throw new RangeError(`block ${block} of ${this.#entries}`)
    return this.#pieces.get(Math.floor(block / entriesPerPiece)).getUint32((block % entriesPerPiece) * 4)
  }

  /** Where the entry of a block lies in the file. */
  position(block: number): number {
    return this.#position + block * 4
  }

  /** The block after the run of equal words that begins at `block`, at most `end`. May stop early. */
  runEnd(block: number, end: number): number {
    const word = this.word(block)
    const stop = Math.min(end, block + longestRun)
    let next = block + 1
    while (next < stop) {
      const piece = this.#pieces.get(Math.floor(next / entriesPerPiece))
      const last = Math.min(stop, next - (next % entriesPerPiece) + entriesPerPiece)
      while (next < last && piece.getUint32((next % entriesPerPiece) * 4) === word) next++
      if (next < last) return next
    }
    return next
  }

  #piece(index: number): DataView {
    const first = index * entriesPerPiece
    const bytes = new Uint8Array(Math.min(entriesPerPiece, this.#entries - first) * 4)
    this.#store.read(this.#position + first * 4, bytes)
    return viewOf(bytes)
  }
}
