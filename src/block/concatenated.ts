import { lastAtMost } from '../binary/search.js'
import { BytesSource } from './bytes-source.js'
import { movedExtent } from './moved-extent.js'
import { ExtentReader } from './read.js'
import { SliceSource } from './slice.js'
import type { BlockSource, Extent } from './types.js'
import { ZeroSource } from './zero.js'

/** Disks one behind the other as one disk, without a copy. Closing it leaves them open. */
export class ConcatenatedSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #pieces: readonly BlockSource[]
  /** Where each piece starts, and where the last one ends. */
  readonly #starts: Float64Array
  readonly #reader = new ExtentReader(this)

  constructor(pieces: readonly BlockSource[], sectorSize: 512 | 4096) {
    this.#pieces = pieces.filter(({ capacity }) => capacity > 0)
    this.#starts = new Float64Array(this.#pieces.length + 1)
    for (const [index, piece] of this.#pieces.entries())
      this.#starts[index + 1] = (this.#starts[index] ?? 0) + piece.capacity
    this.capacity = this.#starts[this.#pieces.length] ?? 0
    if (!Number.isSafeInteger(this.capacity)) throw new RangeError('the pieces are larger than 2^53 bytes together')
    this.sectorSize = sectorSize
    // Status changes at the pieces' borders too.
    let grain = this.#pieces.reduce((least, piece) => Math.min(least, piece.grain), 1048576)
    while (grain > 1 && this.#starts.some((start, index) => index < this.#pieces.length && start % grain !== 0))
      grain = Math.floor(grain / 2)
    this.grain = grain
  }

  extentAt(offset: number, limit: number): Extent {
    const index = lastAtMost(this.#starts, this.#pieces.length, offset)
    const piece = this.#pieces[index]
    const start = this.#starts[index] ?? 0
    if (piece === undefined || offset < 0 || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    return movedExtent(
      piece.extentAt(offset - start, Math.min(limit, piece.capacity - (offset - start))),
      offset,
      start,
    )
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The pieces belong to the caller.
  }
}

/** Bytes laid over a disk. */
interface Patch {
  readonly position: number
  readonly bytes: Uint8Array
}

/**
 * A disk with a few changes laid over it in memory, and perhaps another capacity: larger is zero at the end. Of changes
 * that cover the
 * same bytes the later one counts. The changes are small: all of them are kept.
 */
export function patchedSource(
  source: BlockSource,
  patches: readonly Patch[],
  shape: { readonly capacity: number; readonly sectorSize: 512 | 4096 },
): BlockSource {
  const below = resizedSource(source, shape.capacity)
  const pieces: BlockSource[] = []
  let at = 0
  for (const { start, end } of united(patches)) {
    pieces.push(new SliceSource(below, at, start - at))
    const bytes = new Uint8Array(end - start)
    below.read(start, bytes)
    for (const patch of patches) {
      if (patch.position >= start && patch.position < end) bytes.set(patch.bytes, patch.position - start)
    }
    pieces.push(new BytesSource(bytes, 'the new table', shape.sectorSize))
    at = end
  }
  pieces.push(new SliceSource(below, at, shape.capacity - at))
  return new ConcatenatedSource(pieces, shape.sectorSize)
}

/** Another capacity: cut off, or filled up with zeros. Nothing is looked at. */
function resizedSource(source: BlockSource, capacity: number): BlockSource {
  if (capacity <= source.capacity) return new SliceSource(source, 0, capacity)
  return new ConcatenatedSource(
    [source, new ZeroSource(capacity - source.capacity, source.sectorSize)],
    source.sectorSize,
  )
}

/** The ranges that patches cover, ascending, those that touch joined. */
function united(patches: readonly Patch[]): { readonly start: number; readonly end: number }[] {
  const ranges: { start: number; end: number }[] = []
  for (const { position, bytes } of [...patches].sort((a, b) => a.position - b.position)) {
    const last = ranges.at(-1)
    if (bytes.length === 0) continue
    if (last !== undefined && position <= last.end) last.end = Math.max(last.end, position + bytes.length)
    else ranges.push({ start: position, end: position + bytes.length })
  }
  return ranges
}
