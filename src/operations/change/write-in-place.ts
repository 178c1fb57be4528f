import { roundDown, roundUp } from '../../binary/integers.js'
import { isZero } from '../../binary/zero.js'
import type { BlockSource } from '../../block/types.js'
import type { Progress } from '../../engine/progress.js'
import { aborted, isImageError } from '../../errors.js'
import type { OpenedWritable } from '../../formats/open-writable.js'
import type { TableWrite } from '../../partition/index.js'
import { storedPieces } from './content-search.js'

/** Writes groups one after the other, each on the medium before the next; whole sectors, whose other bytes stay. */
export function writeGroups({ image, disk }: OpenedWritable, groups: readonly (readonly TableWrite[])[]): void {
  for (const group of groups) {
    for (const { position, bytes } of group) {
      const start = roundDown(position, disk.sectorSize)
      const sectors = new Uint8Array(Math.min(roundUp(position + bytes.length, disk.sectorSize), disk.capacity) - start)
      disk.read(start, sectors)
      sectors.set(bytes, position - start)
      image.write(start, sectors)
    }
    image.flush()
  }
}

/**
 * Writes the content of a disk over a part of an image, up to `length` bytes; what the source does not reach reads as
 * zero. Flushed when
 * it returns. @throws ImageError aborted E_ABORTED: the part is then partly written.
 */
export async function writeContent(
  { image }: OpenedWritable,
  start: number,
  length: number,
  source: BlockSource,
  options: { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void },
): Promise<void> {
  const { onProgress } = options
  let end = 0
  try {
    for await (const { offset, bytes } of storedPieces(source, 0, { ...options, phase: 'copy' })) {
      // What is zero gives its space back, and is joined with what is not stored.
      if (isZero(bytes)) continue
      if (offset > end) image.discard(start + end, offset - end)
      image.write(start + offset, bytes)
      end = offset + bytes.length
    }
  } catch (error) {
    if (!isImageError(error) || error.kind !== 'aborted') throw error
    throw aborted('interrupted while the partition was written', {
      hint: 'It holds a part of the new content, and the rest of the old: write it again.',
      cause: error,
    })
  }
  if (end < length) image.discard(start + end, length - end)
  onProgress?.({ phase: 'flush', done: 0, total: 1 })
  image.flush()
  onProgress?.({ phase: 'flush', done: 1, total: 1 })
}
