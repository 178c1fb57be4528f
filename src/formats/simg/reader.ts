import type { Work } from '../../block/work.js'
import { crc32 } from 'node:zlib'
import { extentFaults } from '../../block/extent-faults.js'
import { ExtentSource } from '../../block/extent-source.js'
import { MemoryStore } from '../../block/memory-store.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import type { CheckOptions, DiskImage, Finding } from '../driver.js'
import { kind, readChunks, type Chunks } from './chunks.js'

/** Bytes of a repeated word that one extent covers. */
const fillLength = 65536
const keptFills = 64

/** An Android sparse image: chunks of bytes, of a repeated word, and of nothing, in the order of the disk. */
export class SparseImage extends ExtentSource implements DiskImage {
  readonly format = 'simg'
  readonly subformat = 'sparse'
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[] = []
  readonly #chunks: Chunks
  readonly #fills = new Map<number, MemoryStore>()

  constructor(store: ByteStore) {
    super(store)
    this.#chunks = readChunks(store)
    this.capacity = this.#chunks.capacity
    this.grain = this.#chunks.blockSize
  }

  protected runAt(offset: number, end: number): Extent {
    const { starts, places, kinds } = this.#chunks
    const chunk = this.#find(offset)
    const start = starts[chunk] ?? 0
    const length = Math.min(end, starts[chunk + 1] ?? 0) - offset
    const place = places[chunk] ?? 0
    switch (kinds[chunk]) {
      case kind.raw:
        return { kind: 'data', offset, length, store: this.store, position: place + (offset - start) }
      case kind.fill: {
        const within = offset % 4
        return {
          kind: 'data',
          offset,
          length: Math.min(length, fillLength - within),
          store: this.#filled(place),
          position: within,
        }
      }
      default:
        return { kind: 'zero', offset, length }
    }
  }

  describe(): Section[] {
    const { blockSize, count, rows } = this.#chunks
    return [
      {
        title: 'Android sparse image',
        facts: [
          { name: 'blockSize', value: blockSize, unit: 'bytes' },
          { name: 'chunks', value: count, unit: 'count' },
        ],
        fields: rows,
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    for (const item of extentFaults(this, this.#chunks.blockSize, deep))
      if ('error' in item)
        yield { severity: 'error', code: item.error.code, structure: 'chunk', message: item.error.message }
      else yield item
    if (deep) yield* this.#checksum()
  }

  /** The checksum of the header, where there is one, is over the whole disk. */
  *#checksum(): Work<void, Finding> {
    const recorded = this.#chunks.rows.find(({ name }) => name === 'imageChecksum')?.value
    if (recorded === 0 || recorded === undefined) return
    let sum = 0
    const piece = new Uint8Array(fillLength * 16)
    for (let offset = 0; offset < this.capacity; offset += piece.length) {
      const bytes = piece.subarray(0, Math.min(piece.length, this.capacity - offset))
      this.read(offset, bytes)
      sum = crc32(bytes, sum)
      yield { done: offset, total: this.capacity }
    }
    if (sum !== recorded)
      yield {
        severity: 'error',
        code: 'E_CHECKSUM',
        structure: 'header',
        position: 24,
        message:
          `the checksum of the disk is 0x${sum.toString(16)}, the header says ` + `0x${Number(recorded).toString(16)}`,
      }
  }

  #find(offset: number): number {
    const { starts, count } = this.#chunks
    let low = 0
    let high = count - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((starts[middle] ?? Infinity) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  #filled(word: number): MemoryStore {
    const kept = this.#fills.get(word)
    if (kept !== undefined) return kept
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(word)
    const store = new MemoryStore(Buffer.alloc(fillLength, bytes), this.store.name)
    if (this.#fills.size >= keptFills) this.#fills.clear()
    this.#fills.set(word, store)
    return store
  }
}
