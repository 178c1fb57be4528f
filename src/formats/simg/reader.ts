import type { Work } from '../../block/work.js'
import { lastAtMost } from '../../binary/search.js'
import { extentFaults } from '../../block/extent-faults.js'
import { ExtentSource } from '../../block/extent-source.js'
import { MemoryStore } from '../../block/memory-store.js'
import type { Extent, Note, Section } from '../../block/types.js'
import { compareContent, type CheckOptions, type ContentSums, type DiskImage, type Finding } from '../driver.js'
import { SparseSums } from './checksums.js'
import { kind } from './chunks.js'
import { joinedChunks, type JoinedChunks, type SparsePart } from './joined.js'

/** Bytes of a repeated word that one extent covers. */
const fillLength = 65536
const keptFills = 64

/** An Android sparse image: chunks of bytes, of a repeated word, and of nothing, in the order of the disk. */
export class SparseImage extends ExtentSource implements DiskImage {
  readonly format = 'simg'
  readonly subformat: string
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  readonly #parts: readonly SparsePart[]
  readonly #chunks: JoinedChunks
  readonly #fills = new Map<number, MemoryStore>()

  /** @param parts the first one's store is the image's own. @throws ImageError corrupt E_MAP, E_OVERLAP. */
  constructor(parts: readonly [SparsePart, ...SparsePart[]], notes: readonly Note[] = []) {
    super(parts[0].store)
    const [{ chunks }] = parts
    this.#parts = parts
    this.#chunks = parts.length === 1 ? { ...chunks, owners: new Uint16Array(chunks.count) } : joinedChunks(parts)
    this.subformat = parts.length === 1 ? 'sparse' : 'parts'
    this.capacity = chunks.capacity
    this.grain = chunks.blockSize
    this.notes = notes
  }

  protected runAt(offset: number, end: number): Extent {
    const { starts, places, kinds, owners, count } = this.#chunks
    const chunk = lastAtMost(starts, count, offset)
    const start = starts[chunk] ?? 0
    const length = Math.min(end, starts[chunk + 1] ?? 0) - offset
    const place = places[chunk] ?? 0
    switch (kinds[chunk]) {
      case kind.raw: {
        const store = this.#parts[owners[chunk] ?? 0]?.store ?? this.store
        return { kind: 'data', offset, length, store, position: place + (offset - start) }
      }
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
    const [first] = this.#parts
    return [
      {
        title: 'Android sparse image',
        facts: [
          { name: 'blockSize', value: this.grain, unit: 'bytes' },
          { name: 'chunks', value: this.#parts.reduce((sum, { chunks }) => sum + chunks.count, 0), unit: 'count' },
          { name: 'parts', value: this.#parts.length, unit: 'count' },
        ],
        fields: first?.chunks.rows ?? [],
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    for (const item of extentFaults(this, this.grain, deep))
      if ('error' in item)
        yield { severity: 'error', code: item.error.code, structure: 'chunk', message: item.error.message }
      else yield item
    if (deep) yield* this.#checkSums()
  }

  /** The checksums are over all of the disk from its start, whatever range is read. */
  contentSums(): ContentSums | undefined {
    const [part, ...others] = this.#parts
    if (part === undefined || others.length > 0) return undefined
    const sums = new SparseSums(part)
    return sums.count > 0 ? sums : undefined
  }

  /** Those of several parts are each over a disk of their own. */
  *verify(): Work<void, Finding> {
    if (this.#parts.length > 1) yield* this.#checkSums()
  }

  *#checkSums(): Work<void, Finding> {
    for (const part of this.#parts)
      yield* compareContent(this.#parts.length === 1 ? this : new SparseImage([part]), new SparseSums(part))
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

  override [Symbol.dispose](): void {
    for (const { store } of this.#parts) store[Symbol.dispose]()
  }
}
