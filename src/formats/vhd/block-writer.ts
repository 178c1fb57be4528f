import { roundDown, roundUp } from '../../binary/integers.js'
import { isZero } from '../../binary/zero.js'
import type { BlockSource, ByteStore, Extent } from '../../block/types.js'
import { corrupt, reference, targetError } from '../../errors.js'
import type { CheckProgress } from '../driver.js'
import { Blocks } from './blocks.js'
import { blockEntry, setBits, testBit } from './entries.js'
import { bitmapLength, blockPosition, maximumSector } from './layout.js'
import { sectorLength, unallocated } from './structs.js'
import type { DynamicLayout } from './dynamic.js'
import { WordTable } from './word-table.js'

/** A range of the file, in bytes. */
interface Area {
  readonly position: number
  readonly length: number
}

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

/** The file is enlarged by this much at once, or by a block: each time costs a flush. */
const stepLength = 32 * 1024 * 1024
const pieceLength = 1024 * 1024
const movedPiece = 65536
/** Blocks with changes that wait for a flush at most, and blocks moved between two. */
const mostPending = 1024
const mostMoved = 16

/**
 * The blocks of a dynamic or differencing disk, to be changed. The file is whole at any moment: the footer moves ahead of new blocks
 * before they touch where it stood; data and new bitmaps are flushed before the BAT entry and the bits that lead to them; space that is
 * given up is used again only after the BAT without it is flushed.
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
  #footer: Uint8Array
  /** Where the footer stands, and where the next new block may begin. */
  #end: number
  #next: number
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
    this.#footer = footer
    this.#end = end
    this.#next = end
    this.#table = WordTable.read(store, layout.tablePosition, layout.entries)
    this.#blocks = this.#newBlocks(layout)
    this.#survey()
  }

  get table(): WordTable {
    return this.#table
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#blocks.extentAt(offset, limit)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#eachBlock(offset, bytes.length, (block, within, done, length) => this.#write(block, within, bytes.subarray(done, done + length)))
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
    this.#store.flush()
    if (this.#pending.size === 0 && !this.#table.changed) return
    for (const [block, bitmap] of this.#pending) if (!this.#fresh.has(block)) this.#store.write(this.#positionOf(block), bitmap)
    this.#table.write(this.#store)
    this.#store.flush()
    for (const block of this.#pending.keys()) this.#blocks.forget(block)
    this.#pending.clear()
    this.#fresh.clear()
    this.#free.push(...this.#freed)
    this.#freed = []
  }

  /** Commits, and cuts off what the file has behind its last block. */
  close(): void {
    if (!this.#changed) return
    this.commit()
    const used = this.#lastUsed()
    if (used >= this.#end) return
    this.#store.write(used, this.#footer)
    this.#store.flush()
    this.#end = used
    this.#store.truncate(used + sectorLength)
    this.#store.flush()
  }

  /** Another footer (of another capacity), at the same place and, for readers that take it, at the file's start. */
  changeFooter(footer: Uint8Array, capacity: number): void {
    this.#changed = true
    this.#footer = footer
    this.#store.write(this.#end, footer)
    this.#store.flush()
    this.#store.write(0, footer)
    this.#store.flush()
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
    this.#placeTable(this.#extend(bytes.length), words, bytes)
  }

  /** The new table is whole on the medium before anything leads to it; the old one stays until then. */
  #placeTable(position: number, words: Uint32Array, bytes: Uint8Array): void {
    this.#store.write(position, bytes)
    this.#store.flush()
    this.#options.lead(position, words.length)
    this.#store.flush()
    const old = this.#table.position(0)
    this.#structures.splice(0, this.#structures.length, ...this.#structures.filter((area) => area.position !== old), { position, length: bytes.length })
    this.#table = new WordTable(position, words)
    this.#blocks = this.#newBlocks(this.#options.layout)
  }

  /** The blocks from here on are given up. */
  dropFrom(block: number): void {
    for (let index = block; index < this.#table.words.length; index++) this.#drop(index)
  }

  /** Moves blocks down into unused space. */
  * compact(): Generator<CheckProgress> {
    this.commit()
    this.#changed = true
    const length = this.#bitmapLength + this.#blockSize
    const places = this.#places()
    const holes: number[] = []
    for (const gap of this.#gaps()) for (let at = gap.position; at + length <= gap.position + gap.length; at += length) holes.push(at)
    let moved = 0
    for (const [index, hole] of holes.entries()) {
      const last = places.pop()
      if (last === undefined || last.position <= hole) break
      this.#copy(last.position, hole, length)
      this.#table.set(last.block, hole / sectorLength)
      this.#blocks.forget(last.block)
      if (++moved % mostMoved === 0) this.commit()
      yield { done: index + 1, total: holes.length }
    }
    this.commit()
    this.#free.length = 0
    // A table that was moved behind the blocks comes back before them.
    const bytes = this.#table.bytes()
    const room = this.#gaps().find(({ position, length: free }) => free >= bytes.length && position < this.#table.position(0))
    if (room !== undefined) this.#placeTable(room.position, this.#table.words, bytes)
    for (const gap of this.#gaps()) this.#clear(gap.position, gap.length)
    this.#next = this.#lastUsed()
  }

  /** What nothing uses between structures and blocks, in whole sectors. */
  #gaps(): Area[] {
    const gaps: Area[] = []
    let end = 0
    for (const area of [...this.#structures, ...this.#places()].sort((a, b) => a.position - b.position)) {
      if (area.position > end) gaps.push({ position: end, length: area.position - end })
      end = Math.max(end, roundUp(area.position + area.length, sectorLength))
    }
    return gaps
  }

  #newBlocks(layout: DynamicLayout): Blocks {
    return new Blocks(this.#store, { ...layout, blocks: this.#table.words.length, structures: [] }, {
      capacity: this.#capacity, limit: this.#end, differencing: this.#options.differencing, table: this.#table, pending: this.#pending,
    })
  }

  /** Blocks must not share space with each other or with structures: a change of one would damage the other. */
  #survey(): void {
    let end = 0
    for (const { block, position, length } of this.#places()) {
      const what = `${this.#store.name}: block ${block} at byte ${position}`
      if (position < end || this.#structures.some((area) => position < area.position + area.length && area.position < position + length)) throw corrupt('E_OVERLAP', `${what} lies upon another structure or block: an image like this is not changed`, { details: { position, block } })
      // The last block of a disk may be cut where the disk ends.
      const needed = this.#bitmapLength + Math.min(this.#blockSize, Math.max(0, roundUp(this.#capacity, sectorLength) - block * this.#blockSize))
      if (position + needed > this.#end) throw corrupt('E_TRUNCATED', `${what} ends behind the footer at byte ${this.#end}: an image like this is not changed`, { details: { position, block } })
      end = position + length
    }
    this.#next = Math.max(this.#end, end)
  }

  #places(): (Area & { readonly block: number })[] {
    const length = this.#bitmapLength + this.#blockSize
    const places: (Area & { readonly block: number })[] = []
    for (const [block, word] of this.#table.words.entries()) if (word !== unallocated) places.push({ block, position: word * sectorLength, length })
    return places.sort((a, b) => a.position - b.position)
  }

  #lastUsed(): number {
    const last = this.#places().at(-1)
    const ends = [...this.#structures, ...(last === undefined ? [] : [last])].map(({ position, length }) => position + length)
    return roundUp(Math.max(...ends), sectorLength)
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
    const end = (within + bytes.length) % sectorLength !== 0 && !testBit(bitmap, last - 1) ? Math.min(last * sectorLength, this.#capacity - block * this.#blockSize) : within + bytes.length
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
    if (within % sectorLength !== 0) this.#write(block, within, new Uint8Array(Math.min(length, first * sectorLength - within)))
    if (last < first) return
    const tail = within + length - last * sectorLength
    if (last > first) {
      const bitmap = this.#changeable(block)
      this.#clear(this.#positionOf(block) + this.#bitmapLength + first * sectorLength, (last - first) * sectorLength)
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

  /** The bitmap of a block, which has its place from now on. A copy where it is the file's: the old one counts until the commit. */
  #changeable(block: number): Uint8Array {
    const entry = blockEntry(this.#table.word(block))
    if (entry.kind === 'allocated') {
      const pending = this.#pending.get(block)
      return pending ?? Uint8Array.from(this.#blocks.bitmap(block, entry))
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
      this.#clear(used + this.#bitmapLength, this.#blockSize)
      return used
    }
    return this.#extend(this.#bitmapLength + this.#blockSize)
  }

  /** New space at the file's end, which reads as zero but for its first sector. */
  #extend(length: number): number {
    const position = blockPosition(roundUp(this.#next, sectorLength), this.#bitmapLength, sectorLength)
    const end = position + length
    if (end / sectorLength > maximumSector) throw targetError('E_NO_SPACE', `${this.#store.name} cannot grow beyond the 2 TiB that a VHD reaches`)
    if (end > this.#end) {
      const next = end + Math.max(0, Math.min(stepLength - length, (maximumSector - 1) * sectorLength - end))
      this.#store.write(next, this.#footer)
      this.#store.flush()
      // What the old footer was becomes part of a block.
      this.#store.write(this.#end, new Uint8Array(sectorLength))
      this.#end = next
      this.#blocks.moveLimit(next)
    }
    this.#next = end
    return position
  }

  #drop(block: number): void {
    if (this.#table.word(block) === unallocated) return
    this.#freed.push(this.#positionOf(block))
    this.#table.set(block, unallocated)
    this.#pending.delete(block)
    this.#fresh.delete(block)
    this.#blocks.forget(block)
  }

  #clear(position: number, length: number): void {
    if (this.#store.zero !== undefined) {
      this.#store.zero(position, length)
      return
    }
    const zeros = new Uint8Array(Math.min(length, pieceLength))
    for (let done = 0; done < length; done += zeros.length) this.#store.write(position + done, zeros.subarray(0, Math.min(zeros.length, length - done)))
  }

  #copy(from: number, to: number, length: number): void {
    const piece = new Uint8Array(Math.min(length, movedPiece))
    for (let done = 0; done < length; done += piece.length) {
      const bytes = piece.subarray(0, Math.min(piece.length, length - done))
      this.#store.read(from + done, bytes)
      // Holes stay holes.
      if (isZero(bytes)) this.#clear(to + done, bytes.length)
      else this.#store.write(to + done, bytes)
    }
  }

  /** What sectors that are not in this file read as. @throws ImageError reference E_PARENT_NEEDED. */
  #readBelow(offset: number, target: Uint8Array): void {
    target.fill(0)
    if (!this.#options.differencing || target.length === 0) return
    const { parent } = this.#options
    if (parent === undefined) {
      const sector = roundDown(offset, sectorLength)
      throw reference('E_PARENT_NEEDED', `${this.#store.name}: the sector at offset ${sector} is changed in part and the rest of it is the parent's, which is not open`)
    }
    const inside = Math.min(target.length, parent.capacity - offset)
    if (inside > 0) parent.read(offset, target.subarray(0, inside))
  }

  #eachBlock(offset: number, length: number, visit: (block: number, within: number, done: number, length: number) => void): void {
    this.#changed ||= length > 0
    for (let done = 0; done < length;) {
      const block = Math.floor((offset + done) / this.#blockSize)
      const within = offset + done - block * this.#blockSize
      const piece = Math.min(length - done, this.#blockSize - within)
      visit(block, within, done, piece)
      done += piece
      if (this.#pending.size > mostPending) this.commit()
    }
  }
}
