import { crc32 } from 'node:zlib'
import { crc32Zeros } from '../../binary/checksum.js'
import { lastAtMost } from '../../binary/search.js'
import type { ByteStore } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import type { ContentSums, Finding } from '../driver.js'
import type { Chunks, Part } from './chunks.js'
import { checksumCrc32, chunkType } from './structs.js'
import type { Trailer } from './trailer.js'

const pieceLength = 1024 * 1024

/**
 * The checksums of the parts that a range touches: of the content of all their chunks but those that are ignored, since
 * macOS leaves out what a filesystem does not use.
 */
export class PartSums implements ContentSums {
  readonly start: number
  readonly end: number
  readonly #chunks: Chunks
  readonly #wanted: Uint8Array
  readonly #sums: Uint32Array
  /** The first chunk that ends behind what was taken. */
  #next: number

  constructor(chunks: Chunks, offset: number, length: number) {
    const { parts, starts } = chunks
    const isWanted = ({ start, length: size, checksumType }: Part): boolean =>
      checksumType === checksumCrc32 && start < offset + length && start + size > offset
    this.#chunks = chunks
    this.#wanted = Uint8Array.from(parts, (part) => Number(isWanted(part)))
    this.#sums = new Uint32Array(parts.length)
    const wanted = parts.filter(isWanted)
    this.start = wanted.reduce((least, part) => Math.min(least, part.start), Infinity)
    this.end = wanted.reduce((most, part) => Math.max(most, part.start + part.length), 0)
    this.#next = Math.max(0, lastAtMost(starts, starts.length, this.start))
  }

  take(offset: number, bytes: Uint8Array): void {
    this.#add(offset, bytes.length, (sum, at, length, type) =>
      type === chunkType.zero ? crc32Zeros(length, sum) : crc32(bytes.subarray(at, at + length), sum),
    )
  }

  takeZeros(offset: number, length: number): void {
    this.#add(offset, length, (sum, _at, count) => crc32Zeros(count, sum))
  }

  *findings(): Generator<Finding> {
    for (const [index, { checksum }] of this.#chunks.parts.entries()) {
      const sum = this.#sums[index] ?? 0
      if (this.#wanted[index] === 1 && sum !== checksum) yield wrong(`part ${index}`, checksum, sum)
    }
  }

  /** @param more the sum with `length` bytes more, which begin at `at` of what is given. */
  #add(
    offset: number,
    length: number,
    more: (sum: number, at: number, length: number, type: number | undefined) => number,
  ): void {
    const { starts, lengths, types, owners } = this.#chunks
    for (; this.#next < starts.length; this.#next++) {
      const chunk = this.#next
      const start = starts[chunk] ?? 0
      const end = start + (lengths[chunk] ?? 0)
      if (start >= offset + length) return
      const owner = owners[chunk] ?? 0
      const from = Math.max(start, offset)
      const to = Math.min(end, offset + length)
      if (from < to && this.#wanted[owner] === 1 && types[chunk] !== chunkType.ignore)
        this.#sums[owner] = more(this.#sums[owner] ?? 0, from - offset, to - from, types[chunk])
      if (end > offset + length) return
    }
  }
}

/** The checksums of the data as it is stored, and of those of all parts together. */
export function* checkStored(
  store: ByteStore,
  { values, dataFork, dataForkLength, position }: Trailer,
  { parts }: Chunks,
): Work<void, Finding> {
  // What the checksum of a segment is over is described nowhere.
  if (
    values.segmentCount <= 1 &&
    values.dataChecksumType === checksumCrc32 &&
    dataFork + dataForkLength <= store.size
  ) {
    const sum = yield* sumOf(store, dataFork, dataForkLength)
    if (sum !== values.dataChecksum) yield { ...wrong('data fork', values.dataChecksum, sum), position: dataFork }
  }
  const sums = Buffer.alloc(parts.length * 4)
  for (const [index, part] of parts.entries()) sums.writeUInt32BE(part.checksum, index * 4)
  if (values.masterChecksumType === checksumCrc32 && crc32(sums) !== values.masterChecksum)
    yield {
      severity: 'warning',
      code: 'W_MASTER_CHECKSUM',
      structure: 'trailer',
      position: position === Infinity ? undefined : position + 360,
      message: 'the checksum over the checksums of all parts is another than the trailer says',
    }
}

function* sumOf(store: ByteStore, start: number, length: number): Work<number> {
  let sum = 0
  const piece = new Uint8Array(Math.min(pieceLength, length))
  for (let at = 0; at < length; at += piece.length) {
    const bytes = piece.subarray(0, Math.min(piece.length, length - at))
    store.read(start + at, bytes)
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
