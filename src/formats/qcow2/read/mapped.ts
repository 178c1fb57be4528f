import { MappedUnits } from '../../../block/mapped-units.js'
import { SparseBits } from '../../../binary/sparse-bits.js'
import { corrupt, hints } from '../../../errors.js'
import { L2Entry } from '../format/entries.js'
import type { TableJudge } from '../format/entry-finder.js'
import type { Header } from '../format/header.js'

/** Tables that several L1 entries may lead to before an image is refused, besides as many as are right. */
const toleratedTables = 64
/** Guest bytes of compressed clusters of one place that are decoded before an image is refused. */
const toleratedGuestBytes = 512 * 1024 * 1024
/** No compressed cluster is shorter. */
const leastPacked = 4

/**
 * What the L2 tables of one disk map, counted table by table as they are first read: not more than the file can hold,
 * or an image of a few kilobytes would take days to read.
 */
export class MappedClusters implements TableJudge {
  readonly #name: string
  readonly #header: Header
  readonly #seen = new SparseBits()
  readonly #tables: MappedUnits
  readonly #data: MappedUnits
  readonly #packed: MappedUnits
  readonly #entry: L2Entry

  constructor(name: string, header: Header) {
    const { clusterSize } = header.geometry
    this.#name = name
    this.#header = header
    this.#entry = new L2Entry(header)
    this.#tables = new MappedUnits(clusterSize, toleratedTables)
    this.#data = new MappedUnits(clusterSize)
    this.#packed = new MappedUnits(leastPacked, Math.max(16, toleratedGuestBytes / clusterSize))
  }

  /** Counts the table of an L1 entry, once. @throws ImageError corrupt E_OVERLAP when most of it was mapped before. */
  table(l1Index: number, position: number, table: DataView): void {
    if (this.#seen.has(l1Index)) return
    if (!this.#tables.add(position))
      throw this.#refused(`L1 entry ${l1Index}`, `L2 table at byte ${position}`, 'L2 tables')
    // In a data file every cluster has a place of its own, and an entry that says otherwise is refused.
    if (!this.#header.dataFile) this.#clusters(position, table)
    this.#seen.set(l1Index)
  }

  #clusters(position: number, table: DataView): void {
    const { entrySize } = this.#header.geometry
    for (let index = this.#entry.next(table, 0); index >= 0; index = this.#entry.next(table, index + 1)) {
      const { kind, position: place } = this.#entry
      const clusters = kind === 'allocated' ? this.#data : kind === 'packed' ? this.#packed : undefined
      if (clusters?.add(place) === false)
        throw this.#refused(
          `the L2 entry at byte ${position + index * entrySize}`,
          `cluster at byte ${place}`,
          'clusters',
        )
    }
  }

  #refused(entry: string, what: string, many: string): Error {
    return corrupt(
      'E_OVERLAP',
      `${this.#name}: ${entry} leads to the ${what} once more: its tables map the same ${many} again and again, more ` +
        'than the file can hold',
      { hint: hints.check },
    )
  }
}
