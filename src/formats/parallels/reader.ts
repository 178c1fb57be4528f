import type { Work } from '../../block/work.js'
import { UnitOwners } from '../../binary/unit-owners.js'
import { extentFaults } from '../../block/extent-faults.js'
import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import { StoredWords, type WordLayout } from '../../block/words.js'
import { corrupt } from '../../errors.js'
import type { CheckOptions, DiskImage, Finding } from '../driver.js'
import { readHeader, tablePosition, type Header } from './header.js'

const batLayout: WordLayout = { littleEndian: true, none: 0, padded: false }
/** Clusters that one extent covers at most. */
const longestRun = 4096

/** An expandable Parallels image (.hds). */
export class ParallelsImage extends ExtentSource implements DiskImage {
  readonly format = 'parallels'
  readonly subformat = 'expanding'
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  readonly #header: Header
  readonly #owners = new UnitOwners()
  /** In units of the header's, in little-endian order; 0 where a cluster is not there. */
  readonly #bat: StoredWords

  readonly #none: 'zero' | 'absent'

  /** @param none what a cluster is that is not there: zero, or absent in an image that was made over another. */
  constructor(store: ByteStore, none: 'zero' | 'absent' = 'zero') {
    super(store)
    this.#none = none
    this.#header = readHeader(store)
    this.#bat = new StoredWords(store, tablePosition, this.#header.values.batEntries, batLayout)
    this.capacity = this.#header.capacity
    // Extents change status at multiples of a cluster, which need not be a power of two.
    this.grain = 512
    this.notes = this.#header.notes
  }

  /** Bytes of a cluster. */
  get clusterSize(): number {
    return this.#header.clusterSize
  }

  protected runAt(offset: number, end: number): Extent {
    const { clusterSize } = this.#header
    const cluster = Math.floor(offset / clusterSize)
    const place = this.#place(cluster)
    let next = cluster + 1
    if (place === undefined) {
      next = this.#bat.runEnd(cluster, Math.ceil(end / clusterSize))
      return { kind: this.#none, offset, length: Math.min(end, next * clusterSize) - offset }
    }
    while (next * clusterSize < end && next - cluster < longestRun) {
      if (this.#word(next) === 0 || this.#raw(next) !== place + (next - cluster) * clusterSize) break
      this.#place(next)
      next++
    }
    const position = place + (offset - cluster * clusterSize)
    return { kind: 'data', offset, length: Math.min(end, next * clusterSize) - offset, store: this.store, position }
  }

  describe(): Section[] {
    const { values, isExtended, clusterSize, dataPosition, rows } = this.#header
    return [
      {
        title: 'Parallels',
        facts: [
          { name: 'kind', value: isExtended ? 'WithouFreSpacExt' : 'WithoutFreeSpace' },
          { name: 'clusterSize', value: clusterSize, unit: 'bytes' },
          { name: 'batEntries', label: 'BAT entries', value: values.batEntries, unit: 'count' },
          { name: 'dataPosition', label: 'data at', value: dataPosition, unit: 'bytes' },
          { name: 'geometry', value: `${values.cylinders}/${values.heads}` },
        ],
        fields: rows,
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    const { clusterSize } = this.#header
    for (const item of extentFaults(this, clusterSize, deep)) {
      if (!('error' in item)) {
        yield item
        continue
      }
      const cluster = Math.floor(item.offset / clusterSize)
      yield {
        severity: 'error',
        code: item.error.code,
        structure: `BAT entry ${cluster}`,
        position: tablePosition + cluster * 4,
        message: item.error.message,
      }
    }
  }

  /** Where a cluster lies in the file, checked; undefined where it is not there. */
  #place(cluster: number): number | undefined {
    if (this.#word(cluster) === 0) return undefined
    const position = this.#raw(cluster)
    const { clusterSize, dataPosition } = this.#header
    const used = Math.min(clusterSize, this.capacity - cluster * clusterSize)
    const named =
      `${this.store.name}: by its BAT entry at byte ${tablePosition + cluster * 4} cluster ${cluster} (guest offset ` +
      `${cluster * clusterSize}) takes bytes ${position} to ${position + used}`
    const details = { position: tablePosition + cluster * 4, cluster }
    if (position < dataPosition)
      throw corrupt('E_OVERLAP', `${named}, before the data at byte ${dataPosition}`, { details })
    if (position + used > this.store.size)
      throw corrupt('E_TRUNCATED', `${named}, but the file ends at byte ${this.store.size}`, { details })
    const owner = this.#owners.claim(cluster, Math.floor((position - dataPosition) / clusterSize))
    if (owner === undefined) return position
    throw corrupt('E_OVERLAP', `${named}, and cluster ${owner} lies at byte ${this.#raw(owner)}`, { details })
  }

  #raw(cluster: number): number {
    return this.#word(cluster) * this.#header.unit
  }

  #word(cluster: number): number {
    return this.#bat.word(cluster)
  }
}
