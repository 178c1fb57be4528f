import type { ByteStore } from '../../../block/types.js'
import { ChangedWords, readWords, StoredWords, type WordLayout } from '../../../block/words.js'
import { unallocated } from './structs.js'

/** "Block Allocation Table": a sector number for each block, in network byte order. */
const layout: WordLayout = { littleEndian: false, none: unallocated, padded: true }

/** The block allocation table of a file. */
export class BlockTable extends StoredWords {
  /** @param entries must lie inside the store. */
  constructor(store: ByteStore, position: number, entries: number) {
    super(store, position, entries, layout)
  }
}

/** The whole block allocation table in memory, to be changed. */
export class WordTable extends ChangedWords {
  constructor(position: number, words: Uint32Array) {
    super(position, words, layout)
  }

  static read(store: ByteStore, position: number, entries: number): WordTable {
    return new WordTable(position, readWords(store, position, entries, layout))
  }
}
