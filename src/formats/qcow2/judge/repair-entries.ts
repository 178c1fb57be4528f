import type { Work } from '../../../block/work.js'
import type { RepairAction } from '../../driver.js'
import { clearPosition, clearReserved, L1Entry, L2Entry, markCopied } from '../format/entries.js'
import { RefcountStore } from '../format/refcounts.js'
import { l1Tables, readL1Pieces, walkTables } from '../format/table-walk.js'
import { overlapFinder } from '../format/tables.js'
import type { ImageParts } from '../format/owners.js'
import { RefcountOnes } from './refcount-ones.js'

/** Changes one entry of a table at byte `at`; gives whether it did. */
type Mend = (entry: L2Entry, table: DataView, at: number) => boolean

/**
 * Clears what readers pass over in L2 entries: reserved bits, and the place of a zero cluster that is none. What the
 * disks hold stays.
 * Gives whether anything was done.
 */
export function* mendEntries(
  imageParts: ImageParts,
  overlaps: ReadonlySet<number> | undefined,
): Work<boolean, RepairAction> {
  const { extendedL2, version } = imageParts.header
  let reserved = 0
  let places = 0
  yield* changeTables(imageParts, { overlaps, snapshots: true }, (entry, table, at) => {
    if (entry.kind === 'packed') return false
    const readsZero =
      entry.kind === 'allocated' &&
      entry.unaligned &&
      (extendedL2 ? entry.allocated === 0 && !entry.zeroFlag : entry.zeroFlag && version >= 3)
    if (entry.reserved) {
      clearReserved(table, at)
      reserved++
    }
    if (readsZero) {
      clearPosition(table, at)
      places++
    }
    return entry.reserved || readsZero
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
  imageParts: ImageParts,
  overlaps: ReadonlySet<number> | undefined,
): Work<boolean, RepairAction> {
  const {
    store,
    header: {
      dataFile,
      l1,
      geometry: { clusterSize },
    },
  } = imageParts
  const ones = new RefcountOnes(RefcountStore.of(store, imageParts.header))
  const isOne = (position: number): boolean | undefined => ones.has(Math.floor(position / clusterSize))
  let changed = 0
  const mark = (
    entry: { readonly copied: boolean },
    table: DataView,
    at: number,
    wanted: boolean | undefined,
  ): boolean => {
    if (wanted === undefined || wanted === entry.copied) return false
    markCopied(table, at, wanted)
    changed++
    return true
  }
  yield* changeTables(imageParts, { overlaps, snapshots: false }, (entry, table, at) => {
    if (entry.kind === 'packed') return mark(entry, table, at, false)
    return entry.kind === 'allocated' && mark(entry, table, at, dataFile ? true : isOne(entry.position))
  })
  const entry = new L1Entry()
  for (const { view, start } of readL1Pieces(store, l1)) {
    const position = l1.position + start * 8
    if (overlaps === undefined || touches(overlaps, position, view.byteLength, clusterSize)) continue
    let any = false
    for (let at = entry.next(view, 0); at >= 0; at = entry.next(view, at + 1))
      if (isTable(entry, imageParts)) any = mark(entry, view, at * 8, isOne(entry.position)) || any
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

/** Whether an L1 entry leads to a cluster of the file. */
function isTable({ position }: L1Entry, { store, header }: ImageParts): boolean {
  return position !== 0 && position % header.geometry.clusterSize === 0 && position < store.size
}

/** Goes through the entries of all L2 tables that nothing else lies upon, and writes those that change. */
function* changeTables(
  imageParts: ImageParts,
  { overlaps, snapshots }: { readonly overlaps: ReadonlySet<number> | undefined; readonly snapshots: boolean },
  mend: Mend,
): Work<void> {
  if (overlaps === undefined) return
  const { store, header } = imageParts
  const { clusterSize, entrySize } = header.geometry
  const isOther = overlapFinder(store, header, header.l1)
  const follow = (entry: L1Entry): boolean =>
    isTable(entry, imageParts) && !overlaps.has(entry.position / clusterSize) && isOther(entry.position) === undefined
  const entry = new L2Entry(header)
  let written = false
  for (const table of walkTables(imageParts, l1Tables(imageParts).slice(0, snapshots ? undefined : 1), follow)) {
    if (table === undefined) continue
    const { position, view, walked, total } = table
    let [first, end] = [Infinity, 0]
    for (let index = entry.next(view, 0); index >= 0; index = entry.next(view, index + 1)) {
      const at = index * entrySize
      if (!mend(entry, view, at)) continue
      first = Math.min(first, at)
      end = at + 8
    }
    if (end > first) {
      store.write(position + first, new Uint8Array(view.buffer).subarray(first, end))
      written = true
    }
    yield { done: walked, total }
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
