import { crc32 } from 'node:zlib'
import { crc32Zeros } from '../../binary/checksum.js'
import type { BlockSource, ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import type { Finding } from '../driver.js'
import type { Chunks, Part } from './chunks.js'
import { checksumCrc32, chunkType } from './structs.js'
import type { Trailer } from './trailer.js'

const pieceLength = 1024 * 1024

/**
 * The checksums that the image carries: of each part, of the data as it is stored, and of all parts together.
 * @param range of the disk, in bytes: only the parts that it touches; the others need all of the disk.
 */
export function* checkSums(
  disk: Pick<BlockSource, 'read' | 'capacity'>,
  store: ByteStore,
  { values, dataFork, dataForkLength, position }: Trailer,
  chunks: Chunks,
  range: { readonly offset: number; readonly length: number } = { offset: 0, length: disk.capacity },
): Work<void, Finding> {
  const { parts } = chunks
  const end = range.offset + range.length
  const isWanted = ({ start, length, checksumType }: Part): boolean =>
    checksumType === checksumCrc32 && start < end && start + length > range.offset
  const found = yield* sumsOfParts(disk, chunks, isWanted)
  const sums = Buffer.alloc(parts.length * 4)
  for (const [index, part] of parts.entries()) {
    sums.writeUInt32BE(part.checksum, index * 4)
    const sum = found[index] ?? 0
    if (isWanted(part) && sum !== part.checksum) yield wrong(`part ${index}`, part.checksum, sum)
  }
  if (range.length < disk.capacity) return
  // What the checksum of a segment is over is described nowhere.
  if (
    values.segmentCount <= 1 &&
    values.dataChecksumType === checksumCrc32 &&
    dataFork + dataForkLength <= store.size
  ) {
    const sum = yield* sumOf((at, bytes) => store.read(dataFork + at, bytes), dataForkLength)
    if (sum !== values.dataChecksum) yield { ...wrong('data fork', values.dataChecksum, sum), position: dataFork }
  }
  if (values.masterChecksumType === checksumCrc32 && crc32(sums) !== values.masterChecksum)
    yield {
      severity: 'warning',
      code: 'W_MASTER_CHECKSUM',
      structure: 'trailer',
      position: position === Infinity ? undefined : position + 360,
      message: 'the checksum over the checksums of all parts is another than the trailer says',
    }
}

/**
 * Of the content of all chunks of each part but those that are ignored: macOS leaves out what a filesystem does not
 * use. Every chunk is read once, whatever parts there are.
 */
function* sumsOfParts(
  disk: Pick<BlockSource, 'read'>,
  { starts, lengths, types, owners, parts }: Chunks,
  isWanted: (part: Part) => boolean,
): Work<Uint32Array> {
  const sums = new Uint32Array(parts.length)
  const wanted = Uint8Array.from(parts, (part) => Number(isWanted(part)))
  for (const [chunk, from] of starts.entries()) {
    const owner = owners[chunk] ?? 0
    const type = types[chunk]
    const length = lengths[chunk] ?? 0
    if (wanted[owner] !== 1 || type === chunkType.ignore) continue
    const before = sums[owner] ?? 0
    sums[owner] =
      type === chunkType.zero
        ? crc32Zeros(length, before)
        : yield* sumOf((at, bytes) => disk.read(from + at, bytes), length, before)
  }
  return sums
}

function* sumOf(read: (at: number, bytes: Uint8Array) => void, length: number, before = 0): Work<number> {
  let sum = before
  const piece = new Uint8Array(Math.min(pieceLength, length))
  for (let at = 0; at < length; at += piece.length) {
    const bytes = piece.subarray(0, Math.min(piece.length, length - at))
    read(at, bytes)
    sum = crc32(bytes, sum)
    yield { done: at, total: length }
  }
  return sum
}

function wrong(structure: string, recorded: number, found: number): Finding {
  return {
    severity: 'error',
    code: 'E_CHECKSUM',
    structure,
    message: `its checksum is 0x${found.toString(16)}, the one recorded is 0x${recorded.toString(16)}`,
  }
}
