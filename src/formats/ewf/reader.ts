import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { codecFor } from '../../codec/registry.js'
import { corrupt, isImageError, printable, type ImageError } from '../../errors.js'
import type { CheckOptions, ContentSums, DiskImage, FileReference, Finding } from '../driver.js'
import { decodeUnit } from '../../block/read.js'
import { ReusedMemory } from '../../block/reused-memory.js'
import type { Acquisition } from './acquisition.js'
import { ChunkTables, type StoredChunk } from './chunk-tables.js'
import { RecordedDigests } from './digests.js'

const mostFaults = 4096
const chunksPerStep = 256

export interface EwfOptions {
  /** The stores of the further segments, which the image closes, and their names. */
  readonly others: readonly ByteStore[]
  readonly names: readonly string[]
  /** Why there are none. */
  readonly missing?: ImageError
}

/** An image of a forensic acquisition: chunks of one size, each compressed or with a checksum, in one or more files. */
export class EwfImage extends ExtentSource implements DiskImage {
  readonly format = 'ewf'
  readonly subformat: string
  readonly capacity: number
  readonly grain: number
  readonly notes: Note[]
  readonly references: readonly FileReference[]
  readonly unreadable?: ImageError
  override readonly sectorSize: 512 | 4096
  readonly #acquisition: Acquisition
  readonly #tables: ChunkTables
  readonly #others: readonly ByteStore[]
  readonly #chunk: StoredChunk = {
    store: undefined,
    position: 0,
    length: 0,
    packed: false,
    summed: false,
    pattern: false,
  }
  readonly #packed: 'zlib' | 'bzip2-unit'
  readonly #stored = new ReusedMemory()

  constructor(store: ByteStore, acquisition: Acquisition, { others, names, missing }: EwfOptions) {
    super(store)
    const { media } = acquisition
    this.#acquisition = acquisition
    this.#others = others
    this.references = names.map((path) => ({ role: 'extent', path }))
    this.unreadable = missing
    this.capacity = media.capacity
    this.grain = media.chunkSize
    this.sectorSize = media.bytesPerSector === 4096 ? 4096 : 512
    this.subformat = media.kind
    this.notes = [...acquisition.notes]
    this.#packed = media.compression === 'bzip2' ? 'bzip2-unit' : 'zlib'
    this.#tables = new ChunkTables(acquisition.tables, (message) => {
      this.notes.push({ code: 'W_TABLE_COPY', message })
    })
  }

  protected runAt(offset: number, end: number): Extent {
    if (this.unreadable !== undefined) throw this.unreadable
    const { chunkSize } = this.#acquisition.media
    const index = Math.floor(offset / chunkSize)
    const chunk = this.#chunk
    if (!this.#tables.find(index, chunk) || chunk.store === undefined)
      throw corrupt('E_MAP', `${this.store.name}: chunk ${index} is in no table: the image is incomplete`, {
        details: { chunk: index, offset, missing: true },
        hint: 'It may have been interrupted while it was made. Nothing is read in place of what is missing.',
      })
    const { store, position } = chunk
    const unitOffset = index * chunkSize
    const unitLength = Math.min(chunkSize, this.capacity - unitOffset)
    const length = Math.min(end, unitOffset + unitLength) - offset
    if (!chunk.packed && !chunk.summed) {
      if (chunk.length < unitLength) throw this.#badLength(index, chunk, unitLength)
      return { kind: 'data', offset, length, store, position: position + offset - unitOffset }
    }
    const { storedLength, codec } = this.#packing(index, chunk, unitLength)
    return {
      kind: 'packed',
      offset,
      length,
      store,
      position,
      storedLength,
      codec: codecFor(codec),
      unitOffset,
      unitLength,
    }
  }

  /** Of a chunk that is compressed, or followed by its checksum: its bytes in the file, and what decodes them. */
  #packing(
    index: number,
    chunk: StoredChunk,
    unitLength: number,
  ): { readonly storedLength: number; readonly codec: string } {
    const { chunkSize } = this.#acquisition.media
    if (!chunk.packed) {
      const storedLength = Math.min(chunk.length, chunkSize + 4)
      if (storedLength < unitLength + 4) throw this.#badLength(index, chunk, unitLength)
      return { storedLength, codec: 'stored-adler32' }
    }
    // zlib and bzip2 make little more of what they cannot compress; sections may be padded behind their last chunk.
    if (chunk.length > 2 * chunkSize + 65536) throw this.#badLength(index, chunk, unitLength)
    const isTail = unitLength < chunkSize && this.#packed === 'zlib'
    return { storedLength: chunk.length, codec: chunk.pattern ? 'pattern' : isTail ? 'zlib-tail' : this.#packed }
  }

  describe(): Section[] {
    const { media, facts, badRanges, md5, sha1 } = this.#acquisition
    return [
      {
        title: 'Acquisition',
        facts: [
          ...facts,
          { name: 'media', value: media.type },
          ...(media.isPhysical === undefined
            ? []
            : [{ name: 'imaged', value: media.isPhysical ? 'a whole disk' : 'a volume' }]),
          { name: 'md5', label: 'MD5', value: md5 ?? 'not recorded' },
          { name: 'sha1', label: 'SHA-1', value: sha1 ?? 'not recorded' },
          {
            name: 'unreadableSectors',
            value: badRanges.reduce((sum, { count }) => sum + count, 0),
            unit: 'count',
          },
          {
            name: 'errorGranularity',
            value: media.errorGranularity === 0 ? 'not recorded' : `${media.errorGranularity} sectors`,
          },
        ],
      },
      {
        title: 'EWF',
        facts: [
          { name: 'segments', value: this.references.length + 1, unit: 'count' },
          { name: 'chunkSize', value: media.chunkSize, unit: 'bytes' },
          { name: 'chunks', value: media.chunks, unit: 'count' },
          { name: 'sectorSize', value: media.bytesPerSector, unit: 'bytes' },
          { name: 'compression', value: media.compression },
          ...(media.setIdentifier === undefined ? [] : [{ name: 'setId', value: printable(media.setIdentifier) }]),
        ],
        fields: media.rows,
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    const reported = new Set<string>()
    for (const { error, isCopy } of this.#tables.faults()) {
      reported.add(error.message)
      yield {
        severity: isCopy ? 'warning' : 'error',
        code: isCopy ? 'W_TABLE_COPY' : 'E_CHECKSUM',
        structure: 'table of chunks',
        position: error.details['position'] as number,
        message: error.message,
      }
    }
    const digests = deep ? new RecordedDigests(this.#acquisition) : undefined
    const isWhole = yield* this.#checkChunks(reported, digests)
    if (digests !== undefined && isWhole) yield* digests.findings()
  }

  /** The digests of the whole disk; of a part of it there are none. */
  contentSums(offset: number, length: number): ContentSums | undefined {
    const digests = new RecordedDigests(this.#acquisition)
    return offset > 0 || length < this.capacity || digests.count === 0 ? undefined : digests
  }

  /**
   * Every chunk. Gives whether all can be read. @param reported messages that are not given again.
   * @param digests take what the chunks hold; undefined: they are not decoded.
   */
  *#checkChunks(reported: Set<string>, digests: RecordedDigests | undefined): Work<boolean, Finding> {
    const { chunkSize } = this.#acquisition.media
    let faults = 0
    let isMissing = false
    const content = new Uint8Array(chunkSize)
    for (let offset = 0, steps = 0; offset < this.capacity && faults < mostFaults; offset += chunkSize) {
      if (++steps % chunksPerStep === 0) yield { done: offset, total: this.capacity }
      try {
        const extent = this.extentAt(offset, chunkSize)
        isMissing = false
        digests?.take(offset, this.#decoded(extent, content))
      } catch (error) {
        if (!isImageError(error)) throw error
        faults++
        // Of a run of missing chunks the first is reported.
        const wasMissing = isMissing
        isMissing = error.details['missing'] === true
        if (error === this.unreadable || (wasMissing && isMissing) || reported.has(error.message)) continue
        reported.add(error.message)
        yield {
          severity: 'error',
          code: error.code,
          structure: `chunk ${offset / chunkSize}`,
          message: error.message,
        }
      }
    }
    return faults === 0
  }

  /** What a whole chunk holds. @param content memory for it, which is used again. */
  #decoded(extent: Extent, content: Uint8Array): Uint8Array {
    const bytes = content.subarray(0, extent.length)
    if (extent.kind === 'packed') decodeUnit(extent, bytes, this.#stored.take(extent.storedLength))
    else this.read(extent.offset, bytes)
    return bytes
  }

  #badLength(index: number, { position, length }: StoredChunk, expected: number): ImageError {
    return corrupt('E_MAP', `${this.store.name}: chunk ${index} has ${length} bytes for ${expected} of the disk`, {
      details: { position, chunk: index },
    })
  }

  override [Symbol.dispose](): void {
    super[Symbol.dispose]()
    for (const store of this.#others) store[Symbol.dispose]()
  }
}
