import { viewOf } from '../../../binary/integers.js'
import { isZero } from '../../../binary/zero.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints, printable } from '../../../errors.js'
import { L1Entry, L2Entry } from './entries.js'
import type { Header } from './header.js'
import { maximumL1Bytes } from './layout.js'
import { TableSet, type TableReference } from './table-set.js'
import type { ImageParts } from './owners.js'

/** A file whose tables are walked. */
export interface TableFile {
  readonly store: ByteStore
  readonly header: Header
}

/** An L1 table, of the active disk or of snapshots. */
export interface L1Table {
  readonly position: number
  readonly entries: number
  /** How many disks it is of. */
  readonly times: number
  /** For messages; empty for the active one. */
  readonly of: string
}

const pieceBytes = 65536

/** The L1 tables that are in the file, the active one first; those of snapshots that share one are one. */
export function l1Tables({
  header: {
    l1,
    geometry: { clusterSize },
  },
  snapshots,
  store: { size },
}: ImageParts): readonly L1Table[] {
  const shared = new Map<string, L1Table>()
  for (const { id, l1Position, l1Entries: entries } of snapshots) {
    const position = Number(l1Position)
    if (
      entries === 0 ||
      entries * 8 > maximumL1Bytes ||
      position === 0 ||
      position % clusterSize !== 0 ||
      position + entries * 8 > size
    )
      continue
    const known = shared.get(`${position} ${entries}`)
    shared.set(
      `${position} ${entries}`,
      known === undefined
        ? { position, entries, times: 1, of: ` of snapshot ${printable(id)}` }
        : { ...known, times: known.times + 1 },
    )
  }
  return [{ ...l1, times: 1, of: '' }, ...shared.values()]
}

/**
 * A table piece by piece, without those that are empty. `start` is the index of a piece's first entry; its bytes are
 * overwritten by the next.
 */
export function* readL1Pieces(
  store: ByteStore,
  { position, entries }: Pick<L1Table, 'position' | 'entries'>,
): Generator<{ readonly view: DataView; readonly start: number }> {
  const bytes = new Uint8Array(Math.min(pieceBytes, entries * 8))
  for (let start = 0; start < entries; start += pieceBytes / 8) {
    const piece = bytes.subarray(0, Math.min(pieceBytes / 8, entries - start) * 8)
    store.read(position + start * 8, piece)
    if (!isZero(piece)) yield { view: viewOf(piece), start }
  }
}

/** An L2 table that is walked. */
export interface WalkedTable extends TableReference {
  /** Overwritten by the next table. What lies behind the file's end is empty. */
  readonly view: DataView
  /** How many of its bytes are in the file. */
  readonly available: number
  /** How many tables came before it, and how many there are, as far as is known. */
  readonly walked: number
  readonly total: number
}

/**
 * The distinct L2 tables that L1 tables lead to, in ascending order of position, each once however many entries lead to
 * it. Memory is bounded, whatever a hostile file says: L1 tables are read by pieces, L2 tables one at a time, and more
 * of them than a {@link TableSet} holds come in rounds. Gives undefined after each piece of an L1 table.
 * @param follow is shown each L1 entry that is not zero, with its index, once a round, and says whether it leads to a
 * table to be walked.
 */
export function* walkTables(
  { store, header }: TableFile,
  l1s: readonly L1Table[],
  follow: (entry: L1Entry, index: number, l1: L1Table, isFirstRound: boolean) => boolean,
): Generator<WalkedTable | undefined> {
  const { clusterSize } = header.geometry
  const entry = new L1Entry()
  const bytes = new Uint8Array(clusterSize)
  const view = viewOf(bytes)
  for (let start = 0; start < Infinity;) {
    const tables = new TableSet(start)
    for (const l1 of l1s) {
      for (const piece of readL1Pieces(store, l1)) {
        for (let at = entry.next(piece.view, 0); at >= 0; at = entry.next(piece.view, at + 1))
          if (follow(entry, piece.start + at, l1, start === 0))
            tables.add(entry.position, l1.times, piece.start + at, l1.of === '')
        yield undefined
      }
    }
    let walked = 0
    for (const { position, times, index, active } of tables) {
      const available = readTableAt(store, position, bytes)
      yield { position, times, index, active, view, available, walked, total: tables.size }
      walked++
    }
    start = tables.limit
  }
}

/** An L2 table that an L1 table leads to. */
export interface OwnTable {
  readonly l1Index: number
  readonly position: number
  /** A copy of its own. What lies behind the file's end is empty. */
  readonly view: DataView
}

/**
 * The L2 tables that an L1 table in memory leads to, in its order, for one who changes what leads to them.
 * @param what whose L1 table it is, for messages. @throws ImageError corrupt E_CORRUPT, E_TRUNCATED.
 */
export function* tablesInOrder(file: TableFile, l1: DataView, what: string): Generator<OwnTable> {
  const entry = new L1Entry()
  for (let l1Index = entry.next(l1, 0); l1Index >= 0; l1Index = entry.next(l1, l1Index + 1)) {
    if (!leads(entry, l1Index, file, what)) continue
    const { position } = entry
    const bytes = new Uint8Array(file.header.geometry.clusterSize)
    readTableAt(file.store, position, bytes)
    yield { l1Index, position, view: viewOf(bytes) }
  }
}

/** Whether an L1 entry leads to a table. @throws ImageError corrupt E_CORRUPT, E_TRUNCATED where it is damaged. */
export function leads(entry: L1Entry, index: number, { store, header }: TableFile, what: string): boolean {
  if (entry.isEmpty) return false
  const fault = entry.fault(header.geometry.clusterSize)
  if (fault !== undefined)
    throw corrupt('E_CORRUPT', `${store.name}: L1 entry ${index} of ${what} ${fault}: the image cannot be changed`, {
      hint: hints.check,
    })
  const { position } = entry
  if (position < store.size) return true
  throw corrupt(
    'E_TRUNCATED',
    `${store.name}: L1 entry ${index} of ${what} leads to byte ${position}, but the file ends at byte ${store.size}`,
    { details: { position, size: store.size } },
  )
}

/** Reads a table of one cluster, which may end behind the file; gives how many of its bytes are in it. */
function readTableAt(store: ByteStore, position: number, bytes: Uint8Array): number {
  const available = Math.min(bytes.length, store.size - position)
  store.read(position, bytes.subarray(0, available))
  bytes.fill(0, available)
  return available
}

/** Host bytes that an entry of an L2 table uses. `at`: the entry's byte in the table. */
export interface EntryReference {
  readonly at: number
  readonly position: number
  readonly length: number
  readonly packed: boolean
  readonly copied: boolean
}

/**
 * Calls for every entry of a table that uses clusters. @throws ImageError corrupt E_CORRUPT where one begins no
 * cluster.
 */
export function eachReference(
  { store, header }: TableFile,
  { position: table, view }: Pick<OwnTable, 'position' | 'view'>,
  visit: (use: EntryReference) => void,
): void {
  const { clusterSize, entrySize } = header.geometry
  const entry = new L2Entry(header)
  for (let index = entry.next(view, 0); index >= 0; index = entry.next(view, index + 1)) {
    const at = index * entrySize
    const { kind, position, copied } = entry
    if (kind === 'packed') visit({ at, position, length: entry.storedLength, packed: true, copied: false })
    else if (kind === 'allocated') {
      if (entry.unaligned)
        throw corrupt(
          'E_CORRUPT',
          `${store.name}: the L2 entry at byte ${table + at} places its cluster at byte ${position}, which ` +
            'begins no cluster: the image cannot be changed',
          { hint: hints.check, details: { position: table + at } },
        )
      visit({ at, position, length: clusterSize, packed: false, copied })
    }
  }
}
