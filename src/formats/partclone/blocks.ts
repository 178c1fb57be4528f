import { crc32 } from 'node:zlib'
import { viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints } from '../../errors.js'
import {
  countOnes,
  isSet,
  onesBefore,
  sameUntil,
  withoutInversion,
  wordsOfBits,
  wordsOfBytes,
  wordsPerPage,
} from './entries.js'
import type { Header } from './header.js'
import { bitmapMark } from './structs.js'

/** Blocks of one page of the bitmap. */
const pageBlocks = 65536
const pageBytes = pageBlocks / 8
/** Words of 32 bits between two counts inside a page. */
const groupWords = 64
const keptPages = 64

/** Bits of a page as words, and how many are set before each group of words. */
interface Page {
  readonly words: Uint32Array
  readonly before: Uint32Array
}

/** A run of blocks of which all are stored, or none. `rank`: stored blocks before it. */
export interface BlockRun {
  readonly stored: boolean
  readonly end: number
  readonly rank: number
}

/**
 * Which blocks a file stores. Its bitmap is read once to be counted and checked, then by pages when they are needed.
 */
export class StoredBlocks {
  /** Where the bytes of the first stored block begin. */
  readonly dataStart: number
  /** Blocks that the bitmap says are stored. */
  readonly count: number
  /** Of a bitmap of a byte a block: those that are neither 0 nor 1. They count as not stored, as for partclone. */
  readonly odd: number = 0
  readonly #store: ByteStore
  readonly #header: Header
  readonly #ranks: Float64Array
  readonly #pages: Recent<Page>

  /** @throws ImageError corrupt E_TRUNCATED, E_CHECKSUM, E_MAP. */
  constructor(store: ByteStore, header: Header) {
    const { blocks, bitmap, bitmapStart } = header
    this.#store = store
    this.#header = header
    this.#ranks = new Float64Array(Math.ceil(blocks / pageBlocks) + 1)
    this.#pages = new Recent(keptPages, (index) => this.#page(index))
    this.dataStart = bitmapStart + { none: 0, bits: Math.ceil(blocks / 8) + 4, bytes: blocks + 8 }[bitmap]
    if (this.dataStart > store.size)
      throw corrupt(
        'E_TRUNCATED',
        `${store.name}: the bitmap of ${blocks} blocks takes bytes ${bitmapStart} to ${this.dataStart}, but the file ` +
          `ends at byte ${store.size}`,
        { details: { position: bitmapStart, size: store.size }, hint: hints.incomplete },
      )
    let sum = 0
    let odd = 0
    for (let index = 0; index + 1 < this.#ranks.length; index++) {
      const { bits, raw } = this.#bits(index)
      if (bitmap === 'bits') sum = crc32(raw, sum)
      if (bitmap === 'bytes') odd += raw.reduce((found, byte) => (byte > 1 ? found + 1 : found), 0)
      this.#ranks[index + 1] = (this.#ranks[index] ?? 0) + countOnes(bits, 0, bits.length)
    }
    this.odd = odd
    this.count = this.#ranks.at(-1) ?? 0
    this.#checkEnd(sum)
    if (this.count !== header.used)
      throw corrupt(
        'E_MAP',
        `${store.name}: the bitmap says that ${this.count} blocks are stored, the header ${header.used}`,
        { details: { position: bitmapStart } },
      )
  }

  /** The run that holds a block; it may end early, at a page. */
  runAt(block: number, limit: number): BlockRun {
    const { blocks } = this.#header
    const index = Math.floor(block / pageBlocks)
    const { words, before } = this.#pages.get(index)
    const within = block - index * pageBlocks
    const word = Math.floor(within / 32)
    const group = Math.floor(word / groupWords)
    const rank =
      (this.#ranks[index] ?? 0) +
      (before[group] ?? 0) +
      countOnes(words, group * groupWords, word) +
      onesBefore(words, within)
    const end = Math.min(blocks, block + limit, (index + 1) * pageBlocks)
    return {
      stored: isSet(words, within),
      end: index * pageBlocks + sameUntil(words, within, end - index * pageBlocks),
      rank,
    }
  }

  /** What follows the bitmap shows that it is whole. */
  #checkEnd(sum: number): void {
    const { bitmap, littleEndian } = this.#header
    if (bitmap === 'none') return
    const { name } = this.#store
    const end = new Uint8Array(bitmap === 'bits' ? 4 : 8)
    const position = this.dataStart - end.length
    this.#store.read(position, end)
    if (bitmap === 'bytes') {
      if (Buffer.from(end).toString('latin1') !== bitmapMark)
        throw corrupt('E_MAP', `${name}: the mark behind the bitmap is not there (byte ${position})`, {
          details: { position },
        })
      return
    }
    const stored = viewOf(end).getUint32(0, littleEndian)
    const right = withoutInversion(sum)
    if (stored !== right)
      throw corrupt(
        'E_CHECKSUM',
        `${name}: the checksum of the bitmap is 0x${right.toString(16)}, but 0x${stored.toString(16)} is stored`,
        { details: { position } },
      )
  }

  #page(index: number): Page {
    const { bits: words } = this.#bits(index)
    const before = new Uint32Array(wordsPerPage / groupWords)
    for (let group = 1; group < before.length; group++)
      before[group] = (before[group - 1] ?? 0) + countOnes(words, (group - 1) * groupWords, group * groupWords)
    return { words, before }
  }

  /** The bits of a page as words, and its bytes as they stand in the file. */
  #bits(index: number): { readonly bits: Uint32Array; readonly raw: Uint8Array } {
    const { blocks, bitmap, bitmapStart } = this.#header
    const first = index * pageBlocks
    const count = Math.min(pageBlocks, blocks - first)
    const raw = new Uint8Array(bitmap === 'bytes' ? count : Math.ceil(count / 8))
    if (bitmap === 'none') raw.fill(255)
    else this.#store.read(bitmapStart + index * (bitmap === 'bytes' ? pageBlocks : pageBytes), raw)
    return { bits: bitmap === 'bytes' ? wordsOfBytes(raw) : wordsOfBits(raw, count), raw }
  }
}
