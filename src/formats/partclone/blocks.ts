import { crc32 } from 'node:zlib'
import { viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints } from '../../errors.js'
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

/** Which blocks a file stores. Its bitmap is read once to be counted and checked, then by pages when they are needed. */
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
    const word = within >>> 5
    const stored = ((words[word] ?? 0) >>> (within & 31)) & 1
    const group = Math.floor(word / groupWords)
    const rank =
      (this.#ranks[index] ?? 0) +
      (before[group] ?? 0) +
      countOnes(words, group * groupWords, word) +
      ones((words[word] ?? 0) & (2 ** (within & 31) - 1))
    const end = Math.min(blocks, block + limit, (index + 1) * pageBlocks)
    return { stored: stored === 1, end: index * pageBlocks + sameUntil(words, within, end - index * pageBlocks), rank }
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
    const right = ~sum >>> 0
    if (stored !== right)
      throw corrupt(
        'E_CHECKSUM',
        `${name}: the checksum of the bitmap is 0x${right.toString(16)}, but 0x${stored.toString(16)} is stored`,
        { details: { position } },
      )
  }

  #page(index: number): Page {
    const { bits: words } = this.#bits(index)
    const before = new Uint32Array(pageBytes / 4 / groupWords)
    for (let group = 1; group < before.length; group++)
      before[group] = (before[group - 1] ?? 0) + countOnes(words, (group - 1) * groupWords, group * groupWords)
    return { words, before }
  }

  /** The bits of a page as words, and its bytes as they stand in the file. */
  #bits(index: number): { readonly bits: Uint32Array; readonly raw: Uint8Array } {
    const { blocks, bitmap, bitmapStart } = this.#header
    const first = index * pageBlocks
    const count = Math.min(pageBlocks, blocks - first)
    const page = new Uint8Array(pageBytes)
    let raw = page.subarray(0, Math.ceil(count / 8))
    if (bitmap === 'none') raw.fill(255)
    else if (bitmap === 'bits') this.#store.read(bitmapStart + index * pageBytes, raw)
    else {
      raw = new Uint8Array(count)
      this.#store.read(bitmapStart + first, raw)
      for (let at = 0; at < count; at++) if (raw[at] === 1) page[at >>> 3] = (page[at >>> 3] ?? 0) | (1 << (at & 7))
    }
    const bits = new Uint32Array(pageBytes / 4)
    const view = viewOf(page)
    for (let word = 0; word < bits.length; word++) bits[word] = view.getUint32(word * 4, true)
    // Bits behind the last block say nothing.
    if (count < pageBlocks) {
      bits[count >>> 5] = ((bits[count >>> 5] ?? 0) & (2 ** (count & 31) - 1)) >>> 0
      bits.fill(0, (count >>> 5) + 1)
    }
    return { bits, raw }
  }
}

function ones(word: number): number {
  let value = word - ((word >>> 1) & 0x55555555)
  value = (value & 0x33333333) + ((value >>> 2) & 0x33333333)
  return Math.imul((value + (value >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

function countOnes(words: Uint32Array, start: number, end: number): number {
  let count = 0
  for (let at = start; at < end; at++) count += ones(words[at] ?? 0)
  return count
}

/** The first bit from `start` on that differs from the one there, at most `end`. */
function sameUntil(words: Uint32Array, start: number, end: number): number {
  const flip = ((words[start >>> 5] ?? 0) >>> (start & 31)) & 1 ? 0xffffffff : 0
  let at = start
  while (at < end) {
    const differing = (((words[at >>> 5] ?? 0) ^ flip) >>> (at & 31)) >>> 0
    if (differing !== 0) return Math.min(end, at + 31 - Math.clz32(differing & -differing))
    at = ((at >>> 5) + 1) * 32
  }
  return end
}
