import type { Piece } from '../../../block/runs.js'
import { walkedEntries } from '../../../block/runs.js'
import type { ByteStore, Note } from '../../../block/types.js'
import { corrupt, hints, type ImageError } from '../../../errors.js'
import { lengthWord } from '../format/entries.js'
import { Directory, KeptTables } from '../format/kept-tables.js'
import type { SparseLayout } from '../format/sparse-layout.js'
import type { FoundGrains } from '../format/stream-scan.js'
import { grainDataAt, marker, sectorLength } from '../format/structs.js'
import { MappedTables } from './mapped-tables.js'

/** The table entries of one sparse extent. */
export interface Grains {
  /** Bytes. */
  readonly capacity: number
  readonly grainSize: number
  /** What is known from `offset` to the end of its grain, or of a run of grains that are not there. */
  pieceAt(offset: number): Piece
  /** What its tables lead to; undefined where the extent is open for changes. */
  readonly mapped?: MappedTables
}

/** The grains of a hosted sparse extent (KDMV), plain or compressed. Damage is found when it is met. */
export class HostedGrains implements Grains {
  readonly capacity: number
  readonly grainSize: number
  readonly #store: ByteStore
  readonly #layout: SparseLayout
  readonly #tables: KeptTables
  readonly #directory: Directory
  readonly #copy: Directory | undefined
  readonly #found: FoundGrains | undefined
  /** Tables that are not in the file yet, of an image open for changes. */
  readonly #live: (index: number) => DataView | undefined
  readonly mapped?: MappedTables
  readonly #note: (note: Note) => void
  readonly #reported = new Set<string>()

  /** @param note takes what reading meets. @param found grains that were found without tables. */
  constructor(
    store: ByteStore,
    layout: SparseLayout,
    note: (note: Note) => void,
    found?: FoundGrains,
    live?: (index: number) => DataView | undefined,
  ) {
    this.#live = live ?? (() => undefined)
    if (live === undefined)
      this.mapped = new MappedTables(
        store,
        layout.entriesPerTable * 4,
        layout.compressed ? sectorLength : layout.grainSize,
      )
    this.#store = store
    this.#layout = layout
    this.#note = note
    this.#found = found
    this.capacity = layout.capacity
    this.grainSize = layout.grainSize
    this.#tables = new KeptTables(store)
    this.#directory = new Directory(this.#tables, layout.gdPosition, layout.tables)
    this.#copy =
      layout.rgdPosition === undefined ? undefined : new Directory(this.#tables, layout.rgdPosition, layout.tables)
  }

  pieceAt(offset: number): Piece {
    const { coverage, grainSize, entriesPerTable, zeroedGrains, compressed } = this.#layout
    const grain = Math.floor(offset / grainSize)
    const within = offset - grain * grainSize
    const rest = grainSize - within
    if (this.#found !== undefined) {
      const place = this.#found.place(grain)
      return place === undefined ? { kind: 'absent', length: rest } : this.#packed(grain, place, rest)
    }
    const index = Math.floor(offset / coverage)
    const table = this.#table(index)
    if (table === undefined) {
      const end = Math.min(index + walkedEntries, this.#layout.tables)
      const next = this.#copy === undefined ? this.#directory.nextUsed(index + 1, end) : index + 1
      return { kind: 'absent', length: next * coverage - offset }
    }
    const slot = grain % entriesPerTable
    const entry = table.getUint32(slot * 4, true)
    if (entry === 0) return { kind: 'absent', length: rest }
    if (entry === 1 && zeroedGrains) return { kind: 'zero', length: rest }
    const fault = this.#fault(entry, grain)
    if (fault === undefined) return this.#stored(grain, entry, within, compressed)
    const other = this.#otherEntry(index, slot, grain)
    if (other === undefined) throw fault
    this.#report(
      'W_GRAIN_TABLE_COPY_USED',
      `${this.#store.name}: grain tables are damaged, and their copies are used ` +
        `(first: ${fault.message.replace(`${this.#store.name}: `, '')})`,
    )
    return other === 0
      ? { kind: 'absent', length: rest }
      : other === 1
        ? { kind: 'zero', length: rest }
        : this.#stored(grain, other, within, compressed)
  }

  /** The tables were changed. */
  forget(): void {
    this.#tables.forget()
  }

  /** A table that both directories lead to, and where it and its copy are; undefined where not both do. */
  tableAt(index: number): { readonly entries: DataView; readonly places: readonly number[] } | undefined {
    const words = [this.#directory.word(index), ...(this.#copy === undefined ? [] : [this.#copy.word(index)])]
    const [first] = words
    if (first === undefined || !words.every((word) => word !== 0 && this.#isTable(word))) return undefined
    return { entries: this.#read(first), places: words.map((word) => word * sectorLength) }
  }

  #stored(grain: number, entry: number, within: number, compressed: boolean): Piece {
    const position = entry * sectorLength
    const { grainSize } = this.#layout
    return compressed
      ? this.#packed(grain, position, grainSize - within)
      : { kind: 'data', position: position + within, length: grainSize - within }
  }

  /** The first grain table for a directory entry: the copy's where the directory has none that can be one. */
  #table(index: number): DataView | undefined {
    const live = this.#live(index)
    if (live !== undefined) return live
    const entry = this.#directory.word(index)
    if (entry !== 0 && this.#isTable(entry)) return this.#checked(index, entry)
    const copy = this.#copy?.word(index) ?? 0
    if (entry === 0 && copy === 0) return undefined
    if (copy !== 0 && this.#isTable(copy)) {
      this.#report(
        'W_GRAIN_TABLE_COPY_USED',
        `${this.#store.name}: entry ${index} of the grain directory is ${entry}, and its copy ` +
          `${copy}, which is used: ` +
          'the directory is damaged',
      )
      return this.#checked(index, copy)
    }
    if (entry === 0) return undefined
    throw corrupt(
      'E_GRAIN_DIRECTORY',
      `${this.#store.name}: entry ${index} of the grain directory (guest offset ` +
        `${index * this.#layout.coverage}) leads ` +
        `to sector ${entry}, where no grain table can be: the file has ${this.#store.size} bytes`,
      { details: { position: this.#directory.place(index), offset: index * this.#layout.coverage, value: entry } },
    )
  }

  /** @throws ImageError corrupt E_OVERLAP when the tables lead to more than the file holds. */
  #checked(index: number, sector: number): DataView {
    const table = this.#read(sector)
    if (this.mapped?.has(index) === false)
      this.mapped.count(index, sector * sectorLength, this.#directory.place(index), grainsOf(table))
    return table
  }

  #isTable(sector: number): boolean {
    const position = sector * sectorLength
    const length = this.#layout.entriesPerTable * 4
    const { gdPosition, tables } = this.#layout
    const meetsDirectory = position < gdPosition + tables * 4 && position + length > gdPosition
    return position >= sectorLength && position + length <= this.#store.size && !meetsDirectory
  }

  #read(sector: number): DataView {
    return this.#tables.at(sector * sectorLength, this.#layout.entriesPerTable * 4)
  }

  /** What the second grain table says, if that can be; undefined where there is none, or it is no better. */
  #otherEntry(index: number, slot: number, grain: number): number | undefined {
    const copy = this.#copy?.word(index) ?? 0
    if (copy === 0 || copy === this.#directory.word(index) || !this.#isTable(copy)) return undefined
    const entry = this.#read(copy).getUint32(slot * 4, true)
    if (entry === 0 || (entry === 1 && this.#layout.zeroedGrains)) return entry
    return this.#fault(entry, grain) === undefined ? entry : undefined
  }

  /** Why no grain can be at a sector. */
  #fault(entry: number, grain: number): ImageError | undefined {
    const { overhead, grainSize, compressed } = this.#layout
    const position = entry * sectorLength
    const { name, size } = this.#store
    const offset = grain * grainSize
    if (position < overhead)
      return corrupt(
        'E_OVERLAP',
        `${name}: the grain of guest offset ${offset} is to lie at sector ${entry}, among the structures of the file ` +
          (entry === 1
            ? '(1 stands for zeros only where the header says so, with flag 2)'
            : `(they end at byte ${overhead})`),
        { details: { offset, position } },
      )
    const needed = compressed ? marker.size : Math.min(grainSize, this.capacity - offset)
    if (position + needed <= size) return undefined
    return corrupt(
      'E_TRUNCATED',
      `${name}: the data of guest offset ${offset} is at byte ${position}, but the file ends at byte ${size}`,
      { details: { position, offset, size }, hint: hints.incomplete },
    )
  }

  #packed(grain: number, position: number, length: number): Piece {
    const { grainSize, markers } = this.#layout
    const head = new Uint8Array(marker.size)
    const { name, size } = this.#store
    const offset = grain * grainSize
    this.#store.read(position, head)
    const values = marker.read(head)
    // Without markers there is only the length in front of the data.
    const stored = markers ? values.size : lengthWord(values.value)
    const start = position + (markers ? grainDataAt : 4)
    if (markers && values.value !== BigInt(offset / sectorLength))
      throw corrupt(
        'E_MARKER',
        `${name}: the marker at byte ${position} is of sector ${values.value}, expected ` +
          `${offset / sectorLength} (guest ` +
          `offset ${offset})`,
        { details: { position, offset } },
      )
    if (stored === 0 || stored > 2 * grainSize + 4096)
      throw corrupt('E_MARKER', `${name}: the grain at byte ${position} (guest offset ${offset}) has ${stored} bytes`, {
        details: { position, offset },
      })
    if (start + stored > size)
      throw corrupt(
        'E_TRUNCATED',
        `${name}: the data of guest offset ${offset} takes bytes ${start} to ${start + stored}, but the file ends at ` +
          `byte ${size}`,
        { details: { position, offset, size }, hint: hints.incomplete },
      )
    return { kind: 'packed', position: start, storedLength: stored, unitOffset: offset, length }
  }

  /** Once for each code. */
  #report(code: string, message: string): void {
    if (this.#reported.has(code)) return
    this.#reported.add(code)
    this.#note({ code, message })
  }
}

/** Where the grains lie that a table leads to, in sectors; an entry of 1 is one of zeros. */
function* grainsOf(table: DataView): Generator<number> {
  for (let at = 0; at < table.byteLength; at += 4) {
    const entry = table.getUint32(at, true)
    if (entry > 1) yield entry
  }
}
