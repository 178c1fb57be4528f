import { viewOf } from '../../binary/integers.js'
import type { FieldRow } from '../../binary/struct.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, hints, unsupported } from '../../errors.js'
import { badField, headerBytes } from '../../block/header-bytes.js'
import { chunkHeader, chunkType, header as layout } from './structs.js'

/** Chunks that are kept: 24 bytes each. */
const mostChunks = 4 * 1024 * 1024
/** Checksums that are kept. */
const mostSums = 65536
const windowLength = 65536

/** All chunks that hold something, in the order of the disk. Positions in bytes. */
export interface Chunks {
  readonly blockSize: number
  readonly capacity: number
  readonly count: number
  /** Where each begins in the disk; one more for the end. */
  readonly starts: Float64Array
  /** Where the bytes of a raw chunk lie; of a filled one the word; of one without content −1. */
  readonly places: Float64Array
  readonly kinds: Uint8Array
  readonly sums: readonly Sum[]
  readonly rows: readonly FieldRow[]
}

/** A checksum over the disk from its start to `end`, in bytes. */
export interface Sum {
  readonly end: number
  readonly crc32: number
  /** Where it stands in the file. */
  readonly position: number
}

export const kind = { raw: 0, fill: 1, none: 2 } as const

/**
 * Goes through the headers of all chunks.
 * @throws ImageError corrupt E_TRUNCATED, E_HEADER, E_MAP; unsupported E_VERSION, E_TYPE.
 */
export function readChunks(store: ByteStore): Chunks {
  const { name, size } = store
  const bytes = headerBytes(store, layout.size, 'an Android sparse header')
  const values = layout.read(bytes)
  const { blockSize, totalBlocks, totalChunks, headerSize, chunkHeaderSize } = values
  const bad = badField(name)
  if (values.majorVersion !== 1)
    throw unsupported('E_VERSION', `${name}: version ${values.majorVersion}.${values.minorVersion}; 1.x is known`)
  if (headerSize < layout.size) throw bad(`the header has ${headerSize} bytes, expected 28 or more`, 8)
  if (chunkHeaderSize < chunkHeader.size)
    throw bad(`chunk headers have ${chunkHeaderSize} bytes, expected 12 or more`, 10)
  if (blockSize === 0 || blockSize % 4 !== 0) throw bad(`the block size is ${blockSize}, expected a multiple of 4`, 12)
  if (totalChunks > mostChunks) throw bad(`there are ${totalChunks} chunks, at most ${mostChunks} are read`, 20)
  if (headerSize + totalChunks * chunkHeaderSize > size)
    throw corrupt('E_TRUNCATED', `${name}: ${totalChunks} chunks do not fit into a file of ${size} bytes`, {
      details: { position: 20, size },
      hint: hints.incomplete,
    })
  const walk = new Walk(store, blockSize, chunkHeaderSize, totalChunks)
  const blocks = walk.run(headerSize)
  if (blocks !== totalBlocks)
    throw corrupt(
      'E_MAP',
      `${name}: its chunks have ${blocks} blocks, its header says ${totalBlocks} (header byte 16)`,
      {
        details: { position: 16 },
      },
    )
  return { ...walk.result, blockSize, capacity: totalBlocks * blockSize, rows: layout.rows(bytes, 0) }
}

class Walk {
  readonly #store: ByteStore
  readonly #blockSize: number
  readonly #headerLength: number
  readonly #total: number
  readonly #starts: Float64Array
  readonly #places: Float64Array
  readonly #kinds: Uint8Array
  readonly #window = new Uint8Array(windowLength)
  #windowStart = 0
  #windowLength = 0
  readonly #sums: Sum[] = []
  #count = 0
  #block = 0

  constructor(store: ByteStore, blockSize: number, headerLength: number, total: number) {
    this.#store = store
    this.#blockSize = blockSize
    this.#headerLength = headerLength
    this.#total = total
    this.#starts = new Float64Array(total + 1)
    this.#places = new Float64Array(total)
    this.#kinds = new Uint8Array(total)
  }

  get result(): Pick<Chunks, 'count' | 'starts' | 'places' | 'kinds' | 'sums'> {
    return {
      count: this.#count,
      starts: this.#starts,
      places: this.#places,
      kinds: this.#kinds,
      sums: this.#sums,
    }
  }

  /** Gives the blocks of all chunks. */
  run(start: number): number {
    let position = start
    for (let chunk = 0; chunk < this.#total; chunk++) position = this.#chunk(chunk, position)
    this.#starts[this.#count] = this.#block * this.#blockSize
    return this.#block
  }

  #chunk(chunk: number, position: number): number {
    const { type, blocks, totalSize } = chunkHeader.read(this.#bytes(position, chunkHeader.size, chunk))
    const end = position + totalSize
    const content = totalSize - this.#headerLength
    if (content < 0 || end > this.#store.size) {
      throw corrupt(
        'E_TRUNCATED',
        `${this.#store.name}: chunk ${chunk} takes bytes ${position} to ${end}, but the file ends at byte ` +
          `${this.#store.size}`,
        { details: { position, size: this.#store.size }, hint: hints.incomplete },
      )
    }
    const place = position + this.#headerLength
    switch (type) {
      case chunkType.raw:
        this.#expect(content, blocks * this.#blockSize, chunk, position)
        this.#add(kind.raw, place, blocks)
        break
      case chunkType.fill: {
        this.#expect(content, 4, chunk, position)
        const word = this.#word(place, chunk)
        this.#add(word === 0 ? kind.none : kind.fill, word, blocks)
        break
      }
      case chunkType.dontCare:
        this.#expect(content, 0, chunk, position)
        this.#add(kind.none, -1, blocks)
        break
      case chunkType.crc32:
        // Of everything so far, which only reading all of it could compare.
        this.#expect(content, 4, chunk, position)
        this.#sum(place, chunk)
        break
      default:
        throw unsupported(
          'E_TYPE',
          `${this.#store.name}: chunk ${chunk} at byte ${position} has the unknown type 0x${type.toString(16)}`,
          { details: { position, found: type } },
        )
    }
    return end
  }

  #sum(position: number, chunk: number): void {
    if (this.#sums.length >= mostSums)
      throw corrupt('E_TOO_LARGE', `${this.#store.name}: more than ${mostSums} checksums`)
    this.#sums.push({ end: this.#block * this.#blockSize, crc32: this.#word(position, chunk), position })
  }

  #word(position: number, chunk: number): number {
    return viewOf(this.#bytes(position, 4, chunk)).getUint32(0, true)
  }

  #add(which: number, place: number, blocks: number): void {
    if (blocks === 0) return
    this.#starts[this.#count] = this.#block * this.#blockSize
    this.#places[this.#count] = place
    this.#kinds[this.#count] = which
    this.#count++
    this.#block += blocks
  }

  #expect(found: number, wanted: number, chunk: number, position: number): void {
    if (found === wanted) return
    throw corrupt(
      'E_MAP',
      `${this.#store.name}: chunk ${chunk} at byte ${position} has ${found} bytes of content, expected ${wanted}`,
      { details: { position } },
    )
  }

  #bytes(position: number, length: number, chunk: number): Uint8Array {
    if (position + length > this.#store.size)
      throw corrupt(
        'E_TRUNCATED',
        `${this.#store.name}: chunk ${chunk} would begin at byte ${position}, past the end`,
        {
          details: { position, size: this.#store.size },
        },
      )
    if (position < this.#windowStart || position + length > this.#windowStart + this.#windowLength) {
      this.#windowStart = position
      this.#windowLength = Math.min(windowLength, this.#store.size - position)
      this.#store.read(position, this.#window.subarray(0, this.#windowLength))
    }
    return this.#window.subarray(position - this.#windowStart, position - this.#windowStart + length)
  }
}
