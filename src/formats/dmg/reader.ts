import { safeNumber } from '../../binary/integers.js'
import { lastAtMost } from '../../binary/search.js'
import { extentFaults } from '../../block/extent-faults.js'
import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Codec, Extent, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { codecFor } from '../../codec/registry.js'
import { corrupt, printable, unsupported } from '../../errors.js'
import { compareContent, type CheckOptions, type ContentSums, type DiskImage, type Finding } from '../driver.js'
import { readChunks, type Chunks } from './chunks.js'
import { checkStored, PartSums } from './checksums.js'
import { chunkType, codecOf, sectorLength } from './structs.js'
import type { Table } from './tables.js'
import type { Trailer } from './trailer.js'

const faultUnit = 65536

/** What a DMG is opened from. */
export interface DmgParts {
  readonly store: ByteStore
  /** The files of further segments. */
  readonly others?: readonly ByteStore[]
  /** Where the places of chunks count: the file, or the data of all segments. */
  readonly data?: ByteStore
  readonly trailer: Trailer
  readonly tables: readonly Table[]
  readonly notes?: readonly Note[]
}

/** An Apple disk image (UDIF): chunks, each stored in its own way. */
export class DmgImage extends ExtentSource implements DiskImage {
  readonly format = 'dmg'
  readonly subformat: string
  readonly capacity: number
  readonly grain = sectorLength
  readonly notes: readonly Note[]
  readonly #trailer: Trailer
  readonly #chunks: Chunks
  readonly #codecs = new Map<number, Codec>()

  readonly #others: readonly ByteStore[]

  /** @throws ImageError corrupt E_MAP, E_OVERLAP, E_TOO_LARGE. */
  constructor({ store, others = [], data = store, trailer, tables, notes = trailer.notes }: DmgParts) {
    super(data)
    const chunks = readChunks(store.name, tables, trailer)
    this.#trailer = trailer
    this.#chunks = chunks
    this.#others = [store, ...others]
    const stated = safeNumber(trailer.values.sectorCount * BigInt(sectorLength), `${store.name}: sector count`)
    this.capacity = Math.max(stated, chunks.end)
    this.notes =
      stated === chunks.end
        ? notes
        : [
            ...notes,
            {
              code: 'W_SECTOR_COUNT',
              message:
                `${store.name}: the trailer says that the disk has ${stated} bytes, its tables ${chunks.end}; the ` +
                'larger is used',
            },
          ]
    this.subformat = subformatOf(chunks)
  }

  protected runAt(offset: number, end: number): Extent {
    const { starts, lengths, types, positions, storedLengths } = this.#chunks
    const chunk = lastAtMost(starts, starts.length, offset)
    const start = starts[chunk] ?? 0
    const stop = start + (lengths[chunk] ?? 0)
    // Between chunks there is nothing.
    if (chunk < 0 || offset >= stop)
      return { kind: 'zero', offset, length: Math.min(end, starts[chunk + 1] ?? Infinity) - offset }
    const length = Math.min(end, stop) - offset
    const type = types[chunk] ?? 0
    if (type === chunkType.zero || type === chunkType.ignore) return { kind: 'zero', offset, length }
    const position = positions[chunk] ?? 0
    const storedLength = storedLengths[chunk] ?? 0
    this.#checkPlace(start, position, storedLength)
    if (type === chunkType.raw)
      return { kind: 'data', offset, length, store: this.store, position: position + (offset - start) }
    return {
      kind: 'packed',
      offset,
      length,
      store: this.store,
      position,
      storedLength,
      codec: this.#codec(type, start),
      unitOffset: start,
      unitLength: stop - start,
    }
  }

  describe(): Section[] {
    const { values, position, rows } = this.#trailer
    const { starts, parts } = this.#chunks
    return [
      {
        title: 'DMG',
        facts: [
          ...(position === Infinity
            ? [{ name: 'segments', value: this.#others.length, unit: 'count' as const }]
            : [{ name: 'trailerPosition', label: 'trailer at', value: position, unit: 'bytes' as const }]),
          { name: 'chunks', value: starts.length, unit: 'count' },
          { name: 'variant', value: values.imageVariant === 2 ? 'a partition' : 'a device' },
          ...parts.slice(0, 32).map(({ name, start, length }, index) => ({
            name: `part${index}`,
            label: `part ${index}`,
            value: `${printable(name)}: ${length} bytes at ${start}`,
          })),
        ],
        fields: rows,
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    let isWhole = true
    let last = ''
    for (const item of extentFaults(this, faultUnit, deep)) {
      if (!('error' in item)) {
        yield item
        continue
      }
      isWhole = false
      // One fault of a chunk is met once for every piece of it.
      if (item.error.message === last) continue
      last = item.error.message
      yield {
        severity: 'error',
        code: item.error.code,
        structure: `chunk at guest offset ${item.offset}`,
        message: item.error.message,
      }
    }
    if (!deep || !isWhole) return
    yield* compareContent(this, new PartSums(this.#chunks, 0, this.capacity))
    yield* checkStored(this.store, this.#trailer, this.#chunks)
  }

  contentSums(offset: number, length: number): ContentSums | undefined {
    const sums = new PartSums(this.#chunks, offset, length)
    return sums.start < sums.end ? sums : undefined
  }

  *verify(offset: number, length: number): Work<void, Finding> {
    if (offset === 0 && length >= this.capacity) yield* checkStored(this.store, this.#trailer, this.#chunks)
  }

  override [Symbol.dispose](): void {
    for (const store of this.#others) store[Symbol.dispose]()
  }

  #checkPlace(offset: number, position: number, length: number): void {
    const { position: trailer, plist } = this.#trailer
    const what = `the chunk for guest offset ${offset} takes bytes ${position} to ${position + length}`
    const details = { position, offset }
    if (position + length > this.store.size)
      throw corrupt('E_TRUNCATED', `${this.store.name}: ${what}, but the file ends at byte ${this.store.size}`, {
        details,
      })
    const upon = (start: number, size: number): boolean => position < start + size && position + length > start
    if (upon(trailer, 512) || (plist !== undefined && upon(plist.position, plist.length)))
      throw corrupt('E_OVERLAP', `${this.store.name}: ${what}, upon the trailer or the property list`, { details })
  }

  #codec(type: number, offset: number): Codec {
    const kept = this.#codecs.get(type)
    if (kept !== undefined) return kept
    const id = codecOf.get(type)
    if (id === undefined)
      throw unsupported(
        'E_CODEC',
        `${this.store.name}: the chunk for guest offset ${offset} has the unknown type 0x${type.toString(16)}`,
      )
    const codec = codecFor(id)
    this.#codecs.set(type, codec)
    return codec
  }
}

/** What hdiutil calls an image with chunks of this type. */
const names: ReadonlyMap<number, string> = new Map([
  [chunkType.adc, 'UDCO'],
  [chunkType.zlib, 'UDZO'],
  [chunkType.bzip2, 'UDBZ'],
  [chunkType.lzfse, 'ULFO'],
  [chunkType.lzma, 'ULMO'],
])

function subformatOf({ types }: Chunks): string {
  const packed = types.find((type) => names.has(type))
  return (packed === undefined ? undefined : names.get(packed)) ?? 'UDRO'
}
