import { isImageError, type ImageError } from '../errors.js'
import { decodeUnit } from './read.js'
import type { BlockSource } from './types.js'

/** A place of a disk that cannot be read, or how far the walk is. */
export type ExtentFault =
  { readonly offset: number; readonly error: ImageError } | { readonly done: number; readonly total: number }

/** Runs between two reports of how far the walk is. */
const runsPerStep = 4096
const mostFaults = 4096

/**
 * What cannot be read of a disk, unit by unit. @param unit bytes to go on by behind a fault. @param deep also decodes
 * every compressed unit.
 */
export function* extentFaults(
  source: Pick<BlockSource, 'capacity' | 'extentAt'>,
  unit: number,
  deep: boolean,
): Generator<ExtentFault> {
  const { capacity } = source
  let runs = 0
  let faults = 0
  let decoded = -1
  for (let offset = 0; offset < capacity && faults < mostFaults;) {
    if (++runs % runsPerStep === 0 || decoded === offset) yield { done: offset, total: capacity }
    const start = offset
    try {
      const extent = source.extentAt(offset, capacity - offset)
      offset += extent.length
      if (extent.kind !== 'packed' || !deep) continue
      decoded = offset
      decodeUnit(extent)
    } catch (error) {
      if (!isImageError(error)) throw error
      faults++
      yield { offset: start, error }
      if (decoded !== offset) offset += unit - (offset % unit)
    }
  }
}
