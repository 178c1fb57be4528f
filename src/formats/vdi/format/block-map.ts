import { viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'

/** The block map: of the file, or of an image that is open for changes. */
export interface BlockWords {
  word(block: number): number
  /** Where the entry stands in the file. */
  position(block: number): number
  /** The block after the run of equal words that begins at `block`, at most `end`. May stop early. */
  runEnd(block: number, end: number): number
}

const entriesPerPiece = 16384
/** 256 pieces of 64 KiB: the whole map of a 4 TiB disk with blocks of 1 MiB, and never more than 16 MiB. */
const keptPieces = 256
/** How many entries one call looks at for a run: answers stay quick, longer runs take more calls. */
export const mostWalked = 65536

/** The map of a file, read by pieces when they are needed. */
export class BlockMap implements BlockWords {
  readonly #store: ByteStore
  readonly #position: number
  readonly #entries: number
  readonly #pieces = new Map<number, DataView>()

  /** @param entries must lie inside the store. */
  constructor(store: ByteStore, position: number, entries: number) {
    this.#store = store
    this.#position = position
    this.#entries = entries
  }

  word(block: number): number {
    if (block < 0 || block >= this.#entries) throw new RangeError(`block ${block} of ${this.#entries}`)
    return this.#piece(Math.floor(block / entriesPerPiece)).getUint32((block % entriesPerPiece) * 4, true)
  }

  position(block: number): number {
    return this.#position + block * 4
  }

  runEnd(block: number, end: number): number {
    const word = this.word(block)
    const stop = Math.min(end, block + mostWalked)
    let next = block + 1
    while (next < stop) {
      const piece = this.#piece(Math.floor(next / entriesPerPiece))
      const last = Math.min(stop, next - (next % entriesPerPiece) + entriesPerPiece)
      while (next < last && piece.getUint32((next % entriesPerPiece) * 4, true) === word) next++
      if (next < last) return next
    }
    return next
  }

  #piece(index: number): DataView {
    const kept = this.#pieces.get(index)
    if (kept !== undefined) return kept
    const first = index * entriesPerPiece
    const bytes = new Uint8Array(Math.min(entriesPerPiece, this.#entries - first) * 4)
    this.#store.read(this.#position + first * 4, bytes)
    const [oldest] = this.#pieces.keys()
    if (this.#pieces.size >= keptPieces && oldest !== undefined) this.#pieces.delete(oldest)
    const view = viewOf(bytes)
    this.#pieces.set(index, view)
    return view
  }
}
