import { crc32 } from 'node:zlib'
import { crc32Zeros } from '../../binary/checksum.js'
import { lastAtMost } from '../../binary/search.js'
import type { BlockSource } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import type { Finding } from '../driver.js'
import type { Sum } from './chunks.js'
import type { SparsePart } from './joined.js'

const pieceLength = 1024 * 1024
/** The place of the checksum in the file header, over the whole disk; 0: there is none. */
const inHeader = 24

/**
 * The checksums of a part: those between its chunks, of the disk as far as it goes there, and that of the header.
 * AOSP's own reader counts chunks without content as zeros, its writer leaves them out (libsparse, sparse_read.c and
 * output_file.c): either is right.
 */
export function* checkSums(
  disk: Pick<BlockSource, 'capacity' | 'read' | 'extentAt'>,
  { store, chunks }: SparsePart,
): Work<void, Finding> {
  const recorded = Number(chunks.rows.find(({ name }) => name === 'imageChecksum')?.value ?? 0)
  const sums: Sum[] = [
    ...chunks.sums,
    ...(recorded === 0 ? [] : [{ end: disk.capacity, crc32: recorded, position: inHeader }]),
  ]
  const piece = new Uint8Array(pieceLength)
  let withZeros = 0
  let without = 0
  let offset = 0
  for (const { end, crc32: wanted, position } of sums) {
    while (offset < end) {
      const extent = disk.extentAt(offset, end - offset)
      const isZero = extent.kind === 'zero'
      const length = isZero ? extent.length : Math.min(piece.length, extent.length)
      const bytes = piece.subarray(0, isZero ? 0 : length)
      if (!isZero) disk.read(offset, bytes)
      const add = (sum: number): number => (isZero ? crc32Zeros(length, sum) : crc32(bytes, sum))
      withZeros = add(withZeros)
      if (!isZero || !isNothing(chunks, offset)) without = add(without)
      offset += length
      yield { done: offset, total: disk.capacity }
    }
    if (wanted === withZeros || wanted === without) continue
    yield {
      severity: 'error',
      code: 'E_CHECKSUM',
      structure: position === inHeader ? 'header' : 'checksum chunk',
      position,
      message:
        `${store.name}: the checksum of the first ${end} bytes of the disk is 0x${withZeros.toString(16)}, the one ` +
        `recorded at byte ${position} is 0x${wanted.toString(16)}`,
    }
  }
}

/** Whether the chunk at an offset says nothing; one that is filled with zeros says that. */
function isNothing({ starts, places, count }: SparsePart['chunks'], offset: number): boolean {
  return places[lastAtMost(starts, count, offset)] === -1
}
