import type { ReferenceMap } from '../../../binary/reference-map.js'
import { isZero } from '../../../binary/zero.js'
import { decodeUnit } from '../../../block/read.js'
import { codecFor } from '../../../codec/registry.js'
import { isImageError } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import { L2Entry, type L1Entry } from '../format/entries.js'
import { l1Tables, walkTables, type L1Table, type WalkedTable } from '../format/table-walk.js'
import { overlapFinder } from '../format/tables.js'
import { countClusters, owner, type ImageParts } from '../format/owners.js'
import type { RefcountOnes } from './refcount-ones.js'

/** What is reported besides counting; without it a walk only counts. */
export interface Reporting {
  readonly ones: RefcountOnes
  /** Whether every compressed cluster is decoded; else only those that the file may end within. */
  readonly deep: boolean
}

/** After so many entries, or so many bytes decoded, the caller hears how far the walk is. */
const entriesPerStep = 65536
const bytesPerStep = 4 * 1024 * 1024

/**
 * Walks all L1 and L2 tables, counts the clusters they use, and reports what is wrong with their entries. Tables that
 * several L1 entries
 * lead to are walked once. Numbers that it gives are how far it is, from 0 to 1.
 */
export class TableCheck {
  readonly #imageParts: ImageParts
  readonly #map: ReferenceMap
  readonly #reporting: Reporting | undefined
  readonly #overlaps: (position: number) => string | undefined
  readonly #entry: L2Entry
  #found: Finding[] = []
  #decoded = 0

  constructor(imageParts: ImageParts, map: ReferenceMap, reporting?: Reporting) {
    const { store, header } = imageParts
    this.#imageParts = imageParts
    this.#map = map
    this.#reporting = reporting
    this.#overlaps = overlapFinder(store, header, header.l1)
    this.#entry = new L2Entry(header)
  }

  *run(): Generator<Finding | number> {
    const l1s = l1Tables(this.#imageParts)
    for (const { position, entries, times } of l1s)
      countClusters(this.#imageParts, this.#map, { position, length: entries * 8, kind: owner.l1, times })
    const follow = (entry: L1Entry, index: number, l1: L1Table, isFirstRound: boolean): boolean =>
      this.#l1Entry(entry, index, l1, isFirstRound)
    for (const table of walkTables(this.#imageParts, l1s, follow)) {
      yield* this.#drain()
      if (table === undefined) yield 0
      else yield* this.#l2(table)
    }
    yield* this.#drain()
  }

  /** Whether an entry leads to an L2 table. What is wrong with it is reported in the first round. */
  #l1Entry({ position, reserved, copied }: L1Entry, index: number, l1: L1Table, first: boolean): boolean {
    const {
      header: {
        geometry: { clusterSize },
      },
      store,
    } = this.#imageParts
    const { times, of } = l1
    const report = (code: string, message: string): void => {
      if (first) this.#report(code, `L1 entry ${index}${of}`, l1.position + index * 8, message)
    }
    if (reserved) report('E_L1_ENTRY', 'has reserved bits set')
    if (position === 0) {
      if (!reserved) report('E_L1_ENTRY', 'has the flag of a table, but no table')
      return false
    }
    if (position % clusterSize !== 0) {
      report('E_L1_ENTRY', `leads to byte ${position}, which begins no cluster`)
      return false
    }
    if (
      first &&
      !countClusters(this.#imageParts, this.#map, { position, length: clusterSize, kind: owner.l2, times })
    ) {
      report('E_TRUNCATED', `leads to an L2 table at byte ${position}, but the file ends at byte ${store.size}`)
      return false
    }
    if (of === '') this.#copied(copied, position, report, 'L2 table')
    // What is no L2 table is reported where clusters are compared; its bytes are no entries.
    return position < store.size && this.#overlaps(position) === undefined
  }

  *#l2(table: WalkedTable): Generator<Finding | number> {
    const {
      capacity,
      geometry: { clusterSize, entrySize, tableCoverage },
    } = this.#imageParts.header
    const { position, index, active, view, available } = table
    const walked = table.walked / table.total
    yield walked
    const mapped = active ? Math.max(0, Math.min(tableCoverage, capacity - index * tableCoverage)) : 0
    if (available < Math.ceil(mapped / clusterSize) * entrySize) {
      this.#report(
        'E_TRUNCATED',
        `L2 table of L1 entry ${index}`,
        position,
        `needs ${Math.ceil(mapped / clusterSize) * entrySize} bytes, but the file ends ${available} bytes ` +
          'after its start',
      )
    }
    yield* this.#drain()
    if (isZero(new Uint8Array(view.buffer))) return
    let step = entriesPerStep
    for (let entry = this.#entry.next(view, 0); entry >= 0; entry = this.#entry.next(view, entry + 1)) {
      const sound = this.#soundRun(table, entry)
      if (sound === 0) this.#l2Entry(table, entry)
      else entry += sound - 1
      if (this.#found.length > 0) yield* this.#drain()
      if (entry >= step || this.#decoded > bytesPerStep) {
        step = entry + entriesPerStep
        this.#decoded = 0
        yield walked
      }
    }
  }

  /**
   * Counts a run of entries, from the one that was read on, that lead to cluster after cluster and have nothing wrong:
   * how many they are. 0: it has to be looked at by itself, and nothing is counted.
   */
  #soundRun({ view, times, active }: WalkedTable, index: number): number {
    const { kind, position, reserved, unaligned, zeroFlag, copied } = this.#entry
    const {
      store,
      header: {
        dataFile,
        extendedL2,
        geometry: { clusterSize },
      },
    } = this.#imageParts
    if (kind !== 'allocated' || dataFile || extendedL2 || reserved || unaligned || zeroFlag) return 0
    const count = this.#entry.run(view, index, clusterSize)
    if (position + count * clusterSize > store.size) return 0
    const isOne = (): boolean => this.#reporting?.ones.all(position / clusterSize, count) ?? true
    if (active && this.#reporting !== undefined && (!copied || !isOne())) return 0
    const length = count * clusterSize
    countClusters(this.#imageParts, this.#map, { position, length, kind: owner.data, times })
    return count
  }

  #l2Entry({ position: tablePosition, times, index, active }: WalkedTable, entry: number): void {
    const {
      header,
      header: {
        geometry: { clusterSize, entriesPerTable, entrySize },
      },
    } = this.#imageParts
    const parts = this.#entry
    const offset = (index * entriesPerTable + entry) * clusterSize
    const report = (code: string, message: string): void =>
      this.#report(
        code,
        `L2 entry ${entry} (${active ? 'guest' : 'snapshot'} offset ${offset})`,
        tablePosition + entry * entrySize,
        message,
      )
    if (parts.reserved) report('E_RESERVED_BITS', 'has reserved bits set; readers pass over them')
    if (parts.zeroFlag && header.version < 3) report('E_L2_ENTRY', 'has the zero flag, which version 2 does not have')
    if (parts.zeroFlag && header.extendedL2)
      report('E_L2_ENTRY', 'has the zero flag, which extended entries do not have')
    switch (parts.kind) {
      case 'zero':
        return
      case 'unallocated':
        if (parts.allocated !== 0) report('E_L2_ENTRY', 'has allocated subclusters, but no host cluster')
        return
      case 'packed':
        this.#packed(offset, times, report)
        return
      case 'allocated':
        this.#allocated(offset, times, active, report)
    }
  }

  #packed(offset: number, times: number, report: (code: string, message: string) => void): void {
    const { position, storedLength, copied, allocated, zeroed } = this.#entry
    const { store, header } = this.#imageParts
    if (copied)
      report('E_COPIED', 'is compressed and has the flag of a refcount of one, which compressed clusters never have')
    if (header.dataFile) {
      report('E_L2_ENTRY', 'is compressed, which an external data file does not allow')
      return
    }
    if (allocated !== 0 || zeroed !== 0) {
      report('E_L2_ENTRY', 'is compressed and has subclusters')
      return
    }
    const inside = countClusters(this.#imageParts, this.#map, {
      position,
      length: storedLength,
      kind: owner.packed,
      times,
    })
    const isCut = (): void =>
      report(
        'E_TRUNCATED',
        `names ${storedLength} bytes of compressed data at byte ${position}, but the file ends at byte ${store.size}`,
      )
    if (!inside || position >= store.size) {
      isCut()
      return
    }
    if (this.#reporting === undefined || header.cryptMethod !== 0) return
    // The entry names whole sectors, and the data may end before the last one does: only decoding says what is missing.
    if (position + storedLength > store.size) {
      this.#decode(offset, isCut)
    } else if (this.#reporting.deep) this.#decode(offset, report)
  }

  #decode(offset: number, report: (code: string, message: string) => void): void {
    const {
      store,
      header: {
        geometry: { clusterSize },
      },
    } = this.#imageParts
    const { position, storedLength } = this.#entry
    const length = Math.min(storedLength, store.size - position)
    this.#decoded += clusterSize
    try {
      decodeUnit({
        kind: 'packed',
        offset,
        length: clusterSize,
        store,
        position,
        storedLength: length,
        codec: codecFor(this.#imageParts.header.compression === 'zstd' ? 'zstd' : 'deflate'),
        unitOffset: offset,
        unitLength: clusterSize,
      })
    } catch (error) {
      if (!isImageError(error)) throw error
      const why = error.cause instanceof Error ? error.cause.message : error.message
      report(error.code, `the compressed data at byte ${position} does not decode: ${why}`)
    }
  }

  #allocated(offset: number, times: number, active: boolean, report: (code: string, message: string) => void): void {
    const { position, copied, contradicts } = this.#entry
    const {
      header: {
        dataFile,
        geometry: { clusterSize },
      },
      store,
      data,
    } = this.#imageParts
    if (active) this.#copied(copied, dataFile ? undefined : position, report, 'cluster')
    if (contradicts) {
      report('E_L2_ENTRY', 'has a subcluster both allocated and zero')
      return
    }
    if (position % clusterSize !== 0)
      report('E_L2_ENTRY', `places the cluster at byte ${position}, which begins no cluster`)
    if (!dataFile) {
      const inside = countClusters(this.#imageParts, this.#map, {
        position,
        length: clusterSize,
        kind: owner.data,
        times,
      })
      if (!inside)
        report('E_TRUNCATED', `places the cluster at byte ${position}, but the file ends at byte ${store.size}`)
      else this.#shortCluster(offset, active, store.size, report, 'the file')
      return
    }
    if (position !== offset)
      report(
        'E_L2_ENTRY',
        `places the cluster at byte ${position} of the data file, where guest offset and position must be the same`,
      )
    else if (data !== undefined && data !== store && position >= data.size)
      report('E_TRUNCATED', `places the cluster at byte ${position} of the data file, which ends at byte ${data.size}`)
    else if (data !== undefined && data !== store)
      this.#shortCluster(offset, active, data.size, report, 'the data file')
  }

  /** A file may end within its last cluster; what is missing of it reads as zero. */
  #shortCluster(
    offset: number,
    active: boolean,
    size: number,
    report: (code: string, message: string) => void,
    file: string,
  ): void {
    const { position, allocated, zeroFlag } = this.#entry
    const {
      capacity,
      extendedL2,
      geometry: { clusterSize, grain },
    } = this.#imageParts.header
    if (position + clusterSize <= size || position % clusterSize !== 0 || zeroFlag) return
    const stored = extendedL2 ? (32 - Math.clz32(allocated)) * grain : clusterSize
    const shown = active ? Math.min(stored, capacity - offset) : stored
    if (position + shown <= size) return
    report(
      'W_SHORT_CLUSTER',
      `places the cluster at byte ${position}, but ${file} ends at byte ${size}, ${position + shown - size} bytes ` +
        'before the cluster does; the rest reads as zero',
    )
  }

  /**
   * The COPIED flag of an entry must say whether the refcount is one. @param position undefined in a data file, where
   * it always is.
   */
  #copied(
    copied: boolean,
    position: number | undefined,
    report: (code: string, message: string) => void,
    what: string,
  ): void {
    if (this.#reporting === undefined) return
    const one =
      position === undefined
        ? true
        : this.#reporting.ones.has(Math.floor(position / this.#imageParts.header.geometry.clusterSize))
    if (one === undefined || one === copied) return
    const where = position === undefined ? '' : ` at byte ${position}`
    report(
      'E_COPIED',
      copied
        ? `has the flag of a refcount of one, but the refcount of the ${what}${where} is another`
        : `lacks the flag of a refcount of one, which the ${what}${where} has`,
    )
  }

  #report(code: string, structure: string, position: number, message: string): void {
    if (this.#reporting === undefined) return
    const severity = code.startsWith('W_') ? 'warning' : 'error'
    this.#found.push({ severity, code, structure, position, message })
  }

  *#drain(): Generator<Finding> {
    const found = this.#found
    this.#found = []
    yield* found
  }
}
