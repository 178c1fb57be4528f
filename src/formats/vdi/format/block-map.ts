import type { ByteStore } from '../../../block/types.js'
import { ChangedWords, readWords, StoredWords, type WordLayout } from '../../../block/words.js'
import { free } from './structs.js'

/** A block number for each block, or {@link free}. */
export const mapLayout: WordLayout = { littleEndian: true, none: free, padded: false }

/** The block map of a file. */
export class BlockMap extends StoredWords {
  /** @param entries must lie inside the store. */
  constructor(store: ByteStore, position: number, entries: number) {
    super(store, position, entries, mapLayout)
  }
}

/** The whole block map in memory, to be changed. */
export class WordTable extends ChangedWords {
  constructor(position: number, words: Uint32Array) {
    super(position, words, mapLayout)
  }

  static read(store: ByteStore, position: number, entries: number): WordTable {
    return new WordTable(position, readWords(store, position, entries, mapLayout))
  }
}
