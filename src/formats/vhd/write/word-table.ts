import { viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { sectorLength, unallocated } from '../format/structs.js'
import { tableLength } from '../format/layout.js'

const wordsPerSector = sectorLength / 4
/** How many entries one call looks at for a run of unallocated blocks. */
const longestRun = 65536

/** The whole block allocation table in memory, to be changed: sectors with changes are written by {@link write}. */
export class WordTable {
  readonly #position: number
  readonly words: Uint32Array
  readonly #changed = new Set<number>()

  constructor(position: number, words: Uint32Array) {
    this.#position = position
    this.words = words
  }

  static read(store: ByteStore, position: number, entries: number): WordTable {
    const bytes = new Uint8Array(entries * 4)
    store.read(position, bytes)
    const view = viewOf(bytes)
    const words = new Uint32Array(entries)
    for (let index = 0; index < entries; index++) words[index] = view.getUint32(index * 4)
    return new WordTable(position, words)
  }

  get changed(): boolean {
    return this.#changed.size > 0
  }

  word(block: number): number {
    return this.words[block] ?? unallocated
  }

  position(block: number): number {
    return this.#position + block * 4
  }

  runEnd(block: number, end: number): number {
    const word = this.word(block)
    const stop = Math.min(end, block + longestRun)
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
    for (const sector of this.#changed)
      store.write(this.#position + sector * sectorLength, this.#bytes(sector * wordsPerSector, wordsPerSector))
    this.#changed.clear()
  }

  /** All of it, as it stands in a file. */
  bytes(): Uint8Array {
    return this.#bytes(0, tableLength(this.words.length) / 4)
  }

  #bytes(first: number, count: number): Uint8Array {
    const bytes = new Uint8Array(count * 4)
    const view = viewOf(bytes)
    for (let index = 0; index < count; index++) view.setUint32(index * 4, this.words[first + index] ?? unallocated)
    return bytes
  }
}
