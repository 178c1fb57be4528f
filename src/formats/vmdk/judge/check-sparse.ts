import type { Work } from '../../../block/work.js'
import { viewOf } from '../../../binary/integers.js'
import { walkedEntries, type Piece } from '../../../block/runs.js'
import type { ByteStore } from '../../../block/types.js'
import { isImageError } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import { Directory, KeptTables } from '../format/kept-tables.js'
import type { SparseLayout } from '../format/sparse-layout.js'
import { sectorLength } from '../format/structs.js'
import { GrainMarks } from './grain-marks.js'

/** A sparse file, and what its tables say of the disk. */
export interface CheckedFile {
  readonly store: ByteStore
  readonly layout?: SparseLayout
  readonly grains: {
    readonly capacity: number
    readonly grainSize: number
    pieceAt(offset: number): Piece
    readonly mapped?: { readonly isOverfull: boolean }
  }
}

/** Looks at every table of a sparse file. @param prefix names the file where there are several. */
export function* checkSparse(file: CheckedFile, prefix: string): Work<void, Finding> {
  const { layout } = file
  const redundant = layout === undefined ? undefined : yield* checkCopies(file, layout, prefix)
  yield* checkGrains(file, prefix, redundant === true)
}

/** Holds grain tables against their copies. Gives whether there are such. */
function* checkCopies({ store }: CheckedFile, layout: SparseLayout, prefix: string): Work<boolean, Finding> {
  const { rgdPosition, gdPosition, tables, entriesPerTable, values } = layout
  if (rgdPosition === undefined) return false
  const kept = new KeptTables(store)
  const directory = new Directory(kept, gdPosition, tables)
  const copies = new Directory(kept, rgdPosition, tables)
  const length = entriesPerTable * 4
  const severity = values.uncleanShutdown === 0 ? 'error' : 'warning'
  const code = severity === 'error' ? 'E_TABLES_DIFFER' : 'W_TABLES_DIFFER'
  const inFile = (sector: number): boolean => sector > 0 && sector * sectorLength + length <= store.size
  for (let index = 0; index < tables; index++) {
    const [entry, copy] = [directory.word(index), copies.word(index)]
    const structure = `${prefix}grain table ${index}`
    for (const [word, other, which, at] of [
      [entry, copy, 'grain directory', directory.place(index)],
      [copy, entry, 'copy of the grain directory', copies.place(index)],
    ] as const)
      if (!inFile(word) && (word !== 0 || inFile(other)))
        yield {
          severity: 'error',
          code: 'E_GRAIN_DIRECTORY',
          structure: `${prefix}${which}, entry ${index}`,
          position: at,
          message:
            `the entry is ${word}, where no grain table can be` +
            (inFile(other) ? `; that of its copy is ${other}, which can be` : ''),
        }
    if (!inFile(entry) || !inFile(copy)) continue
    if (entry === copy) {
      yield {
        severity: 'warning',
        code: 'W_TABLE_SHARED',
        structure,
        position: directory.place(index),
        message: 'both directories lead to the same grain table: there is no copy of it',
      }
      continue
    }
    const [one, other] = [new Uint8Array(length), new Uint8Array(length)]
    store.read(entry * sectorLength, one)
    store.read(copy * sectorLength, other)
    const slot = firstDifference(one, other)
    if (slot !== undefined)
      yield {
        severity,
        code,
        structure,
        position: entry * sectorLength + slot * 4,
        message:
          `entry ${slot} is ${viewOf(one).getUint32(slot * 4, true)}, in the copy of the table ` +
          `${viewOf(other).getUint32(slot * 4, true)}: the table is read, and one of the two is older`,
      }
    if (index % 16 === 15) yield { done: index, total: 2 * tables }
  }
  return true
}

function firstDifference(one: Uint8Array, other: Uint8Array): number | undefined {
  if (Buffer.compare(one, other) === 0) return undefined
  return Math.floor(one.findIndex((byte, index) => byte !== other[index]) / 4)
}

/** Where the grains lie: none twice, none over another, none outside, and nothing between them that none uses. */
function* checkGrains(file: CheckedFile, prefix: string, copies: boolean): Work<void, Finding> {
  const { store, layout, grains } = file
  const sectors = Math.ceil(store.size / sectorLength)
  const grainSectors = grains.grainSize / sectorLength
  const compressed = layout?.compressed === true
  let used = 0
  let first = true
  for (const window of GrainMarks.windows(sectors)) {
    const marks = new GrainMarks(window)
    for (const found of placesOf(file, copies)) {
      if (!('sector' in found)) {
        if ('done' in found) yield found
        else if (first) yield { ...found, structure: `${prefix}${found.structure}` }
        continue
      }
      const { offset, sector } = found
      if (!marks.add(sector))
        yield shared(`${prefix}grain of guest offset ${offset}`, sector, 'another grain lies in the same place')
    }
    if (!compressed) {
      for (const found of placesOf(file, copies)) {
        if ('sector' in found && marks.overlapped(found.sector, grainSectors))
          yield shared(
            `${prefix}grain of guest offset ${found.offset}`,
            found.sector,
            'another grain begins in the middle of it',
          )
        else if ('done' in found) yield found
      }
    }
    used += marks.count
    first = false
  }
  if (layout === undefined || compressed || grains.mapped?.isOverfull === true) return
  const lost = Math.floor((store.size - layout.overhead) / layout.grainSize) - used - tablesAmongGrains(store, layout)
  if (lost > 0)
    yield {
      severity: 'leak',
      code: 'L_UNREFERENCED',
      structure: `${prefix}grains`,
      message: `${lost} grains of ${layout.grainSize} bytes in the file belong to nothing`,
    }
}

/** Places of grains that have tables in them: those of a disk that was made larger. */
function tablesAmongGrains(store: ByteStore, layout: SparseLayout): number {
  const { gdPosition, rgdPosition, tables, entriesPerTable, overhead, grainSize } = layout
  const kept = new KeptTables(store)
  let count = 0
  let last = -1
  const add = (position: number, length: number): void => {
    const first = Math.floor((position - overhead) / grainSize)
    const end = Math.floor((position + length - 1 - overhead) / grainSize)
    if (end < 0 || position + length > store.size) return
    count += Math.max(0, end - Math.max(0, first, last + 1) + 1)
    last = Math.max(last, end)
  }
  for (const position of [rgdPosition, gdPosition]) {
    if (position === undefined) continue
    add(position, tables * 4)
    const directory = new Directory(kept, position, tables)
    for (let index = 0; index < tables; index++) add(directory.word(index) * sectorLength, entriesPerTable * 4)
  }
  return count
}

function shared(structure: string, sector: number, message: string): Finding {
  return { severity: 'error', code: 'E_SHARED_GRAIN', structure, position: sector * sectorLength, message }
}

/** Every stored grain, with the damage between them; of entries that are alike only the first few are named. */
function* placesOf(
  { store, grains, layout }: CheckedFile,
  copies: boolean,
): Work<void, Finding | { readonly offset: number; readonly sector: number }> {
  const { capacity, grainSize } = grains
  let steps = 0
  for (let offset = 0; offset < capacity;) {
    if (++steps % walkedEntries === 0)
      yield { done: (layout?.tables ?? 0) + Math.floor(offset / grainSize), total: 2 * Math.ceil(capacity / grainSize) }
    try {
      const piece = grains.pieceAt(offset)
      if (piece.kind === 'data') yield { offset, sector: Math.floor(piece.position / sectorLength) }
      else if (piece.kind === 'packed') yield { offset, sector: Math.floor(piece.position / sectorLength) }
      offset += piece.length
    } catch (error) {
      if (!isImageError(error)) throw error
      const directory = error.code === 'E_GRAIN_DIRECTORY'
      const { position } = error.details
      if (!directory || !copies)
        yield {
          severity: 'error',
          code: error.code,
          structure: directory ? 'grain directory' : `grain of guest offset ${offset}`,
          position: typeof position === 'number' && position < store.size ? position : undefined,
          message: error.message,
        }
      // What follows says the same again, as often as the tables claim.
      if (grains.mapped?.isOverfull === true) return
      const step = directory ? (layout?.coverage ?? grainSize * 4096) : grainSize
      offset = (Math.floor(offset / step) + 1) * step
    }
  }
}
