import { viewOf } from '../../../binary/integers.js'
import type { UseMap } from '../../../binary/use-map.js'
import { isZero } from '../../../binary/zero.js'
import { decodeUnit } from '../../../block/read.js'
import { codecFor } from '../../../codec/registry.js'
import { isImageError } from '../../../errors.js'
import type { Finding } from '../../driver.js'
import { EntryParts, type EntryRules } from '../format/entries.js'
import { l1Tables, readL1Pieces, type L1Table } from '../format/l1-tables.js'
import type { StoredRefcounts } from '../format/refcounts.js'
import { TableSet, type TableUse } from '../format/table-set.js'
import { overlapFinder } from '../format/tables.js'
import { countUse, owner, type Anatomy } from '../format/use.js'

/** What is told besides counting; without it a walk only counts. */
export interface Telling {
  readonly stored: StoredRefcounts
  /** Whether every compressed cluster is decoded; else only those that the file may end within. */
  readonly deep: boolean
}

/** After so many entries, or so many bytes decoded, the caller hears how far the walk is. */
const entriesPerStep = 65536
const bytesPerStep = 4 * 1024 * 1024

/**
 * Walks all L1 and L2 tables, counts the clusters they use, and tells what is wrong with their entries. Tables that
 * several L1 entries
 * lead to are walked once. Numbers that it gives are how far it is, from 0 to 1.
 */
export class TableWalk {
  readonly #anatomy: Anatomy
  readonly #map: UseMap
  readonly #telling: Telling | undefined
  readonly #rules: EntryRules
  readonly #overlaps: (position: number) => string | undefined
  readonly #parts = new EntryParts()
  readonly #table: Uint8Array
  #found: Finding[] = []
  #decoded = 0

  constructor(anatomy: Anatomy, map: UseMap, telling?: Telling) {
    const { store, header } = anatomy
    this.#anatomy = anatomy
    this.#map = map
    this.#telling = telling
    this.#rules = {
      version: header.version,
      clusterBits: header.geometry.clusterBits,
      extended: header.extendedL2,
      dataFile: header.dataFile,
    }
    this.#overlaps = overlapFinder(store, header, header.l1)
    this.#table = new Uint8Array(header.geometry.clusterSize)
  }

  *run(): Generator<Finding | number> {
    for (let start = 0; start < Infinity;) {
      const tables = new TableSet(start)
      for (const l1 of l1Tables(this.#anatomy)) yield* this.#l1(l1, tables, start === 0)
      let walked = 0
      for (const table of tables) {
        yield* this.#l2(table, walked / tables.size)
        walked++
      }
      start = tables.limit
    }
  }

  *#l1(l1: L1Table, tables: TableSet, first: boolean): Generator<Finding | number> {
    const { position, entries, times } = l1
    if (first) countUse(this.#anatomy, this.#map, { position, length: entries * 8, kind: owner.l1, times })
    for (const { view, start } of readL1Pieces(this.#anatomy.store, l1)) {
      yield 0
      for (let at = 0; at < view.byteLength / 8; at++) {
        if (!this.#parts.readL1(view, at)) continue
        this.#l1Entry(l1, start + at, tables, first)
        if (this.#found.length > 0) yield* this.#drain()
      }
    }
  }

  #l1Entry({ position: l1Position, times, of }: L1Table, index: number, tables: TableSet, first: boolean): void {
    const {
      header: {
        geometry: { clusterSize },
      },
    } = this.#anatomy
    const { position, reserved, copied } = this.#parts
    const tell = (code: string, message: string): void => {
      if (first) this.#tell(code, `L1 entry ${index}${of}`, l1Position + index * 8, message)
    }
    if (reserved) tell('E_L1_ENTRY', 'has reserved bits set')
    if (position === 0) {
      if (!reserved) tell('E_L1_ENTRY', 'has the flag of a table, but no table')
      return
    }
    if (position % clusterSize !== 0) {
      tell('E_L1_ENTRY', `leads to byte ${position}, which begins no cluster`)
      return
    }
    if (first && !countUse(this.#anatomy, this.#map, { position, length: clusterSize, kind: owner.l2, times })) {
      tell(
        'E_TRUNCATED',
        `leads to an L2 table at byte ${position}, but the file ends at byte ${this.#anatomy.store.size}`,
      )
      return
    }
    if (of === '') this.#copied(copied, position, tell, 'L2 table')
    // What is no L2 table is told where clusters are compared; its bytes are no entries.
    if (position < this.#anatomy.store.size && this.#overlaps(position) === undefined)
      tables.add(position, times, index, of === '')
  }

  *#l2(table: TableUse, walked: number): Generator<Finding | number> {
    const {
      store,
      header: {
        capacity,
        geometry: { clusterSize, entriesPerTable, entrySize, tableCoverage },
      },
    } = this.#anatomy
    const { position, index, active } = table
    const bytes = this.#table
    const available = Math.min(clusterSize, store.size - position)
    store.read(position, bytes.subarray(0, available))
    bytes.fill(0, available)
    yield walked
    const mapped = active ? Math.max(0, Math.min(tableCoverage, capacity - index * tableCoverage)) : 0
    if (available < Math.ceil(mapped / clusterSize) * entrySize) {
      this.#tell(
        'E_TRUNCATED',
        `L2 table of L1 entry ${index}`,
        position,
        `needs ${Math.ceil(mapped / clusterSize) * entrySize} bytes, but the file ends ${available} bytes ` +
          'after its start',
      )
    }
    if (isZero(bytes)) {
      yield* this.#drain()
      return
    }
    const view = viewOf(bytes)
    for (let entry = 0; entry < entriesPerTable; entry++) {
      if (this.#parts.readL2(view, entry, this.#rules)) this.#l2Entry(table, entry)
      if (this.#found.length > 0) yield* this.#drain()
      if ((entry + 1) % entriesPerStep === 0 || this.#decoded > bytesPerStep) {
        this.#decoded = 0
        yield walked
      }
    }
  }

  #l2Entry({ position: tablePosition, times, index, active }: TableUse, entry: number): void {
    const {
      header,
      header: {
        geometry: { clusterSize, entriesPerTable, entrySize },
      },
    } = this.#anatomy
    const parts = this.#parts
    const offset = (index * entriesPerTable + entry) * clusterSize
    const tell = (code: string, message: string): void =>
      this.#tell(
        code,
        `L2 entry ${entry} (${active ? 'guest' : 'snapshot'} offset ${offset})`,
        tablePosition + entry * entrySize,
        message,
      )
    if (parts.reserved) tell('E_RESERVED_BITS', 'has reserved bits set; readers pass over them')
    if (parts.zeroFlag && header.version < 3) tell('E_L2_ENTRY', 'has the zero flag, which version 2 does not have')
    if (parts.zeroFlag && header.extendedL2) tell('E_L2_ENTRY', 'has the zero flag, which extended entries do not have')
    switch (parts.kind) {
      case 'zero':
        return
      case 'unallocated':
        if (parts.allocated !== 0) tell('E_L2_ENTRY', 'has allocated subclusters, but no host cluster')
        return
      case 'packed':
        this.#packed(offset, times, tell)
        return
      case 'allocated':
        this.#allocated(offset, times, active, tell)
    }
  }

  #packed(offset: number, times: number, tell: (code: string, message: string) => void): void {
    const { position, storedLength, copied, allocated, zeroed } = this.#parts
    const { store, header } = this.#anatomy
    if (copied)
      tell('E_COPIED', 'is compressed and has the flag of a refcount of one, which compressed clusters never have')
    if (header.dataFile) {
      tell('E_L2_ENTRY', 'is compressed, which an external data file does not allow')
      return
    }
    if (allocated !== 0 || zeroed !== 0) {
      tell('E_L2_ENTRY', 'is compressed and has subclusters')
      return
    }
    const inside = countUse(this.#anatomy, this.#map, { position, length: storedLength, kind: owner.packed, times })
    const isCut = (): void =>
      tell(
        'E_TRUNCATED',
        `names ${storedLength} bytes of compressed data at byte ${position}, but the file ends at byte ${store.size}`,
      )
    if (!inside || position >= store.size) {
      isCut()
      return
    }
    if (this.#telling === undefined || header.cryptMethod !== 0) return
    // The entry names whole sectors, and the data may end before the last one does: only decoding says what is missing.
    if (position + storedLength > store.size) {
      this.#decode(offset, isCut)
    } else if (this.#telling.deep) this.#decode(offset, tell)
  }

  #decode(offset: number, tell: (code: string, message: string) => void): void {
    const {
      store,
      header: {
        geometry: { clusterSize },
      },
    } = this.#anatomy
    const { position, storedLength } = this.#parts
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
        codec: codecFor(this.#anatomy.header.compression === 'zstd' ? 'zstd' : 'deflate'),
        unitOffset: offset,
        unitLength: clusterSize,
      })
    } catch (error) {
      if (!isImageError(error)) throw error
      const why = error.cause instanceof Error ? error.cause.message : error.message
      tell(error.code, `the compressed data at byte ${position} does not decode: ${why}`)
    }
  }

  #allocated(offset: number, times: number, active: boolean, tell: (code: string, message: string) => void): void {
    const { position, copied, contradicts } = this.#parts
    const {
      header: {
        dataFile,
        geometry: { clusterSize },
      },
      store,
      data,
    } = this.#anatomy
    if (active) this.#copied(copied, dataFile ? undefined : position, tell, 'cluster')
    if (contradicts) {
      tell('E_L2_ENTRY', 'has a subcluster both allocated and zero')
      return
    }
    if (position % clusterSize !== 0)
      tell('E_L2_ENTRY', `places the cluster at byte ${position}, which begins no cluster`)
    if (!dataFile) {
      const inside = countUse(this.#anatomy, this.#map, { position, length: clusterSize, kind: owner.data, times })
      if (!inside)
        tell('E_TRUNCATED', `places the cluster at byte ${position}, but the file ends at byte ${store.size}`)
      else this.#shortCluster(offset, active, store.size, tell, 'the file')
      return
    }
    if (position !== offset)
      tell(
        'E_L2_ENTRY',
        `places the cluster at byte ${position} of the data file, where guest offset and position must be the same`,
      )
    else if (data !== undefined && data !== store && position >= data.size)
      tell('E_TRUNCATED', `places the cluster at byte ${position} of the data file, which ends at byte ${data.size}`)
    else if (data !== undefined && data !== store) this.#shortCluster(offset, active, data.size, tell, 'the data file')
  }

  /** A file may end within its last cluster; what is missing of it reads as zero. */
  #shortCluster(
    offset: number,
    active: boolean,
    size: number,
    tell: (code: string, message: string) => void,
    file: string,
  ): void {
    const { position, allocated, zeroFlag } = this.#parts
    const {
      capacity,
      extendedL2,
      geometry: { clusterSize, grain },
    } = this.#anatomy.header
    if (position + clusterSize <= size || position % clusterSize !== 0 || zeroFlag) return
    const stored = extendedL2 ? (32 - Math.clz32(allocated)) * grain : clusterSize
    const shown = active ? Math.min(stored, capacity - offset) : stored
    if (position + shown <= size) return
    tell(
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
    tell: (code: string, message: string) => void,
    what: string,
  ): void {
    if (this.#telling === undefined) return
    const one =
      position === undefined
        ? true
        : this.#telling.stored.isOne(Math.floor(position / this.#anatomy.header.geometry.clusterSize))
    if (one === undefined || one === copied) return
    const where = position === undefined ? '' : ` at byte ${position}`
    tell(
      'E_COPIED',
      copied
        ? `has the flag of a refcount of one, but the refcount of the ${what}${where} is another`
        : `lacks the flag of a refcount of one, which the ${what}${where} has`,
    )
  }

  #tell(code: string, structure: string, position: number, message: string): void {
    if (this.#telling === undefined) return
    const severity = code.startsWith('W_') ? 'warning' : 'error'
    this.#found.push({ severity, code, structure, position, message })
  }

  *#drain(): Generator<Finding> {
    const found = this.#found
    this.#found = []
    yield* found
  }
}
