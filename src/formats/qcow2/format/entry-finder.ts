import { L1Entry, L2Entry } from './entries.js'
import type { Header } from './header.js'

/** The tables of a disk: of a file as it is, or of one that is being changed. */
export interface DiskTables {
  readonly l1: DataView
  /** The L2 table at a position, of which `needed` bytes must be in the file. @throws ImageError corrupt E_TRUNCATED */
  table(position: number, needed: number): DataView
}

/** Looks at the L2 table of an L1 entry before an entry of it is believed. */
export interface TableJudge {
  table(l1Index: number, position: number, table: DataView): void
}

/** Goes from a guest cluster to its entry. The entries are filled anew by each call. */
export class EntryFinder {
  readonly l1 = new L1Entry()
  readonly l2: L2Entry
  /** Where the L2 entry stands in the file. */
  position = 0
  #table: DataView | undefined
  #index = 0
  readonly #tables: DiskTables
  readonly #geometry: Header['geometry']
  readonly #judge: TableJudge | undefined

  /** @param judge is asked about every table that is used. @throws what it throws. */
  constructor(header: Header, tables: DiskTables, judge?: TableJudge) {
    this.l2 = new L2Entry(header)
    this.#tables = tables
    this.#geometry = header.geometry
    this.#judge = judge
  }

  /**
   * Reads the L2 entry of a guest cluster. False when its L1 entry leads to no table: it is empty, or has a fault.
   * @param end the guest bytes up to which the L2 table must be in the file.
   */
  find(cluster: number, end: number): boolean {
    const { clusterSize, entriesPerTable, entrySize, tableCoverage } = this.#geometry
    const l1Index = Math.floor(cluster / entriesPerTable)
    const { l1 } = this
    l1.read(this.#tables.l1, l1Index)
    if (l1.isEmpty || l1.fault(clusterSize) !== undefined) return false
    const mapped = Math.min(tableCoverage, end - l1Index * tableCoverage)
    const table = this.#tables.table(l1.position, Math.ceil(mapped / clusterSize) * entrySize)
    this.#judge?.table(l1Index, l1.position, table)
    const index = cluster % entriesPerTable
    this.#table = table
    this.#index = index
    this.l2.read(table, index)
    this.position = l1.position + index * entrySize
    return true
  }

  /** How many entries from the one that was found on lead to cluster after cluster, and say nothing else. */
  run(): number {
    return this.#table === undefined ? 1 : this.l2.run(this.#table, this.#index, this.#geometry.clusterSize)
  }
}
