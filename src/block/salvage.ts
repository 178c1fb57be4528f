import { isImageError } from '../errors.js'
import type { BlockSource, Extent } from './types.js'

/** A run of a disk, in bytes. */
export interface BadRun { readonly offset: number; readonly length: number }

/**
 * A disk read in spite of bad sectors: what cannot be read is zero, and listed. A failed read is halved until single sectors remain,
 * so that everything around a bad one is kept.
 */
export class SalvagingSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #source: BlockSource
  readonly #bad = new Map<number, number>()

  /** Closing it leaves `source` open. */
  constructor(source: BlockSource) {
    this.#source = source
    this.capacity = source.capacity
    this.sectorSize = source.sectorSize
    this.grain = source.grain
  }

  /** What could not be read so far: ascending, neighbours joined. */
  get bad(): BadRun[] {
    const runs: BadRun[] = []
    for (const [offset, length] of [...this.#bad].sort(([a], [b]) => a - b)) {
      const last = runs.at(-1)
      if (last !== undefined && last.offset + last.length >= offset) runs[runs.length - 1] = { offset: last.offset, length: Math.max(last.length, offset + length - last.offset) }
      else runs.push({ offset, length })
    }
    return runs
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#source.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    try {
      this.#source.read(offset, target)
    } catch (error) {
      if (!isImageError(error) || error.code !== 'E_READ') throw error
      const sectors = Math.ceil((offset % this.sectorSize + target.length) / this.sectorSize)
      if (sectors <= 1) {
        const start = offset - offset % this.sectorSize
        this.#bad.set(start, Math.min(this.sectorSize, this.capacity - start))
        target.fill(0)
        return
      }
      // The middle falls on a sector's start, so that no sector is tried twice.
      const middle = Math.floor(sectors / 2) * this.sectorSize - offset % this.sectorSize
      this.read(offset, target.subarray(0, middle))
      this.read(offset + middle, target.subarray(middle))
    }
  }

  [Symbol.dispose](): void {
    // The source belongs to whoever opened it.
  }
}
