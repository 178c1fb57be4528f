import { crc32 } from 'node:zlib'
import type { BlockSource, ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import type { Finding } from '../driver.js'
import type { Chunks, Part } from './chunks.js'
import { checksumCrc32, chunkType } from './structs.js'
import type { Trailer } from './trailer.js'

const pieceLength = 1024 * 1024

/** The checksums that the image carries: of each part, of the data as it is stored, and of all parts together. */
export function* checkSums(
  disk: Pick<BlockSource, 'read'>,
  store: ByteStore,
  { values, dataFork, dataForkLength, position }: Trailer,
  chunks: Chunks,
): Work<void, Finding> {
  const { parts } = chunks
  const sums = Buffer.alloc(parts.length * 4)
  for (const [index, part] of parts.entries()) {
    sums.writeUInt32BE(part.checksum, index * 4)
    if (part.checksumType !== checksumCrc32) continue
    const sum = yield* sumOfPart(disk, chunks, part)
    if (sum !== part.checksum) yield wrong(`part ${index}`, part.checksum, sum)
  }
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

/** Of the content of all chunks but those that are ignored: macOS leaves out what a filesystem does not use. */
function* sumOfPart(
  disk: Pick<BlockSource, 'read'>,
  { starts, lengths, types }: Chunks,
  { start, length }: Part,
): Work<number> {
  let sum = 0
  for (const [chunk, from] of starts.entries()) {
    if (from < start || from >= start + length || types[chunk] === chunkType.ignore) continue
    sum = yield* sumOf((at, bytes) => disk.read(from + at, bytes), lengths[chunk] ?? 0, sum)
  }
  return sum
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
