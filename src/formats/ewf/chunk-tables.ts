import { adler32 } from '../../binary/adler32.js'
import { safeNumber, viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import type { ByteStore } from '../../block/types.js'
import { corrupt, type ImageError } from '../../errors.js'

/** One copy of a table of chunks in its file. Positions are bytes. */
export interface TableCopy {
  /** Where the array begins. */
  readonly position: number
  readonly base: number
  /** Whether an Adler-32 follows the array. */
  readonly summed: boolean
}

/** Where chunks `first` to `first + count` of the media lie. */
export interface Table {
  readonly version: 1 | 2
  readonly store: ByteStore
  readonly first: number
  readonly count: number
  /** The table, and a second one where there is one. */
  readonly copies: readonly TableCopy[]
  /** The chunks lie between these bytes of the file. */
  readonly dataStart: number
  readonly dataEnd: number
}

/** Where one chunk is; filled anew for each. */
export interface StoredChunk {
  store: ByteStore | undefined
  position: number
  length: number
  packed: boolean
  summed: boolean
  pattern: boolean
}

interface Loaded {
  readonly table: Table
  readonly entries: DataView
  readonly base: number
  /** The first entry whose top bit belongs to its offset (EnCase 6.7, segments above 2 GiB). */
  readonly wideFrom: number
}

/** 64 MiB; FTK Imager makes one table a segment. */
export const mostEntries = 2 ** 24
const keptTables = 8
const entryLengths = { 1: 4, 2: 16 } as const

/** The tables of all segments: each is read and checked when one of its chunks is asked for. */
export class ChunkTables {
  readonly #tables: readonly Table[]
  readonly #loaded = new Recent(keptTables, (index) => this.#load(index))
  readonly #onCopy: (message: string) => void

  /** @param onCopy is called with what is said when the second copy of a table has to be used. */
  constructor(tables: readonly Table[], onCopy: (message: string) => void) {
    this.#tables = tables
    this.#onCopy = onCopy
  }

  /** Where a chunk is; false where no table has it. @throws ImageError corrupt E_CHECKSUM, E_MAP, E_TRUNCATED. */
  find(chunk: number, into: StoredChunk): boolean {
    const index = this.#indexOf(chunk)
    if (index < 0) return false
    const loaded = this.#loaded.get(index)
    if (loaded.table.version === 1) find1(loaded, chunk, into)
    else find2(loaded, chunk, into)
    return true
  }

  /** Each table's faults, for a check: every copy is looked at. */
  *faults(): Generator<{ readonly error: ImageError; readonly isCopy: boolean }> {
    for (const table of this.#tables) {
      const failed = table.copies.map((copy) => entriesOf(table, copy)).map(({ error }) => error)
      const errors = failed.filter((error) => error !== undefined)
      for (const error of errors) yield { error, isCopy: errors.length < table.copies.length }
    }
  }

  #indexOf(chunk: number): number {
    let low = 0
    let high = this.#tables.length
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if ((this.#tables[middle]?.first ?? Infinity) <= chunk) low = middle
      else high = middle
    }
    const table = this.#tables[low]
    return table !== undefined && chunk >= table.first && chunk < table.first + table.count ? low : -1
  }

  #load(index: number): Loaded {
    const table = this.#tables[index]
    if (table === undefined) throw new RangeError(`table ${index}`)
    let first: ImageError | undefined
    for (const copy of table.copies) {
      const { entries, error } = entriesOf(table, copy)
      if (entries !== undefined) {
        if (first !== undefined) this.#onCopy(`${first.message}; its copy at byte ${copy.position} is used`)
        return { table, entries, base: copy.base, wideFrom: table.version === 1 ? wideFrom(table, entries) : 0 }
      }
      first ??= error
    }
    throw first ?? new RangeError(`table ${index} has no copy`)
  }
}

function entriesOf(
  { store, version, count }: Table,
  { position, summed }: TableCopy,
): { readonly entries?: DataView; readonly error?: ImageError } {
  const length = count * entryLengths[version]
  const bytes = new Uint8Array(length + (summed ? 4 : 0))
  store.read(position, bytes)
  const entries = new DataView(bytes.buffer, 0, length)
  if (!summed) return { entries }
  const recorded = viewOf(bytes).getUint32(length, true)
  const sum = adler32(bytes, 0, length)
  if (sum === recorded) return { entries }
  return {
    error: corrupt(
      'E_CHECKSUM',
      `${store.name}: the table of chunks at byte ${position} is damaged: its checksum (Adler-32) is ` +
        `0x${sum.toString(16)}, the one recorded is 0x${recorded.toString(16)}`,
      { details: { position } },
    ),
  }
}

function wideFrom({ dataEnd, count }: Table, entries: DataView): number {
  if (dataEnd <= 2 ** 31) return count
  let before = 0
  for (let index = 0; index < count; index++) {
    const offset = entries.getUint32(index * 4, true) % 2 ** 31
    if (offset < before) return index
    before = offset
  }
  return count
}

function find1({ table, entries, base, wideFrom }: Loaded, chunk: number, into: StoredChunk): void {
  const { store, first, count, dataStart, dataEnd } = table
  const index = chunk - first
  const entry = entries.getUint32(index * 4, true)
  const isWide = index >= wideFrom
  const position = base + (isWide ? entry : entry % 2 ** 31)
  let end = dataEnd
  if (index + 1 < count) {
    const next = entries.getUint32(index * 4 + 4, true)
    end = base + (index + 1 >= wideFrom ? next : next % 2 ** 31)
  }
  if (position < dataStart || end > dataEnd || end <= position)
    throw misplaced(store, chunk, position, end - position, dataStart, dataEnd)
  into.store = store
  into.position = position
  into.length = end - position
  into.packed = !isWide && entry >= 2 ** 31
  into.summed = !into.packed
  into.pattern = false
}

function find2({ table, entries }: Loaded, chunk: number, into: StoredChunk): void {
  const { store, first, dataStart, dataEnd, copies } = table
  const at = (chunk - first) * 16
  const length = entries.getUint32(at + 8, true)
  const flags = entries.getUint32(at + 12, true)
  into.store = store
  into.packed = flags % 2 === 1
  into.summed = Math.floor(flags / 2) % 2 === 1
  // Without compression the flag means nothing (libewf).
  into.pattern = into.packed && Math.floor(flags / 4) % 2 === 1
  if (into.pattern) {
    into.position = (copies[0]?.position ?? 0) + at
    into.length = 8
    return
  }
  const position = safeNumber(entries.getBigUint64(at, true), `${store.name}: where chunk ${chunk} is`)
  if (position < dataStart || position + length > dataEnd || length === 0)
    throw misplaced(store, chunk, position, length, dataStart, dataEnd)
  into.position = position
  into.length = length
}

function misplaced(
  { name }: ByteStore,
  chunk: number,
  position: number,
  length: number,
  start: number,
  end: number,
): ImageError {
  return corrupt(
    'E_MAP',
    `${name}: chunk ${chunk} takes ${length} bytes at byte ${position}, but the chunks lie at bytes ${start} to ${end}`,
    { details: { position, chunk } },
  )
}
