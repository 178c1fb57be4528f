import type { BadRun } from '../../block/salvage.js'
import type { CopyTarget } from '../../block/image-writer.js'
import type { BlockSource, ByteStore } from '../../block/types.js'
import { placeRuns, type PlacedChunk, type Placement } from '../../engine/index.js'
import type { BlockDigests, PartDigests } from '../../engine/copy.js'
import { isImageError } from '../../errors.js'
import { sampleDigest } from './checkpoints.js'
import type { JournalFile } from './journal-file.js'
import { ItemReader, JournalFault, type JournalItem, type Sample } from './journal-items.js'

/** A store whose bytes a journal speaks of. */
export interface JournaledStore extends ByteStore {
  /** As `flush`, of what was written so far, without keeping the thread waiting. */
  flushLater?(): Promise<void>
  /** Behind `end` it is as new, from now on; returns the size that it had. Absent: that is of no importance. */
  settle?(end: number): number
}

/** The source has other bytes than were copied. */
export class SourceFault extends Error {}

export interface ReplayOptions {
  readonly journal: JournalFile
  readonly writer: CopyTarget
  readonly source: BlockSource
  readonly stores: () => readonly JournaledStore[]
  readonly digests?: BlockDigests
  readonly parts?: PartDigests
  /** Takes what could not be read. */
  readonly bad?: (run: BadRun) => void
}

/** About so many records are held against the source and the files; the last ones in any case. */
const checkedRecords = 256
const lastRecords = 4

/**
 * Asks the writer again for everything that a journal says was placed, in the same order, so that it is as it was then;
 * the bytes are in the files already. Returns where the copy goes on.
 * @throws JournalFault where the journal cannot be of these files; SourceFault; those of the writer.
 */
export function replay(options: ReplayOptions): number {
  const { journal, writer } = options
  let count = 0
  for (const payload of journal.records()) count += payload.length > 0 ? 1 : 0
  const every = Math.max(1, Math.ceil(count / checkedRecords))
  // Units of the end may be longer than the disk.
  const items = new ItemReader(writer.capacity)
  const again = new Replaying(options)
  let index = 0
  for (const payload of journal.records()) {
    const checks = index % every === 0 || index >= count - lastRecords
    for (const item of items.items(payload)) again.take(item, checks)
    index++
  }
  again.settle()
  return items.next
}

class Replaying {
  readonly #options: ReplayOptions
  /** Where the placed bytes of each file end. */
  readonly #ends = new Map<ByteStore, number>()
  #first: Placement | undefined
  #chunk: PlacedChunk | undefined

  constructor(options: ReplayOptions) {
    this.#options = options
  }

  take(item: JournalItem, checks: boolean): void {
    const { bad } = this.#options
    if (item.kind === 'chunk') this.#place(item.chunk)
    else if (item.kind === 'bad') bad?.(item)
    else if (item.kind === 'source' && checks) this.#checkSource(item.sample)
    else if (item.kind === 'target') this.#checkTarget(item.file, item.sample, checks)
  }

  /** What is behind the placed bytes of each file is as in a new one. */
  settle(): void {
    for (const store of this.#options.stores()) {
      const end = this.#ends.get(store) ?? 0
      const size = store.settle?.(end)
      if (size !== undefined && size < end)
        throw new JournalFault(`${store.name} has ${size} bytes, and ${end} of them are placed`)
    }
  }

  #place(chunk: PlacedChunk): void {
    const { writer, source, digests, parts } = this.#options
    this.#chunk = chunk
    // The last chunk may be longer than the disk: a format may round it up.
    digests?.add(chunk.offset, Math.min(chunk.length, source.capacity - chunk.offset), chunk.digests ?? [])
    if (chunk.parts !== undefined) parts?.take(chunk.offset, chunk.parts)
    this.#first = placeRuns(writer, chunk.offset, chunk.runs, (store, position, _at, length) => {
      store.grown?.(position + length)
      this.#ends.set(store, Math.max(this.#ends.get(store) ?? 0, position + length))
    })
  }

  #checkSource({ offset, length, digest }: Sample): void {
    const bytes = new Uint8Array(length)
    try {
      this.#options.source.read(offset, bytes)
    } catch (error) {
      if (!isImageError(error) || error.code !== 'E_READ') throw error
      throw new SourceFault(`bytes ${offset} to ${offset + length} of its disk can no longer be read`)
    }
    if (!Buffer.from(sampleDigest(bytes)).equals(digest))
      throw new SourceFault(`bytes ${offset} to ${offset + length} of its disk are others`)
  }

  /** The sample is what the last chunk begins with, in the file where the writer has put it. */
  #checkTarget(file: number, { offset, length, digest }: Sample, reads: boolean): void {
    const store = this.#options.stores()[file]
    const first = this.#first
    if (store === undefined || first?.store !== store || first.position !== offset || length > first.length)
      throw new JournalFault(`a sample that is not where byte ${this.#chunk?.offset ?? 0} of the disk was placed`)
    if (!reads) return
    const bytes = new Uint8Array(length)
    try {
      store.read(offset, bytes)
    } catch (error) {
      if (isImageError(error) && error.code === 'E_TRUNCATED') throw new JournalFault(`${store.name} ends too early`)
      throw error
    }
    if (!Buffer.from(sampleDigest(bytes)).equals(digest))
      throw new JournalFault(`${store.name} has other bytes at byte ${offset}`)
  }
}
