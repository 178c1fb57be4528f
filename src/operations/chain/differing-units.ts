import { isZero } from '../../binary/zero.js'
import type { WritableImage } from '../../formats/driver.js'

/** Pieces begin and end at multiples of this, so that units never cross them. */
export const comparedPiece = 1048576

/** Counts what was written, in bytes. */
export interface WrittenBytes {
  data: number
  zeros: number
}

/**
 * Writes the units of a piece that differ from what is there now; zeros as zeros, which give space back where the
 * format can.
 * @param unit bytes, a divisor of {@link comparedPiece}. @param image undefined: only counts.
 */
export function writeDiffering(
  image: WritableImage | undefined,
  offset: number,
  wanted: Uint8Array,
  present: Uint8Array,
  unit: number,
  written: WrittenBytes,
): void {
  type Kind = 'same' | 'zeros' | 'data'
  const kindAt = (at: number): Kind => {
    const end = Math.min(at + unit, wanted.length)
    if (Buffer.compare(wanted.subarray(at, end), present.subarray(at, end)) === 0) return 'same'
    return isZero(wanted, at, end - at) ? 'zeros' : 'data'
  }
  for (let at = 0; at < wanted.length;) {
    const kind = kindAt(at)
    let end = Math.min(at + unit, wanted.length)
    while (end < wanted.length && kindAt(end) === kind) end = Math.min(end + unit, wanted.length)
    if (kind === 'data') {
      image?.write(offset + at, wanted.subarray(at, end))
      written.data += end - at
    } else if (kind === 'zeros') {
      image?.discard(offset + at, end - at)
      written.zeros += end - at
    }
    at = end
  }
}
