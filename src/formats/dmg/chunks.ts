import { safeNumber } from '../../binary/integers.js'
import { corrupt } from '../../errors.js'
import { chunkEntry, chunkType, codecOf, sectorLength, tableHeader } from './structs.js'
import type { Table } from './tables.js'
import type { Trailer } from './trailer.js'

/** All chunks of all parts that hold something, in the order of the disk. Positions and lengths in bytes. */
export interface Chunks {
  readonly starts: Float64Array
  readonly lengths: Float64Array
  readonly types: Uint32Array
  readonly positions: Float64Array
  readonly storedLengths: Float64Array
  /** The number of the part that each is of. */
  readonly owners: Uint32Array
  /** Bytes up to the end of the last part. */
  readonly end: number
  readonly parts: readonly Part[]
}

/** A part of the disk. */
export interface Part {
  readonly name: string
  readonly start: number
  readonly length: number
  readonly checksumType: number
  readonly checksum: number
}

const mostChunks = 4 * 1024 * 1024
/** As QEMU: larger chunks would have to be held in memory whole. */
const largestChunk = 64 * 1024 * 1024

/** @throws ImageError corrupt E_MAP, E_OVERLAP, E_TOO_LARGE. */
export function readChunks(name: string, tables: readonly Table[], trailer: Trailer): Chunks {
  const collector = new Collector(name, trailer)
  for (const [index, table] of tables.entries()) collector.add(table, index)
  return collector.sorted()
}

interface Chunk {
  readonly owner: number
  readonly start: number
  readonly length: number
  readonly type: number
  readonly position: number
  readonly storedLength: number
}

class Collector {
  readonly #name: string
  readonly #trailer: Trailer
  readonly #chunks: Chunk[] = []
  readonly #parts: Part[] = []
  #end = 0

  constructor(name: string, trailer: Trailer) {
    this.#name = name
    this.#trailer = trailer
  }

  add(table: Table, index: number): void {
    const what = `the table of chunks ${index}`
    if (table.bytes.length < tableHeader.size) throw this.#bad(`${what} has only ${table.bytes.length} bytes`)
    const header = tableHeader.read(table.bytes)
    if (header.signature !== 'mish') throw this.#bad(`${what} does not begin with "mish"`)
    const first = this.#bytes(header.firstSector, what)
    const length = this.#bytes(header.sectorCount, what)
    const available = Math.floor((table.bytes.length - tableHeader.size) / chunkEntry.size)
    if (header.chunkCount > available)
      throw this.#bad(`${what} has ${header.chunkCount} entries and room for ${available}`)
    if (this.#chunks.length + header.chunkCount > mostChunks)
      throw corrupt('E_TOO_LARGE', `${this.#name}: more than ${mostChunks} chunks`)
    this.#end = Math.max(this.#end, first + length)
    const { checksum, checksumType } = header
    this.#parts.push({ name: table.name, start: first, length, checksum, checksumType })
    const base = this.#trailer.dataFork + safeNumber(header.dataOffset, `${this.#name}: ${what}: data offset`)
    for (let entry = 0; entry < header.chunkCount; entry++) {
      const values = chunkEntry.read(table.bytes, tableHeader.size + entry * chunkEntry.size)
      if (values.type === chunkType.end) break
      if (values.type === chunkType.comment) continue
      this.#chunk(values, `${what}, entry ${entry}`, { owner: index, base, first, length })
    }
  }

  #chunk(
    values: ReturnType<typeof chunkEntry.read>,
    what: string,
    part: { readonly owner: number; readonly base: number; readonly first: number; readonly length: number },
  ): void {
    const within = this.#bytes(values.firstSector, what)
    const length = this.#bytes(values.sectorCount, what)
    if (length === 0) return
    if (within + length > part.length) throw this.#bad(`${what}, passes the end of its part of the disk`)
    const { type } = values
    const { owner } = part
    const start = part.first + within
    if (type === chunkType.zero || type === chunkType.ignore) {
      this.#chunks.push({ owner, start, length, type, position: 0, storedLength: 0 })
      return
    }
    const position = part.base + safeNumber(values.offset, `${this.#name}: ${what}: offset`)
    const storedLength = safeNumber(values.length, `${this.#name}: ${what}: length`)
    if (type === chunkType.raw && storedLength !== length)
      throw this.#bad(`${what}, stores ${storedLength} bytes for ${length}`)
    if (codecOf.has(type) && (length > largestChunk || storedLength > 2 * largestChunk))
      throw corrupt('E_TOO_LARGE', `${this.#name}: ${what}, holds ${length} bytes, more than the 64 MiB allowed`)
    this.#chunks.push({ owner, start, length, type, position, storedLength })
  }

  sorted(): Chunks {
    const chunks = this.#chunks.sort((left, right) => left.start - right.start)
    for (const [index, chunk] of chunks.entries()) {
      const before = chunks[index - 1]
      if (before === undefined || before.start + before.length <= chunk.start) continue
      throw corrupt(
        'E_OVERLAP',
        `${this.#name}: two chunks hold the guest bytes at offset ${chunk.start}: which of them counts is not known`,
        { details: { offset: chunk.start } },
      )
    }
    return {
      starts: Float64Array.from(chunks, ({ start }) => start),
      lengths: Float64Array.from(chunks, ({ length }) => length),
      types: Uint32Array.from(chunks, ({ type }) => type),
      positions: Float64Array.from(chunks, ({ position }) => position),
      storedLengths: Float64Array.from(chunks, ({ storedLength }) => storedLength),
      owners: Uint32Array.from(chunks, ({ owner }) => owner),
      end: this.#end,
      parts: this.#parts,
    }
  }

  #bytes(sectors: bigint, what: string): number {
    return safeNumber(sectors * BigInt(sectorLength), `${this.#name}: ${what}: sectors`)
  }

  #bad(message: string): Error {
    return corrupt('E_MAP', `${this.#name}: ${message}`)
  }
}
