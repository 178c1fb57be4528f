import { eachPiece } from '../../../block/pieces.js'
import { clearBytes, copyBytes } from '../../../block/zeros.js'
import type { Work } from '../../../block/work.js'
import { isZero } from '../../../binary/zero.js'
import type { BlockSource, ByteStore, Extent } from '../../../block/types.js'
import { reference } from '../../../errors.js'
import { isStored } from '../format/entries.js'
import { free, zeroBlock, type HeaderValues } from '../format/structs.js'
import { Blocks, type BlockLayout } from '../read/blocks.js'
import type { HeaderFile } from './header-file.js'
import { wordBytes } from '../../../block/words.js'
import { mapLayout, WordTable } from '../format/block-map.js'

const pieceLength = 1024 * 1024
/** Blocks moved between two commits. */
const mostMoved = 16

export interface BlockWriterOptions {
  readonly store: ByteStore
  readonly header: HeaderFile
  readonly layout: BlockLayout
  /** Whether every block keeps its place: discarded ones are zeroed. */
  readonly isFixed: boolean
  /** The disk below a differencing image. */
  readonly parent: BlockSource | undefined
  readonly table: WordTable
}

/**
 * The blocks of a VDI, to be changed. Nothing on the medium leads to what is not there yet: data is flushed before the
 * header counts its block, and that before the map leads to it. Space that is released is used again after the map
 * without it is flushed. After a flush that failed nothing is taken any more: what the medium holds is unknown then.
 */
export class BlockWriter {
  readonly #options: BlockWriterOptions
  readonly #store: ByteStore
  readonly #header: HeaderFile
  readonly #layout: { -readonly [Name in keyof BlockLayout]: BlockLayout[Name] }
  #table: WordTable
  #blocks: Blocks
  /** Blocks of the file that may be used again: now, and after the next commit. */
  #free: number[] = []
  #freed: number[] = []
  #changed = false
  #failure: { readonly cause: unknown } | undefined

  constructor(options: BlockWriterOptions) {
    this.#options = options
    this.#store = options.store
    this.#header = options.header
    this.#layout = { ...options.layout }
    this.#table = options.table
    this.#blocks = new Blocks(this.#store, this.#layout, this.#table)
  }

  /** Blocks of the file that no entry of the map names, below those that the header counts. */
  giveFree(indexes: readonly number[]): void {
    this.#free = [...indexes]
  }

  get blocks(): number {
    return this.#table.words.length
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
    this.#flush()
    if (!this.#table.changed) return
    if (this.#layout.allocated > this.#header.values.blocksAllocated)
      this.changeHeader({ blocksAllocated: this.#layout.allocated })
    this.#table.write(this.#store)
    this.#flush()
    for (const index of this.#freed) this.#free.push(index)
    this.#freed = []
  }

  /** Writes the header, which is one sector, and flushes it. */
  changeHeader(values: Partial<HeaderValues>): void {
    this.#header.write(values)
    this.#flush()
  }

  /** Commits, and cuts off what the file has behind its last block. */
  close(): void {
    if (!this.#changed || this.#failure !== undefined) return
    this.#compactAll()
  }

  /**
   * Moves blocks down into unused space, so that the header's count is that of the map, and cuts the file off behind
   * them. May be stopped anywhere, and the image changed further.
   */
  *compact(): Work<void> {
    this.commit()
    this.#changed = true
    const holes = this.#free.sort((left, right) => left - right)
    this.#free = []
    if (holes.length > 0) yield* this.#moveInto(holes)
    this.#cutEnd()
  }

  #compactAll(): void {
    const work = this.compact()
    while (work.next().done !== true);
  }

  *#moveInto(holes: readonly number[]): Work<void> {
    const owners = this.#owners()
    const stride = this.#stride
    let last = owners.length - 1
    let moved = 0
    for (const hole of holes) {
      while (last >= 0 && owners[last] === 0) last--
      if (last <= hole) break
      this.#copy(this.#placeOf(last), this.#placeOf(hole), stride)
      this.#table.set((owners[last] ?? 1) - 1, hole)
      last--
      if (++moved % mostMoved === 0) this.commit()
      yield { done: moved, total: holes.length }
    }
    this.commit()
  }

  /** For each block of the file the block of the disk that has it, plus one. */
  #owners(): Uint32Array {
    const owners = new Uint32Array(this.#layout.allocated)
    for (const [block, word] of this.#table.words.entries()) if (isStored(word)) owners[word] = block + 1
    return owners
  }

  #cutEnd(): void {
    let highest = -1
    for (const word of this.#table.words) if (isStored(word) && word > highest) highest = word
    this.#layout.allocated = highest + 1
    if (this.#header.values.blocksAllocated !== highest + 1) this.changeHeader({ blocksAllocated: highest + 1 })
    const end = this.#placeOf(highest + 1)
    if (this.#store.size <= end || !this.#store.growable) return
    this.#store.truncate(end)
    this.#flush()
  }

  /** A smaller disk: what it showed behind its new end is released, so that it does not come back. */
  shrink(capacity: number): void {
    this.commit()
    this.#changed = true
    // A reader that finds the old header finds the old disk whole; only then is the rest released.
    this.changeHeader({ diskSize: capacity })
    this.#layout.capacity = capacity
    this.#clearBehind(capacity)
    this.#compactAll()
    const blocks = Math.ceil(capacity / this.#layout.blockSize)
    this.changeHeader({ blocks })
    this.#useTable(new WordTable(this.#table.position(0), this.#table.words.slice(0, blocks)))
  }

  /** A larger disk, whose new part is zero. */
  grow(capacity: number): void {
    this.commit()
    this.#changed = true
    const { blockSize, capacity: old, isChild } = this.#layout
    // A stop may have come before it was released.
    this.#clearBehind(old)
    if (isChild) this.#endOfParent(old)
    this.commit()
    const blocks = Math.max(Math.ceil(capacity / blockSize), 1)
    const before = Math.min(this.#table.words.length, blocks)
    const words = new Uint32Array(blocks).fill(isChild ? zeroBlock : free)
    words.set(this.#table.words.subarray(0, before))
    if (this.#options.isFixed)
      for (let block = 0; block < blocks; block++) if (words[block] === free) words[block] = this.#allocate()
    this.#placeTable(words, capacity)
    this.#layout.capacity = capacity
  }

  /** The map in the place that it has or, where that is too small, in that of the first blocks, which move. */
  #placeTable(words: Uint32Array, capacity: number): void {
    const { dataPosition } = this.#layout
    const position = this.#table.position(0)
    const values = { diskSize: capacity, blocks: words.length }
    if (position + words.length * 4 <= dataPosition) {
      // What is behind the old map is not looked at before the header says so.
      const first = this.#table.words.length
      const last = Math.min(first, words.length)
      this.#writeWords(position + last * 4, words.subarray(last))
      this.#flush()
      this.changeHeader({ ...values, blocksAllocated: this.#layout.allocated })
      this.#useTable(new WordTable(position, words))
      return
    }
    const shift = Math.ceil((words.length * 4) / this.#stride)
    this.#moveUp(shift, words)
    for (const [block, word] of words.entries()) if (isStored(word)) words[block] = word - shift
    this.#writeWords(dataPosition, words)
    this.#flush()
    this.#layout.allocated = Math.max(this.#layout.allocated - shift, 0)
    this.#layout.dataPosition = dataPosition + shift * this.#stride
    this.changeHeader({
      ...values,
      mapOffset: dataPosition,
      dataOffset: this.#layout.dataPosition,
      blocksAllocated: this.#layout.allocated,
    })
    this.#free = this.#free.map((index) => index - shift)
    this.#useTable(new WordTable(dataPosition, words))
  }

  /** The first `count` blocks of the file go to its end. */
  #moveUp(count: number, words: Uint32Array): void {
    this.#free = this.#free.filter((index) => index >= count)
    this.#layout.allocated = Math.max(this.#layout.allocated, count)
    for (const [block, word] of words.entries()) {
      if (!isStored(word) || word >= count) continue
      const index = this.#allocate()
      this.#copy(this.#placeOf(word), this.#placeOf(index), this.#stride)
      words[block] = index
      if (block < this.#table.words.length) this.#table.set(block, index)
    }
    // What is at the place of the first blocks is not overwritten before the map leads elsewhere.
    this.commit()
  }

  #writeWords(position: number, words: Uint32Array): void {
    const count = pieceLength / 4
    for (let first = 0; first < words.length; first += count)
      this.#store.write(position + first * 4, wordBytes(words.subarray(first, first + count), mapLayout))
  }

  #useTable(table: WordTable): void {
    this.#table = table
    this.#blocks = new Blocks(this.#store, this.#layout, table)
  }

  /** Releases what blocks hold behind the end of a disk of `capacity` bytes. */
  #clearBehind(capacity: number): void {
    const { blockSize, isChild } = this.#layout
    const within = capacity % blockSize
    const last = Math.floor(capacity / blockSize)
    const word = this.#table.word(last)
    if (within !== 0 && isStored(word)) this.#clear(this.#contentOf(word) + within, blockSize - within)
    for (let block = within === 0 ? last : last + 1; block < this.#table.words.length; block++)
      this.#drop(block, isChild ? zeroBlock : free)
  }

  /** What a longer parent has behind the old end of a child must not show in the last block. */
  #endOfParent(capacity: number): void {
    const { blockSize } = this.#layout
    const last = Math.floor(capacity / blockSize)
    if (capacity % blockSize === 0 || this.#table.word(last) !== free) return
    const { parent } = this.#options
    if (parent !== undefined && parent.capacity <= capacity) return
    this.#place(last)
  }

  #flush(): void {
    if (this.#failure !== undefined) throw this.#failure.cause
    try {
      this.#store.flush()
    } catch (cause) {
      this.#failure = { cause }
      throw cause
    }
  }

  get #stride(): number {
    return this.#layout.blockSize + this.#layout.extra
  }

  #placeOf(index: number): number {
    return this.#layout.dataPosition + index * this.#stride
  }

  #contentOf(index: number): number {
    return this.#placeOf(index) + this.#layout.extra
  }

  #visible(block: number): number {
    return Math.min(this.#layout.blockSize, this.#layout.capacity - block * this.#layout.blockSize)
  }

  #write(block: number, within: number, bytes: Uint8Array): void {
    const word = this.#table.word(block)
    const isWhole = within === 0 && bytes.length === this.#visible(block)
    const index = isStored(word) ? word : this.#place(block, isWhole)
    this.#store.write(this.#contentOf(index) + within, bytes)
  }

  #zero(block: number, within: number, length: number): void {
    const { isChild } = this.#layout
    const word = this.#table.word(block)
    if (word === zeroBlock || (word === free && !isChild)) return
    const isWhole = within === 0 && length === this.#visible(block)
    if (isWhole && !(this.#options.isFixed && isStored(word))) {
      this.#drop(block, isChild ? zeroBlock : free)
      return
    }
    const index = isStored(word) ? word : this.#place(block)
    this.#clear(this.#contentOf(index) + within, length)
  }

  /**
   * Gives a block a place in the file, with what it reads as. @param isWhole all of it is written next: what it reads
   * as is not wanted.
   */
  #place(block: number, isWhole = false): number {
    const below = this.#layout.isChild && this.#table.word(block) === free && !isWhole
    if (below && this.#options.parent === undefined) {
      throw reference(
        'E_PARENT_NEEDED',
        `${this.#store.name}: block ${block} (guest offset ${block * this.#layout.blockSize}) is changed in part and ` +
          "the rest of it is the parent's, which is not open",
      )
    }
    const index = this.#allocate()
    if (below && this.#options.parent !== undefined) this.#copyBelow(block, index, this.#options.parent)
    this.#table.set(block, index)
    return index
  }

  /** A new block of the file, which reads as zero. */
  #allocate(): number {
    const index = this.#free.pop() ?? this.#layout.allocated++
    const position = this.#placeOf(index)
    const stale = Math.min(this.#stride, this.#store.size - position)
    if (stale > 0) this.#clear(position, stale)
    if (position + this.#stride > this.#store.size) this.#store.truncate(position + this.#stride)
    return index
  }

  #copyBelow(block: number, index: number, parent: BlockSource): void {
    const start = block * this.#layout.blockSize
    const length = Math.min(this.#visible(block), parent.capacity - start)
    const piece = new Uint8Array(Math.min(pieceLength, Math.max(length, 0)))
    for (let done = 0; done < length; done += piece.length) {
      const bytes = piece.subarray(0, Math.min(piece.length, length - done))
      parent.read(start + done, bytes)
      if (!isZero(bytes)) this.#store.write(this.#contentOf(index) + done, bytes)
    }
  }

  #drop(block: number, word: number): void {
    const old = this.#table.word(block)
    if (isStored(old)) this.#freed.push(old)
    this.#table.set(block, word)
  }

  #clear(position: number, length: number): void {
    clearBytes(this.#store, position, Math.min(length, this.#store.size - position))
  }

  #copy(from: number, to: number, length: number): void {
    // The last block may end with the file.
    const inFile = Math.min(length, this.#store.size - from)
    copyBytes(this.#store, from, to, inFile, pieceLength)
    this.#clear(to + inFile, length - inFile)
  }

  #eachBlock(
    offset: number,
    length: number,
    visit: (block: number, within: number, done: number, length: number) => void,
  ): void {
    if (this.#failure !== undefined) throw this.#failure.cause
    if (length > 0 && !this.#changed) {
      this.#changed = true
      // Children see by it that their parent was changed: it is there before anything else is.
      this.#header.write({ modificationUuid: this.#header.nextModification })
      this.#flush()
    }
    eachPiece(offset, length, this.#layout.blockSize, visit)
  }
}
