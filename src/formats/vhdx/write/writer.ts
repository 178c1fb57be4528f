import { writeZeros } from '../../../block/zeros.js'
import { crc32c } from '../../../binary/checksum.js'
import { ceilDivide, roundUp } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { targetError, usage } from '../../../errors.js'
import type { DiskShape, ImageWriter, OptionValues } from '../../driver.js'
import { bitmapState, bitRunEnd, EntryTable, payloadState, setBits, testBit } from '../format/entries.js'
import { batLength, defaultBlockSize, geometryOf, isBlockSize } from '../format/layout.js'
import type { Geometry } from '../format/layout.js'
import { buildMetadata, childItems } from './metadata-builder.js'
import {
  fileIdentifier,
  fileSignature,
  header,
  headerPositions,
  headerSignature,
  maximumCapacity,
  mebibyte,
  nilUuid,
  regionEntry,
  regionGuids,
  regionSignature,
  regionTableHeader,
  regionTablePositions,
  tableSize,
} from '../format/structs.js'

const logPosition = mebibyte
const batPosition = 2 * mebibyte
const metadataLength = mebibyte
/** Runs shorter than this are not worth a hole: blocks stay whole in the file anyway. */
const plainGrain = 65536

/**
 * Builds a new VHDX: log, table, metadata, then blocks in the order in which they are first placed. The table is
 * written a chunk at a
 * time, so that 64 TiB need no more memory than 64 GiB. The identity's UUID becomes the virtual disk id (SCSI page 83;
 * a child has its
 * parent's), and FileWriteGuid and DataWriteGuid are derived from it.
 */
export class VhdxWriter implements ImageWriter {
  readonly capacity: number
  readonly grain: number
  readonly placeZeros: boolean
  readonly #store: ByteStore
  readonly #shape: DiskShape
  readonly #geometry: Geometry
  readonly #fixed: boolean
  readonly #physicalSectorSize: 512 | 4096
  readonly #parent: ReturnType<typeof childItems> | undefined
  readonly #payloadStart: number
  #next: number
  /** The chunk being written: −1 before the first. Positions of its blocks, 0 where there is none. */
  #chunk = -1
  readonly #positions: Float64Array
  /**
   * Of a child: sectors of the chunk that this layer answers for, one bit each. Sectors without a place in the file are
   * zero.
   */
  readonly #present: Uint8Array | undefined

  constructor(store: ByteStore, shape: DiskShape, options: OptionValues) {
    const parent = shape.parent
    const sectorSize = shape.sectorSize
    this.#fixed = options['subformat'] === 'fixed'
    if (this.#fixed && parent !== undefined)
      throw usage('E_OPTIONS', 'a VHDX with a parent cannot be fixed: leave out subformat=fixed or the parent')
    this.#parent = parent === undefined ? undefined : childItems(parent, sectorSize)
    this.capacity = roundUp(shape.capacity, sectorSize)
    // MS-VHDX 2.6.2.4; no other program opens one of no bytes.
    if (this.capacity === 0)
      throw usage('E_SIZE', 'a VHDX holds a disk of at least one sector, and this one has no bytes', {
        hint: 'Give it a size, or use a format that can be empty: raw or qcow2.',
      })
    if (this.capacity > maximumCapacity)
      throw usage('E_SIZE', `a VHDX holds at most 64 TiB (${maximumCapacity} bytes), not ${shape.capacity}`)
    const blockSize = options['block-size'] ?? defaultBlockSize(this.capacity, parent !== undefined)
    if (typeof blockSize !== 'number' || !isBlockSize(blockSize))
      throw usage(
        'E_OPTION_VALUE',
        `block-size ${String(blockSize)}: a power of two from 1 MiB to 256 MiB was expected`,
      )
    this.#physicalSectorSize = physicalSectorSizeOf(options['physical-sector-size'], sectorSize)
    this.placeZeros = this.#fixed && !store.zeroed
    this.grain = parent === undefined ? plainGrain : sectorSize
    this.#store = store
    this.#shape = shape
    this.#geometry = geometryOf(this.capacity, blockSize, sectorSize, parent !== undefined)
    this.#positions = new Float64Array(this.#geometry.chunkRatio)
    this.#present = parent === undefined ? undefined : new Uint8Array(mebibyte)
    this.#payloadStart = batPosition + batLength(this.#geometry) + metadataLength
    this.#next = this.#payloadStart + (this.#fixed ? this.#geometry.payloadBlocks * blockSize : 0)
    this.#need(this.#next)
    if (!store.zeroed) writeZeros(this.#store, 0, this.#payloadStart)
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const { blockSize } = this.#geometry
    const block = this.#enter(offset)
    const within = offset - block * blockSize
    const available = Math.min(length, blockSize - within)
    if (this.#fixed)
      return {
        store: this.#store,
        position: this.#payloadStart + offset,
        length: Math.min(length, this.capacity - offset),
      }
    const position = this.#allocate(block)
    this.#mark(offset, available)
    return { store: this.#store, position: position + within, length: available }
  }

  zero(offset: number, length: number): void {
    // Without a parent, what is not placed is zero already: blocks are new.
    if (this.#present === undefined) return
    const { blockSize } = this.#geometry
    for (let at = offset; at < offset + length;) {
      const block = this.#enter(at)
      const piece = Math.min(offset + length, (block + 1) * blockSize) - at
      this.#mark(at, piece)
      at += piece
    }
  }

  finish(): void {
    this.#leave()
    if (this.#fixed) this.#writeFixedTable()
    this.#store.write(
      this.#payloadStart - metadataLength,
      buildMetadata({
        blockSize: this.#geometry.blockSize,
        fixed: this.#fixed,
        capacity: this.capacity,
        virtualDiskId: this.#parent?.virtualDiskId ?? this.#shape.identity.uuid,
        logicalSectorSize: this.#geometry.sectorSize,
        physicalSectorSize: this.#physicalSectorSize,
        parentLocator: this.#parent === undefined ? undefined : this.#parent.locator,
      }),
    )
    const regions = this.#regionTable()
    for (const position of regionTablePositions) this.#store.write(position, regions)
    for (const [index, position] of headerPositions.entries())
      this.#store.write(position, this.#header(BigInt(index + 1)))
    // Whole blocks and whole MiB: the last placed bytes may end before, and Hyper-V wants no partial MiB.
    if (this.#store.growable) this.#store.truncate(this.#next)
    this.#store.flush()
    // Without its identifier no reader takes the file for a disk, so it goes last.
    this.#store.write(0, fileIdentifier.write({ signature: fileSignature, creator: 'vdisk' }))
    this.#store.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }

  /** The block of an offset; makes its chunk the current one. */
  #enter(offset: number): number {
    const block = Math.floor(offset / this.#geometry.blockSize)
    const chunk = Math.floor(block / this.#geometry.chunkRatio)
    if (offset < 0 || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    if (chunk < this.#chunk)
      throw new RangeError(`offset ${offset} was given after one in a later chunk: offsets must ascend`)
    if (chunk > this.#chunk) {
      this.#leave()
      this.#chunk = chunk
    }
    return block
  }

  #allocate(block: number): number {
    const slot = block % this.#geometry.chunkRatio
    let position = this.#positions[slot] ?? 0
    if (position === 0) {
      position = this.#grow(this.#geometry.blockSize)
      this.#positions[slot] = position
    }
    return position
  }

  #grow(length: number): number {
    const position = this.#next
    this.#need(position + length)
    this.#next += length
    if (!this.#store.zeroed) writeZeros(this.#store, position, length)
    return position
  }

  /** @throws ImageError target E_TARGET_TOO_SMALL when the store ends before `end` and cannot grow. */
  #need(end: number): void {
    if (!this.#store.growable && end > this.#store.size) {
      throw targetError(
        'E_TOO_SMALL',
        `${this.#store.name} has ${this.#store.size} bytes, the image needs at least ${end}`,
      )
    }
  }

  /** Marks the sectors of a range inside one block as this layer's. */
  #mark(offset: number, length: number): void {
    if (this.#present === undefined) return
    const { sectorSize, blockSize, chunkRatio } = this.#geometry
    const within = offset - this.#chunk * chunkRatio * blockSize
    setBits(this.#present, Math.floor(within / sectorSize), ceilDivide(within + length, sectorSize))
  }

  /** Writes the current chunk's part of the table, and its sector bitmap where a block is partly present. */
  #leave(): void {
    if (this.#chunk < 0 || this.#fixed) return
    const { chunkRatio, tableEntries } = this.#geometry
    const first = this.#chunk * (chunkRatio + 1)
    const entries = new Uint8Array(Math.min(chunkRatio + 1, tableEntries - first) * 8)
    const table = new EntryTable(entries)
    if (this.#present === undefined) {
      for (const [slot, position] of this.#positions.entries())
        if (position !== 0) table.set(slot, payloadState.fullyPresent, position)
    } else if (this.#settle(table, this.#present)) {
      const position = this.#grow(mebibyte)
      this.#store.write(position, this.#present)
      table.set(chunkRatio, bitmapState.present, position)
    }
    this.#store.write(batPosition + first * 8, entries)
    this.#positions.fill(0)
    this.#present?.fill(0)
  }

  /** Sets the entries of a child's chunk; says whether any block is partly present. */
  #settle(table: EntryTable, present: Uint8Array): boolean {
    const { chunkRatio, payloadBlocks, sectorsPerBlock, sectorSize, blockSize } = this.#geometry
    const blocks = Math.min(chunkRatio, payloadBlocks - this.#chunk * chunkRatio)
    let partial = false
    for (let slot = 0; slot < blocks; slot++) {
      const start = slot * sectorsPerBlock
      const block = this.#chunk * chunkRatio + slot
      const visible = Math.min(sectorsPerBlock, (this.capacity - block * blockSize) / sectorSize)
      const whole = bitRunEnd(present, start, start + visible) === start + visible
      if (whole && !testBit(present, start)) continue
      if (whole && this.#positions[slot] === 0) table.set(slot, payloadState.zero, 0)
      else {
        // Zero sectors next to sectors of the parent need a place in the file: new space, which reads as zero.
        table.set(slot, whole ? payloadState.fullyPresent : payloadState.partiallyPresent, this.#allocate(block))
        partial ||= !whole
      }
    }
    return partial
  }

  /** Every block of a fixed disk, in order; the sector bitmap entries between chunks stay zero. */
  #writeFixedTable(): void {
    const { chunkRatio, chunks, payloadBlocks, blockSize } = this.#geometry
    for (let chunk = 0; chunk < chunks; chunk++) {
      const first = chunk * chunkRatio
      const blocks = Math.min(chunkRatio, payloadBlocks - first)
      const entries = new Uint8Array(blocks * 8)
      const table = new EntryTable(entries)
      for (let slot = 0; slot < blocks; slot++)
        table.set(slot, payloadState.fullyPresent, this.#payloadStart + (first + slot) * blockSize)
      this.#store.write(batPosition + chunk * (chunkRatio + 1) * 8, entries)
    }
  }

  #regionTable(): Uint8Array {
    const bytes = new Uint8Array(tableSize)
    const regions = [
      { guid: regionGuids.bat, fileOffset: BigInt(batPosition), length: batLength(this.#geometry), required: 1n },
      {
        guid: regionGuids.metadata,
        fileOffset: BigInt(this.#payloadStart - metadataLength),
        length: metadataLength,
        required: 1n,
      },
    ]
    const values = { signature: regionSignature, checksum: 0, entryCount: regions.length, reserved: 0 }
    bytes.set(regionTableHeader.write(values))
    for (const [index, region] of regions.entries())
      bytes.set(regionEntry.write(region), regionTableHeader.size + index * regionEntry.size)
    return regionTableHeader.write({ ...values, checksum: crc32c(bytes) }, bytes)
  }

  #header(sequenceNumber: bigint): Uint8Array {
    const values = {
      signature: headerSignature,
      checksum: 0,
      sequenceNumber,
      fileWriteGuid: this.#shape.identity.derive('vhdx file write'),
      dataWriteGuid: this.#shape.identity.derive('vhdx data write'),
      logGuid: nilUuid,
      logVersion: 0,
      version: 1,
      logLength: mebibyte,
      logOffset: BigInt(logPosition),
    }
    return header.write({ ...values, checksum: crc32c(header.write(values)) })
  }
}

/** 4096 unless asked otherwise, as Windows makes them: guests then align what they write. */
function physicalSectorSizeOf(option: string | number | boolean | undefined, logical: 512 | 4096): 512 | 4096 {
  const value = Number(option ?? 4096)
  if (value !== 512 && value !== 4096)
    throw usage('E_OPTION_VALUE', `physical-sector-size ${String(option)}: 512 or 4096 was expected`)
  if (value < logical)
    throw usage('E_OPTION_VALUE', `physical-sector-size ${value} is smaller than the logical sector size ${logical}`)
  return value
}
