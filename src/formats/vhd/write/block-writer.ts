import { clearBytes, copyBytes } from '../../../block/zeros.js'
import { eachPiece } from '../../../block/pieces.js'
import type { Work } from '../../../block/work.js'
import { roundDown, roundUp } from '../../../binary/integers.js'
import type { BlockSource, ByteStore, Extent } from '../../../block/types.js'
import { reference } from '../../../errors.js'
import { Blocks } from '../read/blocks.js'
import { blockEntry, setBits, testBit } from '../format/entries.js'
import { BlockSpace } from './block-space.js'
import { FileOrder, type Area } from './file-order.js'
import { bitmapLength } from '../format/layout.js'
import { sectorLength, unallocated } from '../format/structs.js'
import type { DynamicLayout } from '../format/dynamic.js'
import { WordTable } from '../format/bat.js'

export interface BlockWriterOptions {
  readonly store: ByteStore
  readonly layout: DynamicLayout
  readonly capacity: number
  readonly differencing: boolean
  /** The disk below a differencing image. */
  readonly parent: BlockSource | undefined
  /** Makes the dynamic header lead to a table elsewhere, in one sector. */
  readonly lead: (position: number, entries: number) => void
  /** The footer's bytes, and where it stands. */
  readonly footer: Uint8Array
  readonly end: number
  /** All that is no block: copy of the footer, header, BAT, the texts of parent locators. */
  readonly structures: readonly Area[]
}

/** Blocks with changes that wait for a flush at most, and blocks moved between two. */
const mostPending = 1024
const mostMoved = 16
const movedPiece = 65536

/**
 * The blocks of a dynamic or differencing disk, to be changed. The file is whole at any moment: the footer moves ahead
 * of new blocks
 * before they touch where it stood; data and new bitmaps are flushed before the BAT entry and the bits that lead to
 * them; space that is
 * released is used again only after the BAT without it is flushed. After a flush that failed nothing is taken any more:
 * what the medium
 * holds is unknown then, and a later flush may still succeed.
 */
export class BlockWriter {
  readonly #options: BlockWriterOptions
  readonly #store: ByteStore
  readonly #blockSize: number
  readonly #bitmapLength: number
  readonly #structures: Area[]
  #capacity: number
  #table: WordTable
  #blocks: Blocks
  /** Bitmaps with changes, by block; `fresh`: of blocks that no entry in the file leads to yet. */
  readonly #pending = new Map<number, Uint8Array>()
  readonly #fresh = new Set<number>()
  /** Where blocks may go again: now, and after the next commit. */
  readonly #free: number[] = []
  #freed: number[] = []
  readonly #space: BlockSpace
  #changed = false

  /** @throws ImageError corrupt E_OVERLAP, E_TRUNCATED where a change could damage something else. */
  constructor(options: BlockWriterOptions) {
    const { store, layout, capacity, footer, end } = options
    this.#options = options
    this.#store = store
    this.#blockSize = layout.blockSize
    this.#bitmapLength = bitmapLength(layout.blockSize)
    this.#capacity = capacity
    this.#structures = [...options.structures]
    this.#space = new BlockSpace(store, footer, end, (limit) => this.#blocks.moveLimit(limit))
    this.#table = WordTable.read(store, layout.tablePosition, layout.entries)
    this.#blocks = this.#newBlocks(layout)
    // Blocks must not share space with each other or with structures: a change of one would damage the other.
    const order = this.#order()
    order.verify(store.name, { end, blockSize: this.#blockSize, capacity: roundUp(capacity, sectorLength) })
    this.#space.reserve(order.end)
  }

  get table(): WordTable {
    return this.#table
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#blocks.extentAt(offset, limit)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#eachBlock(offset, bytes.length, (block, within, done, length) =>
      this.#write(block, within, bytes.subarray(done, done + length)),
    )
  }

  zero(offset: number, length: number): void {
    this.#eachBlock(offset, length, (block, within, _, piece) => this.#zero(block, within, piece))
  }

  /** Everything so far, durable. */
  commit(): void {
    for (const block of this.#fresh) {
      const bitmap = this.#pending.get(block)
      if (bitmap !== undefined) this.#store.write(this.#positionOf(block), bitmap)
    }
    this.#space.flush()
    if (this.#pending.size === 0 && !this.#table.changed) return
    for (const [block, bitmap] of this.#pending)
      if (!this.#fresh.has(block)) this.#store.write(this.#positionOf(block), bitmap)
    this.#table.write(this.#store)
    this.#space.flush()
    for (const block of this.#pending.keys()) this.#blocks.forget(block)
    this.#pending.clear()
    this.#fresh.clear()
    this.#free.push(...this.#freed)
    this.#freed = []
  }

  /** Commits, and cuts off what the file has behind its last block. */
  close(): void {
    if (!this.#changed || this.#space.hasFailed) return
    this.commit()
    this.#cutEnd()
  }

  /** Another footer (of another capacity), at the same place and, for readers that take it, at the file's start. */
  changeFooter(footer: Uint8Array, capacity: number): void {
    this.#changed = true
    this.#space.changeFooter(footer)
    this.#capacity = capacity
    this.#blocks = this.#newBlocks(this.#options.layout)
  }

  /** A longer table, in new space. */
  enlargeTable(entries: number): void {
    this.commit()
    this.#changed = true
    const words = new Uint32Array(entries).fill(unallocated)
    words.set(this.#table.words)
    const bytes = new WordTable(0, words).bytes()
    this.#placeTable(this.#space.extend(bytes.length, this.#bitmapLength), words, bytes)
  }

  /** The new table is whole on the medium before anything leads to it; the old one stays until then. */
  #placeTable(position: number, words: Uint32Array, bytes: Uint8Array): void {
    this.#store.write(position, bytes)
    this.#space.flush()
    this.#options.lead(position, words.length)
    this.#space.flush()
    const old = this.#table.position(0)
    this.#structures.splice(0, this.#structures.length, ...this.#structures.filter((area) => area.position !== old), {
      position,
      length: bytes.length,
    })
    this.#table = new WordTable(position, words)
    this.#blocks = this.#newBlocks(this.#options.layout)
  }

  /** Releases what blocks hold behind the end of a disk of `capacity` bytes, so that it does not come back. */
  clearBehind(capacity: number): void {
    this.#changed = true
    const within = capacity % this.#blockSize
    const last = Math.floor(capacity / this.#blockSize)
    const word = last < this.#table.words.length ? this.#table.word(last) : unallocated
    if (within !== 0 && word !== unallocated) {
      // The file may end before such a block does.
      const inFile = this.#space.end - this.#positionOf(last) - this.#bitmapLength
      if (inFile > within) this.#zero(last, within, Math.min(this.#blockSize, inFile) - within)
    }
    for (let index = within === 0 ? last : last + 1; index < this.#table.words.length; index++) this.#drop(index)
  }

  /**
   * Moves blocks down into unused space, and cuts the file off behind them. May be stopped anywhere, and the image
   * changed further.
   */
  *compact(): Work<void> {
    this.commit()
    this.#changed = true
    // Blocks go there now.
    this.#free.length = 0
    const length = this.#bitmapLength + this.#blockSize
    const order = this.#order()
    const blocks = order.owners()
    let last = blocks.length
    let moved = 0
    for (const hole of order.holes(length)) {
      const from = order.position(--last)
      if (last < 0 || from <= hole) break
      const block = blocks[last] ?? 0
      copyBytes(this.#store, from, hole, length, movedPiece)
      this.#table.set(block, hole / sectorLength)
      this.#blocks.forget(block)
      if (++moved % mostMoved === 0) this.commit()
      yield { done: moved, total: blocks.length }
    }
    this.commit()
    this.#placeTableLower()
    for (const gap of this.#order().gaps()) clearBytes(this.#store, gap.position, gap.length)
    this.#cutEnd()
    yield { done: blocks.length, total: blocks.length }
  }

  /** A table that was moved behind the blocks comes back before them. */
  #placeTableLower(): void {
    const bytes = this.#table.bytes()
    for (const { position, length } of this.#order().gaps()) {
      if (position >= this.#table.position(0)) return
      if (length < bytes.length) continue
      this.#placeTable(position, this.#table.words, bytes)
      return
    }
  }

  /** The file ends behind the last thing in it. */
  #cutEnd(): void {
    this.#space.cut(this.#order().end)
  }

  #order(): FileOrder {
    return new FileOrder(this.#table.words, this.#bitmapLength + this.#blockSize, this.#structures)
  }

  #newBlocks(layout: DynamicLayout): Blocks {
    return new Blocks(
      this.#store,
      { ...layout, blocks: this.#table.words.length, structures: [] },
      {
        capacity: this.#capacity,
        limit: this.#space.end,
        differencing: this.#options.differencing,
        table: this.#table,
        pending: this.#pending,
      },
    )
  }

  #positionOf(block: number): number {
    return this.#table.word(block) * sectorLength
  }

  #write(block: number, within: number, bytes: Uint8Array): void {
    const bitmap = this.#changeable(block)
    const first = Math.floor(within / sectorLength)
    const last = Math.ceil((within + bytes.length) / sectorLength)
    // Sectors that are written in part, and whose other part is not in this file, are filled up.
    const start = within % sectorLength !== 0 && !testBit(bitmap, first) ? first * sectorLength : within
    const end =
      (within + bytes.length) % sectorLength !== 0 && !testBit(bitmap, last - 1)
        ? Math.min(last * sectorLength, this.#capacity - block * this.#blockSize)
        : within + bytes.length
    let whole = bytes
    if (start !== within || end !== within + bytes.length) {
      whole = new Uint8Array(end - start)
      this.#readBelow(block * this.#blockSize + start, whole.subarray(0, within - start))
      this.#readBelow(block * this.#blockSize + within + bytes.length, whole.subarray(within + bytes.length - start))
      whole.set(bytes, within - start)
    }
    this.#store.write(this.#positionOf(block) + this.#bitmapLength + start, whole)
    this.#mark(block, bitmap, first, last)
  }

  #zero(block: number, within: number, length: number): void {
    const start = block * this.#blockSize
    const { differencing } = this.#options
    if (!differencing) {
      if (this.#table.word(block) === unallocated) return
      if (within === 0 && length >= Math.min(this.#blockSize, this.#capacity - start)) {
        this.#drop(block)
        return
      }
    }
    const first = Math.ceil(within / sectorLength)
    const last = Math.floor((within + length) / sectorLength)
    // Sectors in part: their rest stays.
    if (within % sectorLength !== 0)
      this.#write(block, within, new Uint8Array(Math.min(length, first * sectorLength - within)))
    if (last < first) return
    const tail = within + length - last * sectorLength
    if (last > first) {
      const bitmap = this.#changeable(block)
      clearBytes(
        this.#store,
        this.#positionOf(block) + this.#bitmapLength + first * sectorLength,
        (last - first) * sectorLength,
      )
      this.#mark(block, bitmap, first, last)
    }
    if (tail > 0 && last >= first) this.#write(block, last * sectorLength, new Uint8Array(tail))
  }

  #mark(block: number, bitmap: Uint8Array, first: number, last: number): void {
    let missing = false
    for (let sector = first; sector < last && !missing; sector++) missing = !testBit(bitmap, sector)
    if (!missing) return
    setBits(bitmap, first, last)
    this.#pending.set(block, bitmap)
    this.#blocks.forget(block)
  }

  /**
   * The bitmap of a block, which has its place from now on. A copy where it is the file's: the old one counts until the
   * commit.
   */
  #changeable(block: number): Uint8Array {
    const entry = blockEntry(this.#table.word(block))
    if (entry.kind === 'allocated') {
      const pending = this.#pending.get(block)
      return pending ?? Uint8Array.from(this.#blocks.bitmap(block))
    }
    const position = this.#allocate()
    this.#table.set(block, position / sectorLength)
    const bitmap = new Uint8Array(this.#bitmapLength).fill(this.#options.differencing ? 0 : 0xff)
    this.#pending.set(block, bitmap)
    this.#fresh.add(block)
    return bitmap
  }

  #allocate(): number {
    const used = this.#free.pop()
    if (used !== undefined) {
      clearBytes(this.#store, used + this.#bitmapLength, this.#blockSize)
      return used
    }
    return this.#space.extend(this.#bitmapLength + this.#blockSize, this.#bitmapLength)
  }

  #drop(block: number): void {
    if (this.#table.word(block) === unallocated) return
    this.#freed.push(this.#positionOf(block))
    this.#table.set(block, unallocated)
    this.#pending.delete(block)
    this.#fresh.delete(block)
    this.#blocks.forget(block)
  }

  /** What sectors that are not in this file read as. @throws ImageError reference E_PARENT_NEEDED. */
  #readBelow(offset: number, target: Uint8Array): void {
    target.fill(0)
    if (!this.#options.differencing || target.length === 0) return
    const { parent } = this.#options
    if (parent === undefined) {
      const sector = roundDown(offset, sectorLength)
      throw reference(
        'E_PARENT_NEEDED',
        `${this.#store.name}: the sector at offset ${sector} is changed in part and the rest of it is the ` +
          `parent's, which is not open`,
      )
    }
    const inside = Math.min(target.length, parent.capacity - offset)
    if (inside > 0) parent.read(offset, target.subarray(0, inside))
  }

  #eachBlock(
    offset: number,
    length: number,
    visit: (block: number, within: number, done: number, length: number) => void,
  ): void {
    this.#space.assertUsable()
    this.#changed ||= length > 0
    eachPiece(offset, length, this.#blockSize, (block, within, done, piece) => {
      visit(block, within, done, piece)
      if (this.#pending.size > mostPending) this.commit()
    })
  }
}
