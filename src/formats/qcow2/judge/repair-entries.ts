import { viewOf } from '../../../binary/integers.js'
import type { CheckProgress, RepairAction } from '../../driver.js'
import { clearPosition, clearReserved, EntryParts, markCopied, type EntryRules } from '../format/entries.js'
import { l1Tables, readL1Pieces } from '../format/l1-tables.js'
import { StoredRefcounts } from '../format/refcounts.js'
import { TableSet } from '../format/table-set.js'
import { overlapFinder } from '../format/tables.js'
import type { Anatomy } from '../format/use.js'

/** Changes one entry of a table at byte `at`; gives whether it did. */
type Mend = (parts: EntryParts, table: DataView, at: number) => boolean

/**
 * Clears what readers pass over in L2 entries: reserved bits, and the place of a zero cluster that is none. What the
 * disks hold stays.
 * Gives whether anything was done.
 */
export function* mendEntries(
  anatomy: Anatomy,
  overlaps: ReadonlySet<number> | undefined,
): Generator<RepairAction | CheckProgress, boolean> {
  const {
    header: {
      extendedL2,
      version,
      geometry: { clusterSize },
    },
  } = anatomy
  let reserved = 0
  let places = 0
  yield* changeTables(anatomy, { overlaps, snapshots: true }, (parts, table, at) => {
    if (parts.kind === 'packed') return false
    const readsZero =
      parts.kind === 'allocated' &&
      parts.position % clusterSize !== 0 &&
      (extendedL2 ? parts.allocated === 0 && !parts.zeroFlag : parts.zeroFlag && version >= 3)
    if (parts.reserved) {
      clearReserved(table, at)
      reserved++
    }
    if (readsZero) {
      clearPosition(table, at)
      places++
    }
    return parts.reserved || readsZero
  })
  if (reserved > 0)
    yield {
      code: 'E_RESERVED_BITS',
      structure: 'L2 tables',
      message: `clear the reserved bits of ${entries(reserved)}, which readers pass over`,
    }
  if (places > 0)
    yield {
      code: 'E_L2_ENTRY',
      structure: 'L2 tables',
      message: `take its place from ${entries(places)} that read as zero and lead to the middle of a cluster`,
    }
  return reserved + places > 0
}

/** Makes the COPIED flags of the active disk those of the refcounts. Gives whether anything was done. */
export function* mendFlags(
  anatomy: Anatomy,
  overlaps: ReadonlySet<number> | undefined,
): Generator<RepairAction | CheckProgress, boolean> {
  const {
    store,
    header: {
      dataFile,
      l1,
      geometry: { clusterSize },
    },
  } = anatomy
  const stored = new StoredRefcounts(store, anatomy.header)
  const isOne = (position: number): boolean | undefined => stored.isOne(Math.floor(position / clusterSize))
  let changed = 0
  const mark = (parts: EntryParts, table: DataView, at: number, wanted: boolean | undefined): boolean => {
    if (wanted === undefined || wanted === parts.copied) return false
    markCopied(table, at, wanted)
    changed++
    return true
  }
  yield* changeTables(anatomy, { overlaps, snapshots: false }, (parts, table, at) => {
    if (parts.kind === 'packed') return mark(parts, table, at, false)
    return parts.kind === 'allocated' && mark(parts, table, at, dataFile ? true : isOne(parts.position))
  })
  const parts = new EntryParts()
  for (const { view, start } of readL1Pieces(store, { ...l1, times: 1, of: '' })) {
    const position = l1.position + start * 8
    if (overlaps === undefined || touches(overlaps, position, view.byteLength, clusterSize)) continue
    let any = false
    for (let at = 0; at < view.byteLength / 8; at++) {
      if (
        !parts.readL1(view, at) ||
        parts.position === 0 ||
        parts.position % clusterSize !== 0 ||
        parts.position >= store.size
      )
        continue
      any = mark(parts, view, at * 8, isOne(parts.position)) || any
    }
    if (any) store.write(position, new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
  }
  if (changed === 0) return false
  store.flush()
  yield {
    code: 'E_COPIED',
    structure: 'L1 and L2 tables',
    message: `correct the flag of a refcount of one in ${entries(changed)}`,
  }
  return true
}

/** Goes through the entries of all L2 tables that nothing else lies upon, and writes those that change. */
function* changeTables(
  anatomy: Anatomy,
  { overlaps, snapshots }: { readonly overlaps: ReadonlySet<number> | undefined; readonly snapshots: boolean },
  mend: Mend,
): Generator<CheckProgress> {
  if (overlaps === undefined) return
  const {
    store,
    header,
    header: {
      geometry: { clusterSize, entriesPerTable, entrySize },
    },
  } = anatomy
  const rules: EntryRules = {
    version: header.version,
    clusterBits: header.geometry.clusterBits,
    extended: header.extendedL2,
    dataFile: header.dataFile,
  }
  const isOther = overlapFinder(store, header, header.l1)
  const parts = new EntryParts()
  const bytes = new Uint8Array(clusterSize)
  const view = viewOf(bytes)
  let written = false
  for (let start = 0; start < Infinity;) {
    const tables = new TableSet(start)
    for (const l1 of l1Tables(anatomy).slice(0, snapshots ? undefined : 1)) {
      for (const piece of readL1Pieces(store, l1)) {
        for (let at = 0; at < piece.view.byteLength / 8; at++) {
          if (
            !parts.readL1(piece.view, at) ||
            parts.position === 0 ||
            parts.position % clusterSize !== 0 ||
            parts.position >= store.size
          )
            continue
          if (!overlaps.has(parts.position / clusterSize) && isOther(parts.position) === undefined)
            tables.add(parts.position, 1, piece.start + at, l1.of === '')
        }
      }
    }
    let done = 0
    for (const { position } of tables) {
      const available = Math.min(clusterSize, store.size - position)
      store.read(position, bytes.subarray(0, available))
      bytes.fill(0, available)
      let [first, end] = [Infinity, 0]
      for (let entry = 0; entry < entriesPerTable; entry++) {
        const at = entry * entrySize
        if (!parts.readL2(view, entry, rules) || !mend(parts, view, at)) continue
        first = Math.min(first, at)
        end = at + 8
      }
      if (end > first) {
        store.write(position + first, bytes.subarray(first, end))
        written = true
      }
      yield { done: done++, total: tables.size }
    }
    start = tables.limit
  }
  if (written) store.flush()
}

function touches(overlaps: ReadonlySet<number>, position: number, length: number, clusterSize: number): boolean {
  for (let cluster = Math.floor(position / clusterSize); cluster * clusterSize < position + length; cluster++)
    if (overlaps.has(cluster)) return true
  return false
}

function entries(count: number): string {
  return count === 1 ? '1 entry' : `${count} entries`
}
