import { SparseBits } from '../../../binary/sparse-bits.js'
import { MappedUnits } from '../../../block/mapped-units.js'
import { Recent } from '../../../binary/recent.js'
import type { ByteStore, Extent, Note } from '../../../block/types.js'
import { corrupt, hints, isImageError } from '../../../errors.js'
import type { Words } from '../../../block/words.js'
import { BlockTable } from '../format/bat.js'
import { overlaps, type DynamicLayout } from '../format/dynamic.js'
import { blockEntry, runEnd, testBit, type BlockEntry } from '../format/entries.js'
import { HiddenDataFinder, hiddenDataMessage } from '../format/hidden-data.js'
import { bitmapLength } from '../format/layout.js'
import { sectorLength } from '../format/structs.js'

type Allocated = Extract<BlockEntry, { kind: 'allocated' }>

/** Bitmaps kept: at most this many, and this many bytes (that of a 2 GiB block has 512 KiB). */
const keptBitmaps = 1024
const keptBitmapBytes = 8 * 1024 * 1024

export interface BlocksOptions {
  readonly capacity: number
  readonly limit: number
  readonly differencing: boolean
  /** Where blocks lie, of an image open for changes. */
  readonly table?: Words
  readonly pending?: ReadonlyMap<number, Uint8Array>
  /** Called once, when reading meets data that a bitmap hides. */
  readonly onHidden?: (note: Note) => void
}

/**
 * The blocks of a dynamic or differencing disk: where each sector lies, or that it is not here. Damage is found when it
 * is met.
 */
export class Blocks {
  readonly #store: ByteStore
  readonly #layout: DynamicLayout
  readonly #capacity: number
  /** Blocks end here: the footer after them, or the end of the file. */
  #limit: number
  /** What a sector that is not in the file is: zero in a dynamic disk, the parent's in a differencing one. */
  readonly #missing: 'zero' | 'absent'
  readonly #table: Words
  /** Bitmaps that are not in the file yet, of an image open for changes. */
  readonly #pending: ReadonlyMap<number, Uint8Array>
  readonly #bitmapLength: number
  readonly #bitmaps: Recent<Uint8Array>
  /** Which blocks were met, and the places of a file that is only read which they take. */
  readonly #met = new SparseBits()
  readonly #mapped: MappedUnits | undefined
  /** Looks for hidden data until some was found; a child's clear bits lead to its parent and hide nothing. */
  #hidden: HiddenDataFinder | undefined
  readonly #onHidden: BlocksOptions['onHidden']

  constructor(store: ByteStore, layout: DynamicLayout, options: BlocksOptions) {
    this.#store = store
    this.#layout = layout
    this.#capacity = options.capacity
    this.#limit = options.limit
    this.#missing = options.differencing ? 'absent' : 'zero'
    this.#table = options.table ?? new BlockTable(store, layout.tablePosition, layout.entries)
    this.#pending = options.pending ?? new Map<number, Uint8Array>()
    this.#bitmapLength = bitmapLength(layout.blockSize)
    const most = Math.max(1, Math.min(keptBitmaps, Math.floor(keptBitmapBytes / this.#bitmapLength)))
    this.#bitmaps = new Recent(most, (block) => this.#read(block))
    this.#mapped = options.table === undefined ? new MappedUnits(this.#bitmapLength + layout.blockSize) : undefined
    this.#onHidden = options.onHidden
    if (options.onHidden !== undefined && !options.differencing)
      this.#hidden = new HiddenDataFinder(store, layout.blockSize, false)
  }

  /** As of {@link BlockSource.extentAt}. @throws ImageError corrupt E_OVERLAP, E_TRUNCATED naming the block. */
  extentAt(offset: number, limit: number): Extent {
    const { blockSize, blocks } = this.#layout
    const block = Math.floor(offset / blockSize)
    const end = Math.min(offset + limit, this.#capacity)
    const entry = blockEntry(this.#table.word(block))
    if (entry.kind === 'unallocated') {
      const next = this.#table.runEnd(block, Math.min(blocks, Math.ceil(end / blockSize)))
      return { kind: this.#missing, offset, length: Math.min(end, next * blockSize) - offset }
    }
    const start = block * blockSize
    const bitmap = this.bitmap(block)
    const first = Math.floor((offset - start) / sectorLength)
    const last = Math.ceil((Math.min(end, start + blockSize) - start) / sectorLength)
    const length = Math.min(end, start + runEnd(bitmap, first, last) * sectorLength) - offset
    if (!testBit(bitmap, first)) return { kind: this.#missing, offset, length }
    const position = entry.position + this.#bitmapLength + (offset - start)
    const available = this.#limit - position
    if (available <= 0)
      throw this.#truncated(block, entry, `its data for guest offset ${offset} would lie at byte ${position}`)
    return { kind: 'data', offset, length: Math.min(length, available), store: this.#store, position }
  }

  close(): void {
    this.#bitmaps.clear()
  }

  /** The file was changed: what is kept of a block's bitmap counts no more. */
  forget(block: number): void {
    this.#bitmaps.forget(block)
  }

  /** Blocks end elsewhere now. */
  moveLimit(limit: number): void {
    this.#limit = limit
  }

  /** The sector bitmap of a block that is allocated, read and its block's place checked once. */
  bitmap(block: number): Uint8Array {
    return this.#pending.get(block) ?? this.#bitmaps.get(block)
  }

  #read(block: number): Uint8Array {
    const entry = blockEntry(this.#table.word(block))
    if (entry.kind === 'unallocated') throw new TypeError(`block ${block} has no bitmap`)
    this.#checkPlace(block, entry)
    this.#count(block, entry)
    const bytes = new Uint8Array(this.#bitmapLength)
    this.#store.read(entry.position, bytes)
    if (this.#hidden !== undefined) this.#lookForHidden(this.#hidden, block, entry, bytes)
    return bytes
  }

  #lookForHidden(finder: HiddenDataFinder, block: number, entry: Allocated, bitmap: Uint8Array): void {
    const { blockSize } = this.#layout
    const data = entry.position + this.#bitmapLength
    const sectors = Math.ceil(Math.min(blockSize, this.#capacity - block * blockSize) / sectorLength)
    const sector = readable(() => finder.first(bitmap, data, sectors))
    if (sector === undefined) return
    this.#hidden = undefined
    this.#onHidden?.({
      code: 'E_BITMAP_CLEAR_DATA',
      message:
        `${this.#store.name}: sector bitmap of block ${block}: ${hiddenDataMessage(sector, data)} ` +
        '(`vdisk check` lists all damage)',
    })
  }

  #checkPlace(block: number, entry: Allocated): void {
    const { blockSize, structures } = this.#layout
    const used = Math.min(blockSize, this.#capacity - block * blockSize)
    const length = this.#bitmapLength + used
    if (entry.position + this.#bitmapLength > this.#limit)
      throw this.#truncated(
        block,
        entry,
        `its sector bitmap takes bytes ${entry.position} to ${entry.position + this.#bitmapLength}`,
      )
    const hit = structures.find(
      (structure) => structure.position < this.#limit && overlaps(structure, entry.position, length),
    )
    if (hit !== undefined) {
      throw corrupt('E_OVERLAP', `${this.#block(block, entry)} and so upon ${hit.what} at byte ${hit.position}`, {
        details: this.#details(block, entry),
      })
    }
  }

  /** @throws ImageError corrupt E_OVERLAP when most of the blocks met lie where others do. */
  #count(block: number, entry: Allocated): void {
    if (this.#mapped === undefined || this.#met.has(block)) return
    if (this.#mapped.add(entry.position)) {
      this.#met.set(block)
      return
    }
    throw corrupt(
      'E_OVERLAP',
      `${this.#block(block, entry)}, where others lie: the table maps the same places again and again, more than the ` +
        'file can hold',
      { details: this.#details(block, entry), hint: hints.check },
    )
  }

  #truncated(block: number, entry: Allocated, what: string): Error {
    const where = this.#limit === this.#store.size ? 'the file ends' : 'the footer stands'
    return corrupt('E_TRUNCATED', `${this.#block(block, entry)}, and ${what}, but ${where} at byte ${this.#limit}`, {
      details: { ...this.#details(block, entry), limit: this.#limit },
    })
  }

  #block(block: number, { sector, position }: Allocated): string {
    return (
      `${this.#store.name}: by its BAT entry at byte ${this.#table.position(block)} block ${block} (guest ` +
      `offset ${block * this.#layout.blockSize}) lies in sector ${sector} (byte ${position})`
    )
  }

  #details(block: number, { sector }: Allocated): Record<string, number> {
    return { position: this.#table.position(block), block, offset: block * this.#layout.blockSize, sector }
  }
}

/** What the host cannot read there is none of the disk's content, and nothing that reading the disk fails for. */
function readable<Result>(read: () => Result): Result | undefined {
  try {
    return read()
  } catch (error) {
    if (!isImageError(error)) throw error
    return undefined
  }
}
