import { viewOf } from '../binary/integers.js'
import { Recent } from '../binary/recent.js'
import type { ByteStore } from './types.js'

/** A table of 32-bit words, one a block of a disk: of a file, or of an image that is open for changes. */
export interface Words {
  word(index: number): number
  /** Where the word stands in the file, in bytes. */
  position(index: number): number
  /** The index after the run of equal words that begins at `index`, at most `end`. May stop early. */
  runEnd(index: number, end: number): number
}

/** How the words of a format stand in a file. */
export interface WordLayout {
  readonly littleEndian: boolean
  /** What a word says of a block that is not there. */
  readonly none: number
  /** Whether the table is filled up to a whole sector with such words. */
  readonly padded: boolean
}

const wordsPerPiece = 16384
/** 256 pieces of 64 KiB: the words of four million blocks, and never more than 16 MiB. */
const keptPieces = 256
/** How many words one call looks at for a run: answers stay quick, longer runs take more calls. */
const mostWalkedWords = 65536
const sectorLength = 512
const wordsPerSector = sectorLength / 4

/** The table of a file, read by pieces when they are needed. */
export class StoredWords implements Words {
  readonly #store: ByteStore
  readonly #position: number
  readonly #entries: number
  readonly #littleEndian: boolean
  readonly #pieces: Recent<DataView>

  /** @param entries must lie inside the store. */
  constructor(store: ByteStore, position: number, entries: number, { littleEndian }: WordLayout) {
    this.#store = store
    this.#position = position
    this.#entries = entries
    this.#littleEndian = littleEndian
    this.#pieces = new Recent(keptPieces, (index) => this.#read(index))
  }

  word(index: number): number {
    if (index < 0 || index >= this.#entries) throw new RangeError(`block ${index} of ${this.#entries}`)
    const piece = this.#pieces.get(Math.floor(index / wordsPerPiece))
    return piece.getUint32((index % wordsPerPiece) * 4, this.#littleEndian)
  }

  position(index: number): number {
    return this.#position + index * 4
  }

  runEnd(index: number, end: number): number {
    const word = this.word(index)
    const little = this.#littleEndian
    const stop = Math.min(end, index + mostWalkedWords)
    let next = index + 1
    while (next < stop) {
      const piece = this.#pieces.get(Math.floor(next / wordsPerPiece))
      const last = Math.min(stop, next - (next % wordsPerPiece) + wordsPerPiece)
      while (next < last && piece.getUint32((next % wordsPerPiece) * 4, little) === word) next++
      if (next < last) return next
    }
    return next
  }

  #read(index: number): DataView {
    const first = index * wordsPerPiece
    const bytes = new Uint8Array(Math.min(wordsPerPiece, this.#entries - first) * 4)
    this.#store.read(this.#position + first * 4, bytes)
    return viewOf(bytes)
  }
}

/** The whole table in memory, to be changed: sectors with changes are written by {@link write}. */
export class ChangedWords implements Words {
  readonly words: Uint32Array
  readonly #position: number
  readonly #layout: WordLayout
  readonly #changed = new Set<number>()

  constructor(position: number, words: Uint32Array, layout: WordLayout) {
    this.#position = position
    this.words = words
    this.#layout = layout
  }

  get changed(): boolean {
    return this.#changed.size > 0
  }

  word(index: number): number {
    return this.words[index] ?? this.#layout.none
  }

  position(index: number): number {
    return this.#position + index * 4
  }

  runEnd(index: number, end: number): number {
    const word = this.word(index)
    const stop = Math.min(end, index + mostWalkedWords)
    let next = index + 1
    while (next < stop && this.words[next] === word) next++
    return next
  }

  set(index: number, word: number): void {
    if (this.words[index] === word) return
    this.words[index] = word
    this.#changed.add(Math.floor(index / wordsPerSector))
  }

  /** Writes the sectors that changed. A sector holds whole words: a power cut leaves each of them old or new. */
  write(store: ByteStore): void {
    for (const sector of this.#changed) {
      const first = sector * wordsPerSector
      store.write(this.position(first), wordBytes(this.words.subarray(first, first + wordsPerSector), this.#layout))
    }
    this.#changed.clear()
  }

  /** All of it, as it stands in a file. */
  bytes(): Uint8Array {
    return wordBytes(this.words, this.#layout)
  }
}

/** Reads all words of a table. */
export function readWords(store: ByteStore, position: number, entries: number, layout: WordLayout): Uint32Array {
  const words = new Uint32Array(entries)
  const piece = new Uint8Array(65536)
  const view = viewOf(piece)
  for (let first = 0; first < entries; first += wordsPerPiece) {
    const count = Math.min(wordsPerPiece, entries - first)
    store.read(position + first * 4, piece.subarray(0, count * 4))
    for (let at = 0; at < count; at++) words[first + at] = view.getUint32(at * 4, layout.littleEndian)
  }
  return words
}

/** Words as they stand in a file. */
export function wordBytes(words: Uint32Array, { littleEndian, none, padded }: WordLayout): Uint8Array {
  const count = padded ? Math.ceil(words.length / wordsPerSector) * wordsPerSector : words.length
  const view = viewOf(new Uint8Array(count * 4))
  for (let at = 0; at < count; at++) view.setUint32(at * 4, words[at] ?? none, littleEndian)
  return new Uint8Array(view.buffer)
}
