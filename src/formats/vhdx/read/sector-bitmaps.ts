import { Recent } from '../../../binary/recent.js'
import type { ByteStore } from '../../../block/types.js'
import type { BlockTable } from '../format/bat.js'
import { clearBits, setBits } from '../format/entries.js'
import type { Geometry } from '../format/layout.js'

/** Pieces of sector bitmaps that are kept: one block's bits each, at most 64 KiB. */
const keptBitmaps = 16

/** The sector bitmaps of a differencing image (MS-VHDX 2.5), read a block's bits at a time. */
export class SectorBitmaps {
  readonly #store: ByteStore
  readonly #table: BlockTable
  readonly #geometry: Geometry
  readonly #kept: Recent<Uint8Array>

  constructor(store: ByteStore, table: BlockTable, geometry: Geometry) {
    this.#store = store
    this.#table = table
    this.#geometry = geometry
    this.#kept = new Recent(keptBitmaps, (block) => this.#read(block))
  }

  /** The bits of one payload block, first sector first. @throws ImageError corrupt E_SB_MISSING, E_BAT_RANGE */
  of(block: number): Uint8Array {
    return this.#kept.get(block)
  }

  #read(block: number): Uint8Array {
    const bits = new Uint8Array(this.#geometry.sectorsPerBlock / 8)
    this.#store.read(this.#position(block), bits)
    return bits
  }

  /** Marks sectors [from, to) of a block as this layer's. */
  mark(block: number, from: number, to: number): void {
    const bits = this.of(block)
    setBits(bits, from, to)
    const first = Math.floor(from / 8)
    this.#store.write(this.#position(block) + first, bits.subarray(first, Math.ceil(to / 8)))
  }

  /** Leaves all sectors of a block to the parent. */
  clear(block: number): void {
    const bits = this.of(block)
    clearBits(bits, 0, bits.length * 8)
    this.#store.write(this.#position(block), bits)
  }

  /** Reads everything afresh from now on: a bitmap block has moved. */
  forget(): void {
    this.#kept.clear()
  }

  #position(block: number): number {
    const { chunkRatio, sectorsPerBlock } = this.#geometry
    return (
      this.#table.bitmapPosition(Math.floor(block / chunkRatio), block) + (block % chunkRatio) * (sectorsPerBlock / 8)
    )
  }
}
