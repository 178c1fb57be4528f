import { roundDown, roundUp } from '../binary/integers.js'
import type { BlockSource } from '../block/types.js'
import { prepareCodec } from '../codec/index.js'
import type { Progress } from '../engine/progress.js'
import { aborted } from '../errors.js'
import type { OpenedWritable } from '../formats/open-writable.js'
import type { TableWrite } from '../partition/index.js'

/** Bytes moved at once. */
const pieceLength = 1048576

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
 * Writes the content of a disk over a part of an image, up to `length` bytes; what the source does not reach reads as zero. Flushed when
 * it returns. @throws ImageError aborted E_ABORTED: the part is then partly written.
 */
export async function writeContent({ image }: OpenedWritable, start: number, length: number, source: BlockSource, options: { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void }): Promise<void> {
  const { signal, onProgress } = options
  for (let offset = 0; offset < source.capacity;) {
    if (signal?.aborted === true) throw aborted('interrupted while the partition was written', { hint: 'It holds a part of the new content, and the rest of the old: write it again.' })
    onProgress?.({ phase: 'copy', done: offset, total: length })
    const extent = source.extentAt(offset, source.capacity - offset)
    if (extent.kind === 'zero' || extent.kind === 'absent') {
      image.discard(start + offset, extent.length)
      offset += extent.length
    } else {
      if (extent.kind === 'packed') await prepareCodec(extent.codec.id)
      const bytes = new Uint8Array(Math.min(extent.length, pieceLength))
      source.read(offset, bytes)
      image.write(start + offset, bytes)
      offset += bytes.length
    }
    // Lets a signal through: writing is synchronous.
    await new Promise((next) => setImmediate(next))
  }
  if (source.capacity < length) image.discard(start + source.capacity, length - source.capacity)
  onProgress?.({ phase: 'flush', done: 0, total: 1 })
  image.flush()
  onProgress?.({ phase: 'flush', done: 1, total: 1 })
}
