import type { Work } from '../../../block/work.js'
import type { ByteStore } from '../../../block/types.js'
import { isImageError } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import { BlockTable } from '../format/bat.js'
import { BlockPlaces } from './block-places.js'
import { overlaps, type DynamicLayout, type Structure } from '../format/dynamic.js'
import { blockEntry } from '../format/entries.js'
import { HiddenDataFinder, hiddenDataMessage } from '../format/hidden-data.js'
import { bitmapLength } from '../format/layout.js'
import { sectorLength, unallocated } from '../format/structs.js'

interface Blocks {
  readonly layout: DynamicLayout
  readonly capacity: number
  /** Blocks end here: the footer after them, or the end of the file. */
  readonly limit: number
  readonly differencing: boolean
  /** What else is in the file: the texts of parent locators. */
  readonly others: readonly Structure[]
  /** Whether to read all data that the bitmaps hide, or the beginning of it in each block. */
  readonly deep: boolean
  /** How many sector bitmaps are looked at. */
  readonly mostBitmaps: number
}

/** After so many entries, or so many bytes read, progress is reported. */
const entriesPerStep = 16384
const bytesPerStep = 16 * 1024 * 1024
/** Unused space below it lies between structures and blocks for their alignment, or is room for a larger table. */
const smallestLeak = 1024 * 1024

/** The BAT, the sector bitmaps, and who owns what of the file. */
export function* checkBlocks(store: ByteStore, blocks: Blocks): Work<void, Finding> {
  yield* new BlockCheck(store, blocks).run()
}

class BlockCheck {
  readonly #store: ByteStore
  readonly #blocks: Blocks
  readonly #table: BlockTable
  readonly #places: BlockPlaces
  readonly #structures: readonly Structure[]
  readonly #bitmap: Uint8Array
  readonly #hidden: HiddenDataFinder
  /** Bytes of a block with its bitmap. */
  readonly #length: number
  #conflicts = 0
  #read = 0
  #bitmaps = 0

  constructor(store: ByteStore, blocks: Blocks) {
    const { layout, limit, others } = blocks
    this.#store = store
    this.#blocks = blocks
    this.#table = new BlockTable(store, layout.tablePosition, layout.entries)
    this.#structures = [...layout.structures, ...others]
    this.#bitmap = new Uint8Array(bitmapLength(layout.blockSize))
    this.#hidden = new HiddenDataFinder(store, layout.blockSize, blocks.deep)
    this.#length = this.#bitmap.length + layout.blockSize
    this.#places = new BlockPlaces(
      this.#length,
      Math.min(limit, unallocated * sectorLength),
      (block) => this.#table.word(block) * sectorLength,
    )
  }

  *run(): Work<void, Finding> {
    const { passes } = this.#places
    const { entries, blockSize } = this.#blocks.layout
    // Gaps are found from the start of the file on; what structures take is in the way of none.
    const gaps = new Gaps(this.#structures, Math.min(blockSize, smallestLeak))
    for (let pass = 0; pass < passes; pass++) {
      this.#places.begin(pass)
      yield* this.#pass(pass, passes * entries)
      for (const start of this.#places.starts()) yield* gaps.next(start, this.#length)
    }
    // Where two blocks share bytes, it is not known which bytes are used.
    if (this.#conflicts === 0) yield* gaps.last(this.#blocks.limit)
  }

  *#pass(pass: number, total: number): Work<void, Finding> {
    const {
      layout: { entries, blocks },
    } = this.#blocks
    let reported = 0
    for (let block = 0; block < entries;) {
      const next = this.#table.runEnd(block, block < blocks ? blocks : entries)
      if (this.#table.word(block) !== unallocated)
        yield* block < blocks ? this.#allocated(block, next, pass) : this.#beyond(block, next, pass)
      block = next
      if (block - reported >= entriesPerStep || this.#read >= bytesPerStep) {
        reported = block
        this.#read = 0
        yield { done: pass * entries + block, total }
      }
    }
  }

  /** Blocks [block, end), whose entries are equal. */
  *#allocated(block: number, end: number, pass: number): Generator<Finding> {
    const entry = blockEntry(this.#table.word(block))
    if (entry.kind === 'unallocated') return
    const fault = this.#placeFault(block, entry.position)
    if (fault !== undefined) {
      if (pass === 0) yield { ...this.#at(block, end), ...fault }
      return
    }
    const owner = this.#places.claim(block, entry.position)
    if (owner !== undefined) {
      this.#conflicts++
      yield {
        severity: 'error',
        code: 'E_OVERLAP',
        ...this.#at(block, end),
        message:
          `${named(block, end)} at byte ${entry.position} shares bytes with block ${owner} at byte ` +
          `${this.#table.word(owner) * sectorLength}`,
      }
    }
    if (pass > 0) return
    if (end - block > 1) {
      this.#conflicts++
      yield {
        severity: 'error',
        code: 'E_OVERLAP',
        ...this.#at(block, end),
        message: `${named(block, end)} all lie at byte ${entry.position}`,
      }
    }
    yield* this.#checkBitmap(block, entry.position)
  }

  /** Entries for blocks that the disk does not have. */
  *#beyond(block: number, end: number, pass: number): Generator<Finding> {
    const entry = blockEntry(this.#table.word(block))
    if (entry.kind === 'unallocated') return
    const {
      layout: { blocks },
    } = this.#blocks
    const outside = this.#placeFault(block, entry.position) !== undefined
    const owner = outside ? undefined : this.#places.claim(block, entry.position)
    if (pass > 0) return
    if (outside || owner !== undefined) {
      yield {
        severity: 'warning',
        code: 'W_BAT_UNUSED_ENTRY',
        ...this.#at(block, end),
        message: `names sector ${entry.sector}, though the disk ends with block ${blocks - 1}; it is not used`,
      }
    } else {
      yield {
        severity: 'leak',
        code: 'L_BLOCK_BEYOND_DISK',
        ...this.#at(block, end),
        message:
          `${named(block, end)} at byte ${entry.position} lies behind the end of the disk, whose last ` +
          `block is ${blocks - 1}`,
      }
    }
  }

  #at(block: number, end: number): { structure: string; position: number } {
    return {
      structure: end - block > 1 ? `BAT entries ${block} to ${end - 1}` : `BAT entry ${block}`,
      position: this.#table.position(block),
    }
  }

  #placeFault(block: number, position: number): Pick<Finding, 'severity' | 'code' | 'message'> | undefined {
    const {
      layout: { blockSize, blocks },
      limit,
      capacity,
    } = this.#blocks
    const used = block < blocks ? Math.min(blockSize, capacity - block * blockSize) : blockSize
    const end = position + this.#bitmap.length + used
    const lies = (): string => `block ${block} takes bytes ${position} to ${end}`
    if (end > limit) {
      const where = limit === this.#store.size ? 'the file ends' : 'the footer stands'
      return { severity: 'error', code: 'E_TRUNCATED', message: `${lies()}, but ${where} at byte ${limit}` }
    }
    const hit = this.#structures.find((structure) => overlaps(structure, position, end - position))
    return hit === undefined
      ? undefined
      : { severity: 'error', code: 'E_OVERLAP', message: `${lies()}, upon ${hit.what} at byte ${hit.position}` }
  }

  *#checkBitmap(block: number, position: number): Generator<Finding> {
    const {
      layout: { blockSize, blocks },
      capacity,
      differencing,
      limit,
    } = this.#blocks
    const at = (): Pick<Finding, 'structure' | 'position'> => ({
      structure: `sector bitmap of block ${block}`,
      position,
    })
    const sectors = Math.ceil(Math.min(blockSize, capacity - block * blockSize) / sectorLength)
    if (block === blocks - 1 && position + this.#length > limit) {
      yield {
        severity: 'warning',
        code: 'W_LAST_BLOCK_SHORT',
        ...this.#at(block, block + 1),
        message:
          `the last block ends with the disk, ${position + this.#length - limit} bytes short of a whole ` +
          'block, as which it should be stored',
      }
    }
    if (this.#bitmaps++ >= this.#blocks.mostBitmaps) return
    try {
      this.#store.read(position, this.#bitmap)
      this.#read += this.#bitmap.length
      const padding = this.#bitmap.subarray(Math.ceil(blockSize / sectorLength / 8))
      if (
        !padding.every((byte) => byte === padding[0]) ||
        (padding.length > 0 && padding[0] !== 0 && padding[0] !== 0xff)
      ) {
        yield {
          severity: 'warning',
          code: 'W_BITMAP_PADDING',
          ...at(),
          message: `the bytes after its ${blockSize / sectorLength} bits are neither all clear nor all set`,
        }
      }
      if (differencing) return
      const data = position + this.#bitmap.length
      const hidden = this.#hidden.first(this.#bitmap, data, sectors)
      this.#read += this.#hidden.takeRead()
      if (hidden !== undefined)
        yield { severity: 'error', code: 'E_BITMAP_CLEAR_DATA', ...at(), message: hiddenDataMessage(hidden, data) }
    } catch (error) {
      if (!isImageError(error)) throw error
      yield { severity: 'error', code: error.code, ...at(), message: error.message }
    }
  }
}

/** Finds space that nothing uses: blocks come in ascending order, structures lie anywhere. */
class Gaps {
  readonly #structures: Structure[]
  readonly #smallest: number
  #end = 0

  constructor(structures: readonly Structure[], smallest: number) {
    this.#structures = [...structures].sort((left, right) => left.position - right.position)
    this.#smallest = smallest
  }

  *next(position: number, length: number): Generator<Finding> {
    yield* this.#upTo(position)
    this.#end = Math.max(this.#end, position + length)
  }

  last(limit: number): Generator<Finding> {
    return this.#upTo(limit)
  }

  *#upTo(position: number): Generator<Finding> {
    for (let [first] = this.#structures; first !== undefined && first.position < position; [first] = this.#structures) {
      this.#structures.shift()
      yield* this.#gap(first.position)
      this.#end = Math.max(this.#end, first.position + first.length)
    }
    yield* this.#gap(position)
  }

  *#gap(position: number): Generator<Finding> {
    const length = position - this.#end
    if (length >= this.#smallest)
      yield {
        severity: 'leak',
        code: 'L_UNREFERENCED',
        structure: 'file',
        position: this.#end,
        message: `${length} bytes, up to byte ${position}, belong to no block and no structure`,
      }
  }
}

function named(block: number, end: number): string {
  return end - block > 1 ? `blocks ${block} to ${end - 1}` : `block ${block}`
}
