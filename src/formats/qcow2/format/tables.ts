import { viewOf } from '../../../binary/integers.js'
import { Recent } from '../../../binary/recent.js'
import type { ByteStore } from '../../../block/types.js'
import { corrupt, hints } from '../../../errors.js'
import type { DiskTables } from './entry-finder.js'
import { readTable, type Header, type TableLocation } from './header.js'
import { decodeRefcountTableEntry } from './refcount-entries.js'

/** Bytes of L2 tables kept; a 16 TiB image has 2 GiB of them. */
const keptBytes = 8 * 1024 * 1024
const minimumKept = 4

/** L2 tables, read when they are needed, the least recently used dropped. */
export class TableCache {
  readonly #store: ByteStore
  readonly #clusterSize: number
  readonly #overlaps: (position: number) => string | undefined
  readonly #tables: Recent<DataView>

  /** @param overlaps says what other structure lies at a position, where no L2 table may be. */
  constructor(store: ByteStore, clusterSize: number, overlaps: (position: number) => string | undefined) {
    this.#store = store
    this.#clusterSize = clusterSize
    this.#overlaps = overlaps
    const kept = Math.max(minimumKept, Math.floor(keptBytes / clusterSize))
    this.#tables = new Recent(kept, (position) => this.#read(position))
  }

  /** The table at a position is another one now. */
  forget(position: number): void {
    this.#tables.forget(position)
  }

  /**
   * The L2 table at a cluster-aligned position. `needed` is how many of its bytes map guest bytes: a file may end
   * behind them.
   * @throws ImageError corrupt E_TRUNCATED, E_OVERLAP, E_READ.
   */
  table(position: number, needed: number): DataView {
    const store = this.#store
    const available = Math.min(this.#clusterSize, store.size - position)
    if (available < needed) {
      throw corrupt(
        'E_TRUNCATED',
        `${store.name}: the L2 table at byte ${position} needs ${needed} bytes, but the file ends at byte ` +
          `${store.size}`,
        {
          details: { position, length: needed, size: store.size },
          hint: hints.incomplete,
        },
      )
    }
    return this.#tables.get(position)
  }

  #read(position: number): DataView {
    const store = this.#store
    const other = this.#overlaps(position)
    if (other !== undefined)
      throw corrupt('E_OVERLAP', `${store.name}: an L1 entry takes the ${other} at byte ${position} for an L2 table`, {
        details: { position },
      })
    const bytes = new Uint8Array(this.#clusterSize)
    store.read(position, bytes.subarray(0, Math.min(bytes.length, store.size - position)))
    return viewOf(bytes)
  }
}

/** The tables of a disk as the file has them. @param l1 where the L1 table of the active disk, or of a snapshot, is. */
export function fileTables(store: ByteStore, header: Header, l1: TableLocation): DiskTables {
  const cache = new TableCache(store, header.geometry.clusterSize, overlapFinder(store, header, l1))
  return { l1: readTable(store, l1), table: (position, needed) => cache.table(position, needed) }
}

/**
 * What lies at a cluster-aligned position that can be no L2 table: an L1 table, the refcount table, a refcount block.
 * Reading such
 * a thing as an L2 table would give content that nobody wrote. The refcount table is read at the first question.
 */
export function overlapFinder(
  store: ByteStore,
  header: Header,
  l1: TableLocation,
): (position: number) => string | undefined {
  let blocks: Float64Array | undefined
  const inside = (position: number, table: TableLocation): boolean =>
    position >= table.position && position < table.position + table.entries * 8
  return (position) => {
    if (inside(position, l1) || inside(position, header.l1)) return 'L1 table'
    if (inside(position, header.refcountTable)) return 'refcount table'
    blocks ??= refcountBlocks(store, header)
    return includes(blocks, position) ? 'refcount block' : undefined
  }
}

function refcountBlocks(store: ByteStore, header: Header): Float64Array {
  const table = readTable(store, header.refcountTable)
  let count = 0
  for (let index = 0; index < header.refcountTable.entries; index++)
    if (decodeRefcountTableEntry(table, index) !== 0) count++
  const blocks = new Float64Array(count)
  for (let index = 0, at = 0; index < header.refcountTable.entries; index++) {
    const position = decodeRefcountTableEntry(table, index)
    if (position !== 0) blocks[at++] = position
  }
  return blocks.sort()
}

function includes(sorted: Float64Array, wanted: number): boolean {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((sorted[middle] ?? 0) < wanted) low = middle + 1
    else high = middle
  }
  return sorted[low] === wanted
}
