import { createHash } from 'node:crypto'
import type { BadRun } from '../../block/salvage.js'
import type { BlockSource, ByteStore } from '../../block/types.js'
import type { CopyJournal, PlacedChunk } from '../../engine/index.js'
import { isImageError } from '../../errors.js'
import type { JournalFile } from './journal-file.js'
import { ItemWriter, sampleDigestLength, type Sample } from './journal-items.js'

const mebibyte = 1024 * 1024
/** Bytes of the disk after which what was written is brought to the medium, and recorded. */
const stepLength = 24 * mebibyte
/** Bytes of the disk that are begun and not recorded, at most: what a kill costs. */
const mostUnrecorded = 60 * mebibyte
const sampleLength = 65536

export interface JournalingOptions {
  readonly journal: JournalFile
  /** Where the copy begins, in bytes of the disk. */
  readonly start: number
  /** Waits until the medium has everything that was written before. */
  readonly flush: () => Promise<void>
  /** What is copied. */
  readonly source: BlockSource
  /** The files that are written, the first one first. */
  readonly stores: () => readonly ByteStore[]
  /** What could not be read of a range of the disk. */
  readonly bad?: (offset: number, end: number) => readonly BadRun[]
}

/**
 * The journal of a copy: whenever enough was written, that is brought to the medium, and then recorded. What is begun
 * and not recorded stays below a limit.
 */
export class Checkpoints implements CopyJournal {
  readonly start: number
  readonly #options: JournalingOptions
  readonly #chunks: PlacedChunk[] = []
  readonly #written = new Set<PlacedChunk>()
  readonly #waiting: { readonly length: number; readonly go: () => void }[] = []
  /** Chunks that are written, and so are all before them. */
  #ready: PlacedChunk[] = []
  #readyLength = 0
  #unrecorded = 0
  #recorded: number
  #running: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  #stopped = false

  constructor(options: JournalingOptions) {
    this.#options = options
    this.start = this.#recorded = options.start
  }

  /** Up to which offset the disk is recorded. */
  get recorded(): number {
    return this.#recorded
  }

  room(length: number): Promise<void> | undefined {
    this.#assertRecorded()
    if (this.#stopped || (this.#waiting.length === 0 && this.#fits(length))) {
      this.#unrecorded += length
      return undefined
    }
    const waits = new Promise<void>((resolve) => this.#waiting.push({ length, go: resolve }))
    this.#advance()
    return waits.then(() => this.#assertRecorded())
  }

  placed(chunk: PlacedChunk): void {
    this.#chunks.push(chunk)
  }

  written(chunk: PlacedChunk): void {
    this.#written.add(chunk)
    this.#advance()
  }

  stop(): void {
    this.#stopped = true
    for (const { length, go } of this.#waiting.splice(0)) {
      this.#unrecorded += length
      go()
    }
  }

  /** Records everything that is written. Nothing may be under way. @throws ImageError target. */
  async settle(): Promise<void> {
    this.#stopped = true
    while (this.#running !== undefined) await this.#running
    this.#assertRecorded()
    if (this.#ready.length > 0) await this.#begin()
    this.#assertRecorded()
    await this.#options.journal.flush()
  }

  #assertRecorded(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #fits(length: number): boolean {
    return this.#unrecorded === 0 || this.#unrecorded + length <= mostUnrecorded
  }

  #advance(): void {
    for (let chunk = this.#chunks[0]; chunk !== undefined && this.#written.has(chunk); chunk = this.#chunks[0]) {
      this.#chunks.shift()
      this.#written.delete(chunk)
      this.#ready.push(chunk)
      this.#readyLength += chunk.length
    }
    if (this.#running !== undefined || this.#ready.length === 0) return
    const idle = this.#waiting.length > 0 && this.#readyLength === this.#unrecorded
    if (this.#readyLength >= stepLength || idle) void this.#begin()
  }

  #begin(): Promise<void> {
    const chunks = this.#ready
    const length = this.#readyLength
    this.#ready = []
    this.#readyLength = 0
    this.#running = this.#record(chunks)
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .then(() => {
        this.#running = undefined
        this.#unrecorded -= length
        this.#letGo()
        this.#advance()
      })
    return this.#running
  }

  #letGo(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      if (this.#failure === undefined && !this.#fits(first.length)) return
      this.#waiting.shift()
      this.#unrecorded += first.length
      first.go()
    }
  }

  /** The data first, and the last record with it: a power cut loses at most what came after that. */
  async #record(chunks: readonly PlacedChunk[]): Promise<void> {
    const { journal, flush } = this.#options
    const end = chunks.at(-1)?.next ?? this.#recorded
    await Promise.all([flush(), journal.flush()])
    journal.append(this.#payload(chunks, end))
    this.#recorded = end
  }

  #payload(chunks: readonly PlacedChunk[], end: number): Uint8Array {
    const { bad } = this.#options
    const items = new ItemWriter(this.#recorded)
    for (const chunk of chunks) {
      items.add({ kind: 'chunk', chunk })
      if (chunk === this.#sampled(chunks)) this.#addSamples(items, chunk)
    }
    for (const { offset, length } of bad?.(this.#recorded, end) ?? []) items.add({ kind: 'bad', offset, length })
    return items.finish()
  }

  /** One chunk of a record is sampled: the last that has bytes. */
  #sampled(chunks: readonly PlacedChunk[]): PlacedChunk | undefined {
    return chunks.findLast(({ first }) => first !== undefined)
  }

  #addSamples(items: ItemWriter, { offset, length, first }: PlacedChunk): void {
    const { source, stores } = this.#options
    const fromSource = sampleOf(source, offset, Math.min(length, source.capacity - offset))
    if (fromSource !== undefined) items.add({ kind: 'source', sample: fromSource })
    if (first === undefined) return
    const file = stores().indexOf(first.store)
    const sample = file < 0 ? undefined : sampleOf(first.store, first.position, first.length)
    if (sample !== undefined) items.add({ kind: 'target', file, sample })
  }
}

/** Undefined where it cannot be read: bad sectors are read again by nobody. */
function sampleOf(source: Pick<BlockSource, 'read'>, offset: number, length: number): Sample | undefined {
  const bytes = new Uint8Array(Math.min(sampleLength, length))
  try {
    source.read(offset, bytes)
  } catch (error) {
    if (isImageError(error) && error.kind === 'corrupt') return undefined
    throw error
  }
  return { offset, length: bytes.length, digest: sampleDigest(bytes) }
}

export function sampleDigest(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest().subarray(0, sampleDigestLength)
}
