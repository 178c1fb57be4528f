import { damaged } from '../damage.js'
import { bitmapRuns, type UnitRun } from '../unit-runs.js'
import type { VolumeReader } from '../volume-reader.js'
import { ExtChecksums } from './checksums.js'
import { isBlockBitmapUnset } from './entries.js'
import type { ExtLayout } from './layout.js'
import { extDescriptor, extDescriptorHigh } from './structs.js'

/** What a group descriptor says; blocks of the filesystem. */
export interface ExtGroup {
  readonly blockBitmap: number
  readonly inodeBitmap: number
  readonly inodeTable: number
  /** The bitmap was never written: the group has no data. */
  readonly isUnset: boolean
  readonly bitmapChecksum: { readonly low: number; readonly high: number | undefined }
}

/** The groups of blocks of an ext filesystem, read as they are asked for. */
export class ExtGroups {
  readonly layout: ExtLayout
  readonly checksums: ExtChecksums
  readonly reader: VolumeReader
  #last: { readonly number: number; readonly group: ExtGroup } | undefined

  constructor(reader: VolumeReader, layout: ExtLayout) {
    this.reader = reader
    this.layout = layout
    this.checksums = new ExtChecksums(layout)
  }

  /** @throws ImageError corrupt E_FS_CORRUPT: a checksum is wrong, or a table lies outside the filesystem. */
  group(number: number): ExtGroup {
    // The inodes of a folder are mostly of one group.
    if (this.#last?.number !== number) this.#last = { number, group: this.#read(number) }
    return this.#last.group
  }

  #read(number: number): ExtGroup {
    const { layout, reader } = this
    const position = layout.descriptorPosition(number)
    const bytes = reader.bytes(position, layout.descriptorSize)
    const low = extDescriptor.read(bytes)
    const high = layout.descriptorSize >= extDescriptorHigh.size ? extDescriptorHigh.read(bytes) : undefined
    const wide = (lowHalf: number, highHalf: number | undefined): number => lowHalf + (highHalf ?? 0) * 2 ** 32
    if (!this.checksums.descriptorHolds(number, bytes))
      throw damaged(reader.title, `the checksum of the descriptor of group ${number} is wrong`, position)
    const group: ExtGroup = {
      blockBitmap: wide(low.blockBitmapLow, high?.blockBitmapHigh),
      inodeBitmap: wide(low.inodeBitmapLow, high?.inodeBitmapHigh),
      inodeTable: wide(low.inodeTableLow, high?.inodeTableHigh),
      isUnset:
        isBlockBitmapUnset(low.flags) && (layout.features.has('uninit_bg') || layout.features.has('metadata_csum')),
      bitmapChecksum: { low: low.blockBitmapChecksumLow, high: high?.blockBitmapChecksumHigh },
    }
    this.#require(number, position, 'block bitmap', group.blockBitmap, 1)
    this.#require(number, position, 'inode bitmap', group.inodeBitmap, 1)
    this.#require(number, position, 'inode table', group.inodeTable, layout.inodeTableLength)
    return group
  }

  /** Blocks in use by the group's own bitmap, as blocks of the filesystem. @throws ImageError corrupt E_FS_CORRUPT. */
  *used(number: number, group: ExtGroup): Generator<UnitRun> {
    if (group.isUnset) return
    const { layout } = this
    const bitmap = this.bitmap(number, group)
    const start = layout.groupStart(number)
    const end = start + layout.groupLength(number)
    const clusters = Math.ceil((end - start) / layout.ratio)
    const runs = bitmapRuns((offset, target) => target.set(bitmap.subarray(offset, offset + target.length)), clusters)
    for (const { first, count } of runs) {
      const block = start + first * layout.ratio
      yield { first: block, count: Math.min(block + count * layout.ratio, end) - block }
    }
  }

  /** The bitmap of a group's clusters. @throws ImageError corrupt E_FS_CORRUPT: its checksum is wrong. */
  bitmap(number: number, { blockBitmap, bitmapChecksum }: ExtGroup): Uint8Array {
    const { layout, reader } = this
    const position = blockBitmap * layout.blockSize
    const bitmap = reader.bytes(position, layout.blocksPerGroup / layout.ratio / 8)
    if (!this.checksums.bitmapHolds(bitmap, bitmapChecksum))
      throw damaged(reader.title, `the checksum of the block bitmap of group ${number} is wrong`, position)
    return bitmap
  }

  #require(number: number, position: number, what: string, start: number, length: number): void {
    const { layout, reader } = this
    if (start >= layout.firstDataBlock && start + length <= layout.blocks && start > 0) return
    throw damaged(
      reader.title,
      `the ${what} of group ${number} is said to be at block ${start}, and there are ${layout.blocks}`,
      position,
    )
  }
}
