import { movedExtent } from '../../../block/moved-extent.js'
import { PieceRuns } from '../../../block/runs.js'
import type { ByteStore, Extent, Note } from '../../../block/types.js'
import { zlibCodec, zlibTailCodec } from '../../../codec/zlib.js'
import { corrupt, hints, printable, reference } from '../../../errors.js'
import type { ExtentLine } from '../format/descriptor.js'
import { sectorLength } from '../format/structs.js'
import type { Grains } from './hosted-grains.js'

/** One extent of the disk. Bytes. */
export interface Part {
  readonly line: ExtentLine
  readonly start: number
  readonly length: number
  /** Its unit of allocation; 512 where every sector has its place. */
  readonly grain: number
  readonly store: ByteStore | undefined
  /** What lies at an offset of the part. @throws ImageError corrupt, reference. */
  extentAt(offset: number, limit: number): Extent
  /** The tables were changed. */
  forget?(): void
}

interface PartPlace {
  readonly line: ExtentLine
  readonly start: number
}

/** Zeros that no file holds. */
export function zeroPart({ line, start }: PartPlace): Part {
  const length = line.sectors * sectorLength
  return {
    line,
    start,
    length,
    grain: sectorLength,
    store: undefined,
    extentAt: (offset, limit) => ({ kind: 'zero', offset, length: Math.min(limit, length - offset) }),
  }
}

/** An extent whose file was not opened: reading it says so. @param name the image, for messages. */
export function missingPart({ line, start }: PartPlace, name: string): Part {
  return {
    line,
    start,
    length: line.sectors * sectorLength,
    grain: sectorLength,
    store: undefined,
    extentAt: () => {
      throw reference('E_REFERENCE_NOT_OPENED', `${name}: its extent ${printable(line.names[0] ?? '')} was not opened`)
    },
  }
}

/** A flat extent. What its file should hold and does not is no zeros. */
export function flatPart({ line, start }: PartPlace, store: ByteStore): Part {
  const length = line.sectors * sectorLength
  const first = line.offset * sectorLength
  return {
    line,
    start,
    length,
    grain: sectorLength,
    store,
    extentAt: (offset, limit) => {
      const position = first + offset
      const available = store.size - position
      if (available <= 0)
        throw corrupt(
          'E_TRUNCATED',
          `${store.name} has ${store.size} bytes, and ${first + length} are needed by the extent in ` +
            `line ${line.line} of ` +
            'the descriptor',
          { details: { position, size: store.size }, hint: hints.incomplete },
        )
      return { kind: 'data', offset, length: Math.min(limit, length - offset, available), store, position }
    },
  }
}

/** Warns of flat extents whose files hold more than the descriptor takes of them: of a disk that grew, maybe. */
export function* longerFlatNotes(parts: readonly Part[]): Generator<Note> {
  const ends = new Map<ByteStore, number>()
  for (const { line, store } of parts)
    if (store !== undefined && (line.type === 'FLAT' || line.type === 'VMFS'))
      ends.set(store, Math.max(ends.get(store) ?? 0, (line.offset + line.sectors) * sectorLength))
  for (const [store, end] of ends)
    if (store.size > end)
      yield {
        code: 'W_EXTENT_SIZE',
        message: `${store.name} has ${store.size} bytes, and the descriptor takes ${end} of them: the rest is not read`,
      }
}

/**
 * A sparse extent. @param length bytes of the disk that it takes: what its own header says, or less.
 */
export function sparsePart({ line, start }: PartPlace, store: ByteStore, grains: Grains, length: number): Part {
  const runs = new PieceRuns(length, (offset) => grains.pieceAt(offset), {
    data: () => store,
    packed: store,
    codec: zlibCodec,
    unitLength: grains.grainSize,
  })
  return {
    line,
    start,
    length,
    grain: grains.grainSize,
    store,
    extentAt: (offset, limit) => {
      const extent = runs.extentAt(offset, limit)
      if (extent.kind !== 'packed' || extent.unitOffset + extent.unitLength <= length) return extent
      // Some writers compress only what the disk has of its last grain.
      return {
        kind: 'packed',
        offset: extent.offset,
        length: extent.length,
        store,
        position: extent.position,
        storedLength: extent.storedLength,
        codec: zlibTailCodec,
        unitOffset: extent.unitOffset,
        unitLength: length - extent.unitOffset,
      }
    },
    forget: () => runs.forget(),
  }
}

/** The parts of a disk, one behind the other. */
export class PartList {
  readonly parts: readonly Part[]
  readonly capacity: number
  #last = 0

  constructor(parts: readonly Part[]) {
    this.parts = parts
    this.capacity = parts.reduce((sum, { length }) => sum + length, 0)
  }

  /** The part that holds an offset. @throws RangeError outside the disk. */
  at(offset: number): Part {
    const holds = (part: Part | undefined): part is Part =>
      part !== undefined && offset >= part.start && offset < part.start + part.length
    const near = this.parts[this.#last]
    if (holds(near)) return near
    let low = 0
    let high = this.parts.length
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if ((this.parts[middle]?.start ?? Infinity) <= offset) low = middle
      else high = middle
    }
    // Parts without a sector share the start of the next one, which is the last that begins there.
    const found = this.parts[low]
    if (!holds(found)) throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    this.#last = low
    return found
  }

  extentAt(offset: number, limit: number): Extent {
    const part = this.at(offset)
    if (part.start === 0) return part.extentAt(offset, limit)
    return movedExtent(part.extentAt(offset - part.start, limit), offset, part.start)
  }
}
