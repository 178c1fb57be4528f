import type { ExposedDisk } from '../exposed-disk.js'
import type { ServedFile } from './folder.js'

/** Asked of the disk at once. */
const step = 2 ** 30

/**
 * lseek(2)'s SEEK_DATA and SEEK_HOLE: where the next data of a file begins, or the next run that reads as zero because
 * nothing is stored
 * for it (a file's end counts as one). Undefined: no more data. Offsets are bytes of the file.
 */
export function nextOfKind(
  disk: Pick<ExposedDisk, 'extentAt'>,
  file: ServedFile,
  offset: number,
  wanted: 'data' | 'hole',
): number | undefined {
  let at = offset
  while (at < file.length) {
    const { kind, length } = disk.extentAt(file.start + at, Math.min(step, file.length - at))
    const isHole = kind === 'zero' || kind === 'absent'
    if (isHole === (wanted === 'hole')) return at
    at += length
  }
  return wanted === 'hole' ? file.length : undefined
}
