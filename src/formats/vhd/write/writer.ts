import { writeZeros } from '../../../block/zeros.js'
import { nilUuid } from '../../../binary/struct.js'
import { viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { targetError } from '../../../errors.js'
import type { DiskShape, ImageWriter, OptionValues } from '../../driver.js'
import { setBits } from '../format/entries.js'
import { bitmapLength, blockPosition, tableLength, vhdTime } from '../format/layout.js'
import { writePlan, type WritePlan } from './options.js'
import { buildLocators, leafOf, pathsOf } from '../format/parent-locators.js'
import {
  diskType,
  dynamicCookie,
  footerCookie,
  noOffset,
  sealedDynamicHeader,
  sealedFooter,
  sectorLength,
  unallocated,
  version1,
} from '../format/structs.js'

const mebibyte = 1024 * 1024
const headerPosition = 512
/** After the copy of the footer and the dynamic header: parent locators, then the BAT. */
const afterHeader = 1536
/** Holes shorter than this are not worth having in a block that is in the file anyway. */
const plainGrain = 65536

/**
 * @throws ImageError usage for options and shapes that do not go together; target E_TARGET_TOO_SMALL, E_TARGET_SIZE.
 */
export function createVhd(store: ByteStore, shape: DiskShape, options: OptionValues): ImageWriter {
  const plan = writePlan(shape, options)
  return plan.kind === 'fixed' ? new FixedWriter(store, shape, plan) : new DynamicWriter(store, shape, plan)
}

function footerFor(shape: DiskShape, plan: WritePlan): Uint8Array {
  return sealedFooter({
    cookie: footerCookie,
    features: 2n,
    fileFormatVersion: version1,
    dataOffset: plan.kind === 'fixed' ? noOffset : BigInt(headerPosition),
    timeStamp: vhdTime(shape.identity.time),
    creatorApplication: plan.creator,
    creatorVersion: version1,
    creatorHostOs: 'Wi2k',
    originalSize: BigInt(plan.capacity),
    currentSize: BigInt(plan.capacity),
    ...plan.geometry,
    diskType: diskType[plan.kind],
    uniqueId: shape.identity.uuid,
    savedState: 0,
  })
}

/** The data where it is in the disk, the footer behind it. */
class FixedWriter implements ImageWriter {
  readonly capacity: number
  readonly grain = plainGrain
  readonly placeZeros: boolean
  readonly #store: ByteStore
  readonly #footer: Uint8Array

  constructor(store: ByteStore, shape: DiskShape, plan: WritePlan) {
    this.capacity = plan.capacity
    this.placeZeros = !store.zeroed
    this.#store = store
    this.#footer = footerFor(shape, plan)
    if (store.growable) store.truncate(this.capacity)
    else if (store.size !== this.capacity + sectorLength) {
      // The footer is looked for at the end, which on a device is the device's.
      throw targetError(
        'E_TARGET_SIZE',
        `${store.name} has ${store.size} bytes; a fixed VHD of this disk has exactly ${this.capacity + sectorLength}`,
        { hint: 'Write a dynamic VHD, or to a file.' },
      )
    }
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    return { store: this.#store, position: offset, length: Math.min(length, this.capacity - offset) }
  }

  zero(): void {
    // What is not placed is a hole; where holes are not zero, everything is placed.
  }

  finish(): void {
    this.#store.flush()
    this.#store.write(this.capacity, this.#footer)
    this.#store.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }
}

/**
 * Copy of the footer, dynamic header, parent locators, BAT, then blocks in the order in which they are first placed,
 * then the footer.
 * The bitmaps of a dynamic disk are all ones: readers that mind them and readers that do not see the same. A child's
 * are exact.
 */
class DynamicWriter implements ImageWriter {
  readonly capacity: number
  readonly grain: number
  readonly #store: ByteStore
  readonly #footer: Uint8Array
  readonly #header: Uint8Array
  readonly #locatorTexts: Uint8Array
  readonly #tablePosition: number
  readonly #table: Uint32Array
  readonly #blockSize: number
  readonly #alignment: number
  readonly #differencing: boolean
  /** Of a child: the bits of the current block, written when the next one begins. */
  readonly #bitmap: Uint8Array
  #current = -1
  #free: number

  constructor(store: ByteStore, shape: DiskShape, plan: WritePlan) {
    this.capacity = plan.capacity
    this.#differencing = plan.kind === 'differencing'
    this.grain = this.#differencing ? sectorLength : Math.min(plainGrain, plan.blockSize)
    this.#store = store
    this.#blockSize = plan.blockSize
    this.#alignment = plan.alignment
    this.#footer = footerFor(shape, plan)
    const { entries, texts } =
      shape.parent === undefined
        ? { entries: new Uint8Array(192), texts: new Uint8Array(0) }
        : buildLocators(pathsOf(shape.parent), afterHeader)
    this.#locatorTexts = texts
    this.#tablePosition = afterHeader + texts.length
    this.#table = new Uint32Array(plan.entries).fill(unallocated)
    this.#bitmap = new Uint8Array(bitmapLength(plan.blockSize)).fill(this.#differencing ? 0 : 0xff)
    this.#header = sealedDynamicHeader({
      cookie: dynamicCookie,
      dataOffset: noOffset,
      tableOffset: BigInt(this.#tablePosition),
      headerVersion: version1,
      maxTableEntries: plan.entries,
      blockSize: plan.blockSize,
      parentUniqueId: shape.parent?.image.identity ?? nilUuid,
      parentTimeStamp: shape.parent === undefined ? 0 : vhdTime(shape.parent.time),
      parentUnicodeName: shape.parent === undefined ? '' : leafOf(shape.parent),
      parentLocators: entries,
    })
    this.#free = this.#tablePosition + tableLength(plan.entries)
    this.#need(this.#free)
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const block = this.#enter(offset)
    const within = offset - block * this.#blockSize
    const available = Math.min(length, this.#blockSize - within)
    const position = this.#allocate(block) + this.#bitmap.length + within
    this.#mark(within, available)
    return { store: this.#store, position, length: available }
  }

  zero(offset: number, length: number): void {
    // Without a parent, what is not placed is zero already: blocks are new.
    if (!this.#differencing) return
    for (let at = offset; at < offset + length;) {
      const block = this.#enter(at)
      const within = at - block * this.#blockSize
      const piece = Math.min(offset + length - at, this.#blockSize - within)
      this.#allocate(block)
      this.#mark(within, piece)
      at += piece
    }
  }

  finish(): void {
    this.#leave()
    if (this.#locatorTexts.length > 0) this.#store.write(afterHeader, this.#locatorTexts)
    this.#writeTable()
    // The last block is whole in the file, whatever of it was placed.
    if (this.#store.growable) this.#store.truncate(this.#free)
    this.#store.flush()
    // Until now nothing says that this is a disk. Copy and header in one go: from here on every reader that takes the
    // file finds all of it.
    this.#store.write(0, Buffer.concat([this.#footer, this.#header]))
    this.#store.write(this.#footerPosition(), this.#footer)
    this.#store.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }

  /**
   * Behind the last block; at the end of a store that cannot grow, where readers look for it, and where an older disk's
   * may stand.
   */
  #footerPosition(): number {
    const { growable, size } = this.#store
    return growable ? this.#free : size - (size % sectorLength) - sectorLength
  }

  /** The block of an offset, made the current one. */
  #enter(offset: number): number {
    const block = Math.floor(offset / this.#blockSize)
    if (offset < 0 || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    if (block < this.#current)
      throw new RangeError(`offset ${offset} was given after one in a later block: offsets must ascend`)
    if (block > this.#current) {
      this.#leave()
      this.#current = block
    }
    return block
  }

  /** Where the block's bitmap is; takes space for the block when it has none. */
  #allocate(block: number): number {
    const sector = this.#table[block] ?? unallocated
    if (sector !== unallocated) return sector * sectorLength
    const position = blockPosition(this.#free, this.#bitmap.length, this.#alignment)
    const end = position + this.#bitmap.length + this.#blockSize
    this.#need(end)
    this.#table[block] = position / sectorLength
    this.#free = end
    if (!this.#store.zeroed) writeZeros(this.#store, position + this.#bitmap.length, this.#blockSize)
    if (!this.#differencing) this.#store.write(position, this.#bitmap)
    return position
  }

  #mark(within: number, length: number): void {
    if (this.#differencing)
      setBits(this.#bitmap, Math.floor(within / sectorLength), Math.ceil((within + length) / sectorLength))
  }

  /** Writes the bitmap of a child's current block. */
  #leave(): void {
    const sector = this.#table[this.#current] ?? unallocated
    if (!this.#differencing || sector === unallocated) return
    this.#store.write(sector * sectorLength, this.#bitmap)
    this.#bitmap.fill(0)
  }

  #writeTable(): void {
    const perPiece = mebibyte / 4
    for (let first = 0; first < this.#table.length; first += perPiece) {
      const words = this.#table.subarray(first, first + perPiece)
      const bytes = new Uint8Array(tableLength(words.length)).fill(0xff)
      const view = viewOf(bytes)
      for (const [index, word] of words.entries()) view.setUint32(index * 4, word)
      this.#store.write(this.#tablePosition + first * 4, bytes)
    }
  }

  /**
   * @throws ImageError target E_TARGET_TOO_SMALL when the image, with its footer, would pass the end of a store that
   * cannot grow.
   */
  #need(end: number): void {
    if (!this.#store.growable && end > this.#footerPosition()) {
      throw targetError(
        'E_TOO_SMALL',
        `${this.#store.name} has ${this.#store.size} bytes, the image needs at least ${end + sectorLength}`,
      )
    }
  }
}
