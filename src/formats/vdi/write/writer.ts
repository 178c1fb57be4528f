import { roundUp, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { targetError } from '../../../errors.js'
import type { DiskShape, ImageWriter, OptionValues } from '../../driver.js'
import {
  free,
  header,
  imageType,
  plusLength,
  sectorLength,
  signature,
  version11,
  zeroBlock,
} from '../format/structs.js'
import { writePlan, type WritePlan } from './options.js'

const mebibyte = 1024 * 1024
/** Where VirtualBox puts the map; the data follows it at the next whole MiB. */
const mapPosition = mebibyte
/** Holes shorter than this are not worth having in a block that is in the file anyway. */
const plainGrain = 65536
/** Entries of the map that are in memory at a time. */
const entriesPerPiece = mebibyte / 4
const creatorText = '<<< Oracle VM VirtualBox Disk Image >>>\n'

/**
 * Builds a new VDI: header, map, then blocks in the order in which they are first placed. A disk without blocks of its
 * own costs its map only.
 * @throws ImageError usage for options and shapes that do not go together; target E_TOO_SMALL.
 */
export function createVdi(store: ByteStore, shape: DiskShape, options: OptionValues): ImageWriter {
  return new VdiWriter(store, shape, writePlan(shape, options))
}

class VdiWriter implements ImageWriter {
  readonly capacity: number
  readonly grain: number
  readonly placeZeros: boolean
  readonly #store: ByteStore
  readonly #shape: DiskShape
  readonly #plan: WritePlan
  readonly #isFixed: boolean
  readonly #isChild: boolean
  readonly #dataPosition: number
  /** The part of the map that is being filled; parts before it are written. */
  readonly #words: Uint32Array
  #piece = 0
  #current = 0
  #allocated = 0

  constructor(store: ByteStore, shape: DiskShape, plan: WritePlan) {
    const { capacity, blockSize, blocks, type } = plan
    this.capacity = capacity
    this.#isFixed = type === imageType.fixed
    this.#isChild = type === imageType.differencing
    // A block of a child answers for all its bytes.
    this.grain = this.#isChild ? blockSize : Math.min(plainGrain, blockSize)
    this.placeZeros = this.#isFixed && !store.zeroed
    this.#store = store
    this.#shape = shape
    this.#plan = plan
    this.#dataPosition = roundUp(mapPosition + blocks * 4, mebibyte)
    this.#words = new Uint32Array(Math.min(entriesPerPiece, blocks)).fill(free)
    if (this.#isFixed) this.#allocated = blocks
    this.#need(this.#end)
    if (!store.zeroed) this.#clear(0, mapPosition)
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const { blockSize } = this.#plan
    const block = this.#enter(offset)
    if (this.#isFixed) {
      const available = Math.min(length, this.capacity - offset)
      return { store: this.#store, position: this.#dataPosition + offset, length: available }
    }
    const within = offset - block * blockSize
    const position = this.#dataPosition + this.#place(block) * blockSize + within
    return { store: this.#store, position, length: Math.min(length, blockSize - within) }
  }

  zero(offset: number, length: number): void {
    // Without a parent, what is not placed is zero already: blocks are new.
    if (!this.#isChild) return
    const { blockSize } = this.#plan
    for (let at = offset; at < offset + length; at += blockSize - (at % blockSize)) {
      const block = this.#enter(at)
      const slot = block % entriesPerPiece
      if (this.#words[slot] === free) this.#words[slot] = zeroBlock
    }
  }

  finish(): void {
    while (this.#piece * entriesPerPiece < this.#plan.blocks) this.#leave()
    // The last block is whole in the file, whatever of it was placed.
    if (this.#store.growable) this.#store.truncate(this.#end)
    this.#store.flush()
    // Until now nothing says that this is a disk.
    this.#store.write(0, this.#header())
    this.#store.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }

  get #end(): number {
    return this.#dataPosition + this.#allocated * this.#plan.blockSize
  }

  /** The block of an offset; the part of the map that has its entry becomes the current one. */
  #enter(offset: number): number {
    if (offset < 0 || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    const block = Math.floor(offset / this.#plan.blockSize)
    if (block < this.#current)
      throw new RangeError(`offset ${offset} was given after one in a later block: offsets must ascend`)
    this.#current = block
    while (block >= (this.#piece + 1) * entriesPerPiece) this.#leave()
    return block
  }

  /** The number of a block in the file; takes space for it when it has none. */
  #place(block: number): number {
    const slot = block % entriesPerPiece
    const word = this.#words[slot] ?? free
    if (word < zeroBlock) return word
    const index = this.#allocated++
    this.#words[slot] = index
    this.#need(this.#end)
    if (!this.#store.zeroed) this.#clear(this.#end - this.#plan.blockSize, this.#plan.blockSize)
    return index
  }

  /** Writes the current part of the map. */
  #leave(): void {
    const first = this.#piece * entriesPerPiece
    const count = Math.min(entriesPerPiece, this.#plan.blocks - first)
    const bytes = new Uint8Array(count * 4)
    const view = viewOf(bytes)
    for (let slot = 0; slot < count; slot++)
      view.setUint32(slot * 4, this.#isFixed ? first + slot : (this.#words[slot] ?? free), true)
    this.#store.write(mapPosition + first * 4, bytes)
    this.#words.fill(free)
    this.#piece++
  }

  #header(): Uint8Array {
    const { type, capacity, blockSize, blocks, linkUuid, parentModificationUuid } = this.#plan
    return header.write({
      text: creatorText,
      signature,
      version: version11,
      headerSize: plusLength,
      type,
      flags: 0,
      comment: new Uint8Array(256),
      mapOffset: mapPosition,
      dataOffset: this.#dataPosition,
      cylinders: 0,
      heads: 0,
      sectors: 0,
      sectorSize: sectorLength,
      unused: 0,
      diskSize: capacity,
      blockSize,
      blockExtra: 0,
      blocks,
      blocksAllocated: this.#allocated,
      imageUuid: this.#shape.identity.uuid,
      modificationUuid: this.#shape.identity.derive('vdi modification'),
      linkUuid,
      parentModificationUuid,
      lchsCylinders: 0,
      lchsHeads: 0,
      lchsSectors: 0,
      lchsSectorSize: sectorLength,
    })
  }

  /** @throws ImageError target E_TOO_SMALL when the store ends before `end` and cannot grow. */
  #need(end: number): void {
    if (this.#store.growable || end <= this.#store.size) return
    throw targetError(
      'E_TOO_SMALL',
      `${this.#store.name} has ${this.#store.size} bytes, the image needs at least ${end}`,
    )
  }

  #clear(position: number, length: number): void {
    const zeros = new Uint8Array(Math.min(mebibyte, length))
    for (let at = 0; at < length; at += zeros.length)
      this.#store.write(position + at, zeros.subarray(0, Math.min(zeros.length, length - at)))
  }
}
