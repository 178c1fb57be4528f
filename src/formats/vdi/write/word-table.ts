import { viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { mostWalked, type BlockWords } from '../format/block-map.js'
import { free, sectorLength } from '../format/structs.js'

const wordsPerSector = sectorLength / 4

/** The whole block map in memory, to be changed: sectors with changes are written by {@link write}. */
export class WordTable implements BlockWords {
  readonly #position: number
  readonly words: Uint32Array
  readonly #changed = new Set<number>()

  constructor(position: number, words: Uint32Array) {
    this.#position = position
    this.words = words
  }

  static read(store: ByteStore, position: number, entries: number): WordTable {
    const words = new Uint32Array(entries)
    const piece = new Uint8Array(65536)
    for (let first = 0; first < entries; first += piece.length / 4) {
      const count = Math.min(piece.length / 4, entries - first)
      store.read(position + first * 4, piece.subarray(0, count * 4))
      const view = viewOf(piece)
      for (let index = 0; index < count; index++) words[first + index] = view.getUint32(index * 4, true)
    }
    return new WordTable(position, words)
  }

  get changed(): boolean {
    return this.#changed.size > 0
  }

  word(block: number): number {
    return this.words[block] ?? free
  }

  position(block: number): number {
    return this.#position + block * 4
  }

  runEnd(block: number, end: number): number {
    const word = this.word(block)
    const stop = Math.min(end, block + mostWalked)
    let next = block + 1
    while (next < stop && this.words[next] === word) next++
    return next
  }

  set(block: number, word: number): void {
    if (this.words[block] === word) return
    this.words[block] = word
    this.#changed.add(Math.floor(block / wordsPerSector))
  }

  /** Writes the sectors that changed. A sector holds whole entries: a power cut leaves each of them old or new. */
  write(store: ByteStore): void {
    for (const sector of this.#changed) {
      const first = sector * wordsPerSector
      store.write(this.position(first), wordBytes(this.words.subarray(first, first + wordsPerSector)))
    }
    this.#changed.clear()
  }
}

/** Entries as they stand in a file. */
export function wordBytes(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(words.length * 4)
  const view = viewOf(bytes)
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word, true)
  return bytes
}
