import { ceilDivide, roundDown, roundUp } from '../../../binary/integers.js'
import { isZero } from '../../../binary/zero.js'
import { OverlaySource } from '../../../block/overlay.js'
import type { BlockSource } from '../../../block/types.js'
import { corrupt, reference } from '../../../errors.js'
import { bitmapState, bitRunEnd, payloadState, testBit } from '../format/entries.js'
import type { OpenLayer } from '../read/reader.js'
import type { NewSpace } from './space-map.js'
import { mebibyte } from '../format/structs.js'
import type { WriteSession } from './write-session.js'

const zeros = new Uint8Array(mebibyte)

/**
 * Changes single payload blocks: payload goes into the file at once, what leads to it into the journal. Positions
 * within a block are bytes.
 */
export class BlockWriter {
  readonly #session: WriteSession
  readonly #parent: BlockSource | undefined

  /** @param parent the whole disk below, of a differencing image. */
  constructor(session: WriteSession, parent: BlockSource | undefined) {
    this.#session = session
    this.#parent = parent
  }

  /** Writes inside one block. */
  write(block: number, within: number, bytes: Uint8Array): void {
    const {
      table,
      structures: {
        geometry: { differencing },
      },
    } = this.#layer
    const entry = table.payload(block)
    switch (entry.kind) {
      case 'full':
        table.checkPlace(block, entry.position)
        this.#session.file.write(entry.position + within, bytes)
        return
      case 'partial':
        if (!differencing) throw this.#refusal(block, payloadState.partiallyPresent)
        table.checkPlace(block, entry.position)
        this.#writeSectors(block, entry.position, within, bytes)
        return
      case 'zero':
        this.#fill(block, within, bytes)
        return
      case 'absent':
        if (differencing && bytes.length < this.#visible(block)) this.#begin(block, within, bytes)
        else this.#fill(block, within, bytes)
        return
      case 'reserved':
        throw this.#refusal(block, entry.state)
    }
  }

  /**
   * Makes a part of one block read as zero, whatever the parent has. Whole blocks give their space back, unless the
   * disk is fixed.
   */
  zero(block: number, within: number, length: number): void {
    const {
      table,
      structures: {
        geometry: { differencing },
        metadata,
      },
    } = this.#layer
    const entry = table.payload(block)
    if (entry.kind === 'reserved') throw this.#refusal(block, entry.state)
    if (entry.kind === 'partial' && !differencing) throw this.#refusal(block, payloadState.partiallyPresent)
    if (entry.kind === 'zero') return
    if (entry.kind === 'absent' && (!differencing || this.#zeroBelow(block, within, length))) return
    const whole = within === 0 && length >= this.#visible(block)
    if (whole && (differencing || !metadata.leaveBlocksAllocated)) {
      table.setPayload(block, payloadState.zero, 0)
      if (entry.kind !== 'absent') this.#release(block, entry.position)
      return
    }
    const { file } = this.#session
    if (entry.kind === 'full' && file.zero !== undefined) {
      table.checkPlace(block, entry.position)
      file.zero(entry.position + within, length)
      return
    }
    for (let at = 0; at < length; at += zeros.length)
      this.write(block, within + at, zeros.subarray(0, Math.min(zeros.length, length - at)))
  }

  get #layer(): OpenLayer {
    return this.#session.layer
  }

  /** A block that reads as zero, or that is written whole, gets its place. */
  #fill(block: number, within: number, bytes: Uint8Array): void {
    const {
      table,
      structures: {
        geometry: { blockSize, differencing },
      },
    } = this.#layer
    const isNothing = !differencing || table.payload(block).kind === 'zero'
    if (isNothing && isZero(bytes)) return
    const place = this.#session.space.allocate(blockSize)
    this.#session.space.clear(place, 0, within)
    this.#session.space.clear(place, within + bytes.length, blockSize)
    this.#session.file.write(place.position + within, bytes)
    table.setPayload(block, payloadState.fullyPresent, place.position)
  }

  /** A block of the parent's gets its place, and the sectors that are written. */
  #begin(block: number, within: number, bytes: Uint8Array): void {
    const {
      table,
      bitmaps,
      structures: {
        geometry: { blockSize, chunkRatio },
      },
    } = this.#layer
    const chunk = Math.floor(block / chunkRatio)
    const place = this.#session.space.allocate(blockSize)
    if (!table.hasBitmap(chunk)) {
      const bitmap = this.#session.space.allocate(mebibyte)
      this.#session.space.clear(bitmap, 0, mebibyte)
      table.setBitmap(chunk, bitmapState.present, bitmap.position)
    }
    bitmaps.clear(block)
    this.#writeSectors(block, place.position, within, bytes, place)
  }

  #writeSectors(block: number, position: number, within: number, bytes: Uint8Array, place?: NewSpace): void {
    const {
      table,
      bitmaps,
      structures: {
        geometry: { sectorSize },
      },
    } = this.#layer
    const from = roundDown(within, sectorSize)
    const to = roundUp(within + bytes.length, sectorSize)
    this.#session.file.write(position + from, this.#wholeSectors(block, within, bytes))
    bitmaps.mark(block, from / sectorSize, to / sectorSize)
    const bits = bitmaps.of(block)
    const sectors = ceilDivide(this.#visible(block), sectorSize)
    const full = testBit(bits, 0) && testBit(bits, sectors - 1) && bitRunEnd(bits, 0, sectors) === sectors
    if (full) table.setPayload(block, payloadState.fullyPresent, position)
    else if (place !== undefined) table.setPayload(block, payloadState.partiallyPresent, position)
  }

  /** The bytes with what the disk holds in the rest of their first and last sector. */
  #wholeSectors(block: number, within: number, bytes: Uint8Array): Uint8Array {
    const { blockSize, sectorSize } = this.#layer.structures.geometry
    const from = roundDown(within, sectorSize)
    const to = roundUp(within + bytes.length, sectorSize)
    if (to - from === bytes.length) return bytes
    const whole = new Uint8Array(to - from)
    const start = block * blockSize
    const disk = this.#disk(start + from, start + to)
    disk.read(start + from, whole.subarray(0, within - from))
    disk.read(start + within + bytes.length, whole.subarray(within - from + bytes.length))
    whole.set(bytes, within - from)
    return whole
  }

  /**
   * The disk as the guest sees it, to read [from, to). @throws ImageError reference E_PARENT_NEEDED where only the
   * parent knows.
   */
  #disk(from: number, to: number): BlockSource {
    const {
      image,
      structures: { geometry },
    } = this.#layer
    if (this.#parent !== undefined) return new OverlaySource(image, this.#parent)
    for (let offset = from; geometry.differencing && offset < to;) {
      const { kind, length } = image.extentAt(offset, to - offset)
      if (kind === 'absent') {
        throw reference(
          'E_PARENT_NEEDED',
          `${this.#session.file.name}: bytes ${from} to ${to} of the disk are changed in part and the rest of ` +
            `them is the parent's, which is not open`,
        )
      }
      offset += length
    }
    return image
  }

  /** The space of a block that is not in use any more. The bits of its sectors mean nothing then. */
  #release(block: number, position: number): void {
    this.#layer.table.checkPlace(block, position)
    this.#session.space.release(position, this.#layer.structures.geometry.blockSize)
  }

  /** Whether what is below reads as zero, as far as that is known without reading. */
  #zeroBelow(block: number, within: number, length: number): boolean {
    const start = block * this.#layer.structures.geometry.blockSize + within
    for (let offset = start; offset < start + length;) {
      if (this.#parent === undefined) return false
      const available = this.#parent.capacity - offset
      if (available <= 0) return true
      const extent = this.#parent.extentAt(offset, Math.min(available, start + length - offset))
      if (extent.kind !== 'zero' && extent.kind !== 'absent') return false
      offset += extent.length
    }
    return true
  }

  /** Bytes of the block that the disk shows: fewer at the disk's end. */
  #visible(block: number): number {
    const { blockSize, capacity } = this.#layer.structures.geometry
    return Math.min(blockSize, capacity - block * blockSize)
  }

  #refusal(block: number, state: number): Error {
    const position = this.#layer.table.entryPosition(block)
    return corrupt(
      'E_BAT_STATE',
      `${this.#session.file.name}: block ${block} has the state ${state} in its entry at byte ${position}, ` +
        'which such a disk cannot have: it cannot be changed',
      { details: { position, block, state } },
    )
  }
}
