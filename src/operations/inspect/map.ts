import type { ByteStore, Extent, Note } from '../../block/types.js'
import { HostHoles, longestRun, type Range } from '../../engine/index.js'
import { printable } from '../../errors.js'
import type { Layer, OpenedImage } from '../../formats/open.js'
import { checkRange } from './hash.js'
import {
  openReadable,
  openReadableLater,
  sourceInfo,
  type LaterOptions,
  type ReadOptions,
  type SourceInfo,
} from '../open/opening.js'

/**
 * What a run of the disk is: `data` stands in a file as it is; `compressed` as a compressed unit; `hole` in a file's
 * hole, which reads as
 * zero; `zero` is zero by the image's tables; of `absent` no image of the chain says anything, so that it is zero.
 */
export type MapKind = 'data' | 'compressed' | 'hole' | 'zero' | 'absent'

/** One run of the disk, joined with its like neighbours. Bytes. */
export interface MapExtent {
  readonly offset: number
  readonly length: number
  readonly kind: MapKind
  /** Which image of the chain answers: 0 is the image asked for, 1 its parent … */
  readonly depth: number
  /** Index in `files`, and the position there, of what is stored: data, compressed, hole. */
  readonly file?: number
  readonly position?: number
  /** Of a compressed unit: its bytes in the file. */
  readonly storedLength?: number
}

export interface MapTotals {
  readonly extents: number
  readonly data: number
  readonly compressed: number
  /** Bytes in files that hold the compressed units. */
  readonly compressedStored: number
  readonly hole: number
  readonly zero: number
  readonly absent: number
}

/** An image of the chain. */
export interface MapLayer {
  readonly path: string
  readonly format: string
  readonly subformat: string
  readonly capacity: number
  /** Bytes of its first file, and those that the filesystem holds for it; not known of what is no file. */
  readonly size?: number
  readonly allocated?: number
  readonly grain: number
}

export interface MapOptions extends ReadOptions {
  /** The part of the disk to map; all of it when left out. */
  readonly range?: Range
}

/** Where every part of a disk is stored. Extents are found as they are asked for: the largest disk costs no memory. */
export class DiskMap implements Disposable {
  readonly source: SourceInfo
  readonly layers: readonly MapLayer[]
  /** The files that extents name, as far as they were met. */
  readonly files: string[] = []
  readonly #opened: OpenedImage
  readonly #range: Range
  readonly #cursors: readonly LayerCursor[]
  readonly #holes = new Map<ByteStore, HostHoles>()
  readonly #totals = { extents: 0, data: 0, compressed: 0, compressedStored: 0, hole: 0, zero: 0, absent: 0 }

  /** Takes the image, and closes it when it is closed itself. */
  constructor(path: string, opened: OpenedImage, range: Range) {
    this.#opened = opened
    this.#range = range
    this.#cursors = opened.layers.map((layer) => new LayerCursor(layer))
    this.source = sourceInfo(path, opened)
    this.layers = opened.layers.map(mapLayer)
  }

  /** What the user should know, also of what the extents given so far have met. */
  get notes(): readonly Note[] {
    return this.#opened.notes
  }

  /** Totals of the extents given so far. */
  get totals(): MapTotals {
    return { ...this.#totals }
  }

  /**
   * The runs in order, without gaps. @throws ImageError corrupt where a table is damaged: what stands before was given.
   */
  *extents(): Generator<MapExtent> {
    let current: MapExtent | undefined
    try {
      for (const extent of this.#pieces()) {
        const joined = current === undefined ? undefined : join(current, extent)
        if (joined === undefined && current !== undefined) yield this.#counted(current)
        current = joined ?? extent
      }
    } catch (error) {
      if (current !== undefined) yield this.#counted(current)
      throw error
    }
    if (current !== undefined) yield this.#counted(current)
    this.#opened.assertUnchanged()
  }

  [Symbol.dispose](): void {
    this.#opened[Symbol.dispose]()
  }

  *#pieces(): Generator<MapExtent> {
    const end = this.#range.offset + this.#range.length
    for (let offset = this.#range.offset; offset < end;) {
      const piece = this.#pieceAt(offset, Math.min(longestRun, end - offset))
      yield piece
      offset += piece.length
    }
  }

  /** What the images say of a run of the disk, or of the partition of it that is mapped. */
  #pieceAt(offset: number, limit: number): MapExtent {
    const { start } = this.#opened
    return { ...this.#diskPieceAt(offset + start, limit), offset }
  }

  #diskPieceAt(offset: number, limit: number): MapExtent {
    let length = limit
    for (const [depth, cursor] of this.#cursors.entries()) {
      const extent = cursor.at(offset, length)
      length = extent.length
      if (extent.kind !== 'absent') return this.#located(extent, depth)
      const below = this.#cursors[depth + 1]
      // Past the end of the parent this image's word is the last one.
      if (below === undefined || below.capacity <= offset) return { offset, length, kind: 'absent', depth }
      length = Math.min(length, below.capacity - offset)
    }
    throw new RangeError('an image has at least one layer')
  }

  #located(extent: Extract<Extent, { kind: 'zero' | 'data' | 'packed' }>, depth: number): MapExtent {
    const { offset, length } = extent
    if (extent.kind === 'zero') return { offset, length, kind: 'zero', depth }
    const file = this.#fileOf(extent.store)
    if (extent.kind === 'packed') {
      return {
        offset,
        length,
        kind: 'compressed',
        depth,
        file,
        position: extent.position,
        storedLength: extent.storedLength,
      }
    }
    let holes = this.#holes.get(extent.store)
    if (holes === undefined) this.#holes.set(extent.store, (holes = new HostHoles(extent.store)))
    const run = holes.runAt(extent.position, length)
    return { offset, length: run.length, kind: run.hole ? 'hole' : 'data', depth, file, position: extent.position }
  }

  #fileOf({ name }: ByteStore): number {
    const known = this.files.indexOf(name)
    return known >= 0 ? known : this.files.push(name) - 1
  }

  #counted(extent: MapExtent): MapExtent {
    this.#totals.extents++
    this.#totals[extent.kind] += extent.length
    this.#totals.compressedStored += extent.storedLength ?? 0
    return extent
  }
}

/** One image of the chain, asked forwards: what it said of a long run is kept until that is used up. */
class LayerCursor {
  readonly capacity: number
  readonly #layer: Layer
  #last: Extent | undefined

  constructor(layer: Layer) {
    this.#layer = layer
    this.capacity = layer.image.capacity
  }

  at(offset: number, limit: number): Extent {
    let extent = this.#last
    if (extent === undefined || offset < extent.offset || offset >= extent.offset + extent.length) {
      extent = this.#layer.image.extentAt(offset, Math.min(longestRun, this.capacity - offset))
      this.#last = extent
    }
    const skipped = offset - extent.offset
    const length = Math.min(limit, extent.length - skipped)
    return extent.kind === 'data'
      ? { ...extent, offset, length, position: extent.position + skipped }
      : { ...extent, offset, length }
  }
}

/**
 * Two neighbours as one run; undefined when they are of different kinds, images or places. Compressed units stay apart.
 */
function join(first: MapExtent, next: MapExtent): MapExtent | undefined {
  if (first.kind !== next.kind || first.depth !== next.depth || first.file !== next.file) return undefined
  if (first.kind === 'compressed') {
    // Parts of one unit, as a range or a limit has cut it.
    return first.position === next.position ? { ...first, length: first.length + next.length } : undefined
  }
  if (first.position !== undefined && next.position !== first.position + first.length) return undefined
  return { ...first, length: first.length + next.length }
}

function mapLayer({ name, path, image, files: [file] }: Layer): MapLayer {
  return {
    path: path ?? name,
    format: image.format,
    subformat: image.subformat,
    capacity: image.capacity,
    grain: image.grain,
    ...(file === undefined ? {} : { size: file.size, allocated: file.allocated }),
  }
}

/**
 * Opens an image to see where its disk is stored. Close the result.
 * @throws ImageError; usage E_RANGE for a range outside the disk.
 */
export function map(path: string, options: MapOptions = {}): DiskMap {
  return mapOf(path, openReadable(path, options), options)
}

/** As {@link map}, letting signals through: a compressed file may have to be unpacked first. */
export async function mapLater(path: string, options: MapOptions & LaterOptions = {}): Promise<DiskMap> {
  return mapOf(path, await openReadableLater(path, options), options)
}

function mapOf(path: string, opened: OpenedImage, options: MapOptions): DiskMap {
  try {
    const range = options.range ?? { offset: 0, length: opened.capacity }
    checkRange(range, opened.capacity, printable(path))
    return new DiskMap(path, opened, range)
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}
