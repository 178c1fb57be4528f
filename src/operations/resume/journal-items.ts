import type { PlacedChunk, PlacementRun } from '../../engine/index.js'

/** A place whose bytes are remembered by the first half of their SHA-256. Bytes. */
export interface Sample {
  readonly offset: number
  readonly length: number
  readonly digest: Uint8Array
}

/** What a record of a journal says, one after the other. */
export type JournalItem =
  | { readonly kind: 'chunk'; readonly chunk: PlacedChunk }
  /** A piece of the source's disk. */
  | { readonly kind: 'source'; readonly sample: Sample }
  /** A piece of the files that are written, counted from the first: what the last chunk before it begins with. */
  | { readonly kind: 'target'; readonly file: number; readonly sample: Sample }
  /** A run of the source that could not be read. */
  | { readonly kind: 'bad'; readonly offset: number; readonly length: number }
  /** The files are complete, and about to get their names. JSON. */
  | { readonly kind: 'placing'; readonly text: string }

const kinds = ['chunk', 'source', 'target', 'bad', 'placing'] as const
const runKinds = ['data', 'zero', 'packed'] as const
const digestLength = 32
export const sampleDigestLength = 16

/** A record cannot be what vdisk wrote, though its check is right. */
export class JournalFault extends Error {}

/** Puts items into the payload of one record. */
export class ItemWriter {
  readonly #bytes: number[] = []
  readonly #parts: Uint8Array[] = []
  #next: number

  /** @param next where the last chunk before this record ended. */
  constructor(next: number) {
    this.#next = next
  }

  add(item: JournalItem): void {
    this.#number(kinds.indexOf(item.kind))
    if (item.kind === 'chunk') this.#chunk(item.chunk)
    else if (item.kind === 'placing') {
      const text = Buffer.from(item.text)
      this.#number(text.length)
      this.#raw(text)
    } else if (item.kind === 'bad') {
      this.#number(item.offset)
      this.#number(item.length)
    } else {
      if (item.kind === 'target') this.#number(item.file)
      this.#number(item.sample.offset)
      this.#number(item.sample.length)
      this.#raw(item.sample.digest)
    }
  }

  finish(): Uint8Array {
    this.#close()
    return Buffer.concat(this.#parts)
  }

  #chunk({ offset, length, next, runs, digests = [], parts }: PlacedChunk): void {
    this.#number(offset - Math.min(offset, this.#next))
    // A chunk that begins in the middle of a unit goes back to the unit's start.
    this.#number(this.#next - Math.min(offset, this.#next))
    this.#number(length)
    this.#number(next - offset)
    this.#next = next
    this.#number(runs.length)
    let end = 0
    for (const run of runs) {
      this.#number(runKinds.indexOf(run.kind))
      this.#number(run.at - end)
      this.#number(run.length)
      if (run.kind === 'packed') this.#number(run.storedLength)
      end = run.at + run.length
    }
    this.#number(digests.length)
    for (const digest of digests) this.#raw(digest)
    this.#number(parts?.length ?? 0)
    if (parts !== undefined) this.#raw(parts)
  }

  /** Seven bits a byte, the lowest first. */
  #number(value: number): void {
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#bytes.push((rest % 128) + 128)
    this.#bytes.push(rest)
  }

  #raw(bytes: Uint8Array): void {
    this.#close()
    this.#parts.push(bytes)
  }

  #close(): void {
    if (this.#bytes.length > 0) this.#parts.push(Uint8Array.from(this.#bytes))
    this.#bytes.length = 0
  }
}

/** Reads what {@link ItemWriter} wrote. Nothing in it is believed: every number is within the disk. */
export class ItemReader {
  readonly #capacity: number
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #next = 0

  /** @param capacity bytes of the disk, as the target holds it. */
  constructor(capacity: number) {
    this.#capacity = capacity
  }

  /** Where the last chunk ended. */
  get next(): number {
    return this.#next
  }

  /** The items of the next record. @throws JournalFault */
  *items(payload: Uint8Array): Generator<JournalItem, void> {
    this.#bytes = payload
    this.#at = 0
    while (this.#at < payload.length) yield this.#item()
  }

  #item(): JournalItem {
    const kind = kinds[this.#number()]
    if (kind === 'chunk') return { kind, chunk: this.#chunk() }
    if (kind === 'source') return { kind, sample: this.#sample(this.#capacity) }
    if (kind === 'target') return { kind, file: this.#number(), sample: this.#sample(Number.MAX_SAFE_INTEGER) }
    if (kind === 'bad') {
      const offset = this.#number()
      const length = this.#number()
      if (length === 0 || offset + length > this.#capacity) throw new JournalFault('a range that is not on the disk')
      return { kind, offset, length }
    }
    if (kind === 'placing') return { kind, text: Buffer.from(this.#raw(this.#number())).toString() }
    throw new JournalFault('an item of an unknown kind')
  }

  #sample(end: number): Sample {
    const offset = this.#number()
    const length = this.#number()
    if (length === 0 || length > 65536 || offset + length > end) throw new JournalFault('a sample of nothing')
    return { offset, length, digest: this.#raw(sampleDigestLength) }
  }

  #chunk(): PlacedChunk {
    const ahead = this.#number()
    const back = this.#number()
    const offset = this.#next + ahead - back
    const length = this.#number()
    const next = offset + this.#number()
    if (offset < 0 || length === 0 || next <= this.#next || next > this.#capacity || offset + length > this.#capacity)
      throw new JournalFault(`a chunk at byte ${offset} that does not follow on the one before it`)
    const runs: PlacementRun[] = []
    const count = this.#number()
    let end = 0
    for (let index = 0; index < count; index++) {
      const run = this.#run(end)
      end = run.at + run.length
      // The last unit of the disk may be longer than the disk.
      if (run.length === 0 || offset + end > this.#capacity) throw new JournalFault('a run that leaves its chunk')
      runs.push(run)
    }
    const digests = Array.from({ length: this.#count(digestLength) }, () => this.#raw(digestLength))
    const parts = this.#raw(this.#number())
    this.#next = next
    return { offset, length, next, runs, digests, parts: parts.length === 0 ? undefined : parts }
  }

  #run(end: number): PlacementRun {
    const kind = runKinds[this.#number()]
    const at = end + this.#number()
    const length = this.#number()
    if (kind === undefined) throw new JournalFault('a run of an unknown kind')
    if (kind !== 'packed') return { kind, at, length }
    const storedLength = this.#number()
    if (storedLength === 0 || storedLength > length + 65536) throw new JournalFault('a unit of an impossible length')
    return { kind, at, length, storedLength }
  }

  /** How many parts of `size` bytes follow, which must be there. */
  #count(size: number): number {
    const count = this.#number()
    if (count * size > this.#bytes.length - this.#at) throw new JournalFault('less than it says')
    return count
  }

  #number(): number {
    let value = 0
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new JournalFault('a number that ends too early')
      value += (byte % 128) * scale
      if (byte < 128) {
        if (!Number.isSafeInteger(value)) break
        return value
      }
    }
    throw new JournalFault('a number that is too large')
  }

  #raw(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new JournalFault('less than it says')
    const bytes = this.#bytes.slice(this.#at, end)
    this.#at = end
    return bytes
  }
}
