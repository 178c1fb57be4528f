import type { Work } from '../../../block/work.js'
import { ExtentReader } from '../../../block/read.js'
import type { ByteStore, Extent, Note, Section } from '../../../block/types.js'
import { corrupt } from '../../../errors.js'
import type { DiskImage, Finding, OpenContext, ParentReference } from '../../driver.js'
import type { BlockTable } from '../format/bat.js'
import { checkVhdx } from '../judge/check.js'
import { describeImage } from './describe.js'
import { bitRunEnd, payloadState, testBit } from '../format/entries.js'
import { readVhdxFile, type ImageStore, type ReadStructures, type Structures } from '../format/structures.js'
import { parentReferenceOf } from '../format/parent-locator.js'
import { SectorBitmaps } from './sector-bitmaps.js'

/** One VHDX layer, open for reading. A dirty log is replayed in memory; the file is never touched. */
class VhdxImage implements DiskImage {
  readonly format = 'vhdx'
  readonly subformat: 'fixed' | 'dynamic' | 'differencing'
  readonly notes: readonly Note[]
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  /** DataWriteGuid: what a child records of its parent. */
  readonly identity: string
  readonly parentReference?: ParentReference
  readonly #store: ImageStore
  readonly #table: BlockTable
  readonly #structures: Structures
  readonly #bitmaps: SectorBitmaps
  readonly #reader = new ExtentReader(this)

  constructor(
    store: ImageStore,
    table: BlockTable,
    bitmaps: SectorBitmaps,
    structures: Structures,
    notes: readonly Note[],
  ) {
    const { metadata, geometry, header, replay } = structures
    this.#store = store
    this.#table = table
    this.#bitmaps = bitmaps
    this.#structures = structures
    this.notes = notes
    this.subformat = metadata.hasParent ? 'differencing' : metadata.leaveBlocksAllocated ? 'fixed' : 'dynamic'
    this.capacity = metadata.capacity
    this.sectorSize = metadata.logicalSectorSize
    // A replayed log changes the file in sectors of 4 KiB, wherever blocks begin.
    this.grain = metadata.hasParent ? metadata.logicalSectorSize : replay === undefined ? geometry.blockSize : 4096
    this.identity = header.values.dataWriteGuid
    if (metadata.parentLocator !== undefined)
      this.parentReference = parentReferenceOf(metadata.parentLocator, store.name, {
        sectorSize: metadata.logicalSectorSize,
        capacity: metadata.capacity,
      })
  }

  extentAt(offset: number, limit: number): Extent {
    const { blockSize } = this.#structures.geometry
    const end = Math.min(offset + limit, this.capacity)
    const block = Math.floor(offset / blockSize)
    const entry = this.#table.payload(block)
    switch (entry.kind) {
      case 'absent':
      case 'zero':
        return {
          kind: entry.kind,
          offset,
          length:
            Math.min(end, this.#table.emptyEnd(block + 1, entry.kind, Math.ceil(end / blockSize)) * blockSize) - offset,
        }
      case 'full': {
        this.#table.checkPlace(block, entry.position)
        return this.#data(
          offset,
          entry.position + offset - block * blockSize,
          this.#fullEnd(block, entry.position, end) - offset,
        )
      }
      case 'partial':
        return this.#partial(block, entry.position, offset, Math.min(end, (block + 1) * blockSize))
      case 'reserved':
        throw corrupt(
          'E_BAT_STATE',
          `${this.#store.name}: block ${block} (guest offset ${block * blockSize}) has the reserved state ` +
            `${entry.state} in its entry at byte ${this.#table.entryPosition(block)}`,
          { details: { position: this.#table.entryPosition(block), block, state: entry.state } },
        )
    }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    return describeImage(this.#structures, this.subformat)
  }

  check(): Work<void, Finding> {
    return checkVhdx(this.#store, this.#table, this.#structures)
  }

  [Symbol.dispose](): void {
    this.#bitmaps.forget()
    this.#store[Symbol.dispose]()
  }

  /** Where the run of full blocks that follow each other in the file ends, at most `end`. */
  #fullEnd(block: number, position: number, end: number): number {
    const { blockSize } = this.#structures.geometry
    let next = block + 1
    while (next * blockSize < end && this.#table.state(next) === payloadState.fullyPresent) {
      const expected = position + (next - block) * blockSize
      // A damaged block ends the run: it is refused when it is asked for, those before it are not.
      if (this.#table.positionOf(next) !== expected || this.#table.placeFault(next, expected) !== undefined) break
      next++
    }
    return Math.min(end, next * blockSize)
  }

  #partial(block: number, position: number, offset: number, end: number): Extent {
    const { blockSize, sectorSize, differencing } = this.#structures.geometry
    if (!differencing) {
      throw corrupt(
        'E_BAT_STATE',
        `${this.#store.name}: block ${block} (guest offset ${block * blockSize}) is partly present by its ` +
          `entry at byte ${this.#table.entryPosition(block)}, but the disk has no parent`,
        { details: { position: this.#table.entryPosition(block), block, state: payloadState.partiallyPresent } },
      )
    }
    const bits = this.#bitmaps.of(block)
    const start = block * blockSize
    const sector = Math.floor((offset - start) / sectorSize)
    const runEnd = start + bitRunEnd(bits, sector, Math.ceil((end - start) / sectorSize)) * sectorSize
    const length = Math.min(end, runEnd) - offset
    if (!testBit(bits, sector)) return { kind: 'absent', offset, length }
    this.#table.checkPlace(block, position)
    return this.#data(offset, position + offset - start, length)
  }

  /** Bytes of the file, as the log leaves them: what no change touches is read from the file itself. */
  #data(offset: number, position: number, limit: number): Extent {
    const { origin, length } = this.#store.runAt(position, limit)
    if (origin === 'zero') return { kind: 'zero', offset, length }
    return { kind: 'data', offset, length, store: origin === 'base' ? this.#store.base : this.#store, position }
  }
}

/** An open layer and its parts, for code that changes it. */
export interface OpenLayer {
  readonly image: VhdxImage
  readonly table: BlockTable
  readonly bitmaps: SectorBitmaps
  readonly structures: Structures
}

/**
 * Opens one layer. @throws ImageError of the codes in docs: E_NOT_VHDX, E_HEADER, E_LOG_CORRUPT, E_REGION…, E_META…,
 * E_BAT…
 */
export function openVhdx(file: ByteStore, context: OpenContext): VhdxImage {
  return openLayer(readVhdxFile(file, context)).image
}

/** The image of structures that were read, with its parts. */
export function openLayer({ store, table, structures, notes }: ReadStructures): OpenLayer {
  const bitmaps = new SectorBitmaps(store, table, structures.geometry)
  return { image: new VhdxImage(store, table, bitmaps, structures, notes), table, bitmaps, structures }
}
