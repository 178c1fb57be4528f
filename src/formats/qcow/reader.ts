import type { Work } from '../../block/work.js'
import { SparseBits } from '../../binary/sparse-bits.js'
import { viewOf } from '../../binary/integers.js'
import { Recent } from '../../binary/recent.js'
import { ExtentReader } from '../../block/read.js'
import { MappedUnits } from '../../block/mapped-units.js'
import { PieceRuns, walkedEntries, type Piece } from '../../block/runs.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import { deflateCodec } from '../../codec/deflate.js'
import { corrupt, hints, printable, reference, unsupported, type ImageError } from '../../errors.js'
import type { CheckOptions, DiskImage, Finding, ParentReference } from '../driver.js'
import { checkQcow } from './check.js'
import { decodeL1Entry, decodeL2Entry, skipEmpty } from './entries.js'
import { readHeader, type Header } from './header.js'

/** Bytes of L2 tables kept. */
const keptBytes = 4 * 1024 * 1024

/** One layer of a QCOW version 1 chain. */
export class QcowImage implements DiskImage {
  readonly format = 'qcow'
  readonly subformat = 'v1'
  readonly sectorSize = 512
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  readonly parentReference?: ParentReference
  readonly unreadable?: ImageError
  readonly #store: ByteStore
  readonly #header: Header
  readonly #notes: Note[] = []
  readonly #l1: DataView
  readonly #tables: Recent<DataView>
  readonly #reader = new ExtentReader(this)
  readonly #runs: PieceRuns
  readonly #seen = new SparseBits()
  readonly #mappedTables: MappedUnits
  readonly #mappedData: MappedUnits
  readonly #mappedPacked: MappedUnits

  constructor(store: ByteStore) {
    this.#store = store
    const header = readHeader(store)
    this.#header = header
    const kept = Math.max(1, Math.floor(keptBytes / (header.entriesPerTable * 8)))
    this.#tables = new Recent(kept, (position) => this.#readTable(position))
    this.capacity = header.capacity
    this.grain = header.clusterSize
    this.notes = this.#notes
    this.#mappedTables = new MappedUnits(header.entriesPerTable * 8, 64)
    this.#mappedData = new MappedUnits(header.clusterSize)
    this.#mappedPacked = new MappedUnits(4, Math.max(16, 2 ** 29 / header.clusterSize))
    this.#runs = new PieceRuns(header.capacity, (offset) => this.#piece(offset), {
      data: () => store,
      packed: store,
      codec: deflateCodec,
      unitLength: header.clusterSize,
    })
    const l1 = new Uint8Array(header.l1Entries * 8)
    store.read(header.l1Position, l1)
    this.#l1 = viewOf(l1)
    if (header.cryptMethod !== 0) {
      this.unreadable = unsupported(
        'E_ENCRYPTED',
        `${store.name}: the image is encrypted ` +
          `(${header.cryptMethod === 1 ? 'AES' : `method ${header.cryptMethod}`}); encrypted images cannot be read`,
        {
          details: { position: 36, method: header.cryptMethod },
          hint: 'Decrypt it with the program that made it, then convert the result.',
        },
      )
    }
    if (header.backingFile !== undefined) this.parentReference = new BackingName(header.backingFile, store.name)
  }

  extentAt(offset: number, limit: number): Extent {
    if (this.unreadable !== undefined) throw this.unreadable
    return this.#runs.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    const { clusterSize, cryptMethod, entriesPerTable, backingFile, rows } = this.#header
    return [
      {
        title: 'QCOW',
        facts: [
          { name: 'version', value: 1 },
          { name: 'clusterSize', value: clusterSize, unit: 'bytes' },
          { name: 'l2Entries', label: 'L2 entries', value: entriesPerTable, unit: 'count' },
          ...(cryptMethod === 0
            ? []
            : [{ name: 'encryption', value: cryptMethod === 1 ? 'AES' : `unknown method ${cryptMethod}` }]),
          ...(backingFile === undefined ? [] : [{ name: 'backingFile', value: printable(backingFile) }]),
        ],
        fields: rows,
      },
    ]
  }

  check(options: CheckOptions = {}): Work<void, Finding> {
    return checkQcow(this.#store, this.#header, this.#l1, options.deep === true)
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
  }

  #piece(offset: number): Piece {
    const { tableCoverage, clusterSize, clusterBits, entriesPerTable, l1Entries } = this.#header
    const l1Index = Math.floor(offset / tableCoverage)
    const tablePosition = decodeL1Entry(this.#l1, l1Index)
    if (tablePosition === 0)
      return {
        kind: 'absent',
        length: skipEmpty(this.#l1, l1Index, Math.min(l1Index + walkedEntries, l1Entries)) * tableCoverage - offset,
      }
    const mapped = Math.min(tableCoverage, this.capacity - l1Index * tableCoverage)
    const table = this.#table(tablePosition, Math.ceil(mapped / clusterSize) * 8)
    this.#countMapped(l1Index, tablePosition, table)
    const cluster = Math.floor(offset / clusterSize)
    const mapping = decodeL2Entry(table, cluster % entriesPerTable, clusterBits)
    const within = offset - cluster * clusterSize
    if (mapping.kind === 'absent') return { kind: 'absent', length: clusterSize - within }
    const { position } = mapping
    const size = this.#store.size
    if (position >= size) {
      throw corrupt(
        'E_TRUNCATED',
        `${this.#store.name}: the data of guest offset ${offset} is at byte ${position}, but the file ends at ` +
          `byte ${size}`,
        {
          details: { position, offset, size },
          hint: hints.incomplete,
        },
      )
    }
    if (mapping.kind === 'packed') {
      if (mapping.storedLength === 0) throw this.#damaged(offset, 'is compressed and has no bytes')
      return {
        kind: 'packed',
        length: clusterSize - within,
        position,
        storedLength: Math.min(mapping.storedLength, size - position),
        unitOffset: cluster * clusterSize,
      }
    }
    if (position % 512 !== 0) throw this.#damaged(offset, `is at byte ${position}, which is not sector aligned`)
    const available = size - position - within
    if (available <= 0) {
      if (this.#notes.length === 0)
        this.#notes.push({
          code: 'W_SHORT_CLUSTER',
          message:
            `${this.#store.name} ends within the cluster at byte ${position}; the rest of that cluster ` +
            'reads as zero',
        })
      return { kind: 'zero', length: clusterSize - within }
    }
    return { kind: 'data', position: position + within, length: Math.min(clusterSize - within, available) }
  }

  /**
   * Counts the clusters that the table of an L1 entry maps, once. @throws ImageError corrupt E_OVERLAP when most of
   * them were mapped before: more than the file can hold.
   */
  #countMapped(l1Index: number, tablePosition: number, table: DataView): void {
    if (this.#seen.has(l1Index)) return
    let isRight = this.#mappedTables.add(tablePosition)
    for (let entry = 0; isRight && entry < this.#header.entriesPerTable; entry++) {
      const mapping = decodeL2Entry(table, entry, this.#header.clusterBits)
      if (mapping.kind !== 'absent')
        isRight = (mapping.kind === 'data' ? this.#mappedData : this.#mappedPacked).add(mapping.position)
    }
    if (!isRight)
      throw corrupt(
        'E_OVERLAP',
        `${this.#store.name}: the tables map the same clusters again and again, more than the file ` +
          `can hold (L1 entry ` +
          `${l1Index})`,
        { details: { position: tablePosition }, hint: hints.check },
      )
    this.#seen.set(l1Index)
  }

  /** An L2 table, read when needed. `needed` is how many of its bytes map guest bytes: a file may end behind them. */
  #table(position: number, needed: number): DataView {
    const store = this.#store
    const length = this.#header.entriesPerTable * 8
    const available = Math.min(length, store.size - position)
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
    const l1 = this.#header.l1Position
    if (position < 48 || (position < l1 + this.#header.l1Entries * 8 && position + length > l1)) {
      throw corrupt(
        'E_OVERLAP',
        `${store.name}: an L1 entry takes byte ${position} for an L2 table, where the header or the L1 table is`,
        { details: { position } },
      )
    }
    return this.#tables.get(position)
  }

  #readTable(position: number): DataView {
    const store = this.#store
    const bytes = new Uint8Array(this.#header.entriesPerTable * 8)
    store.read(position, bytes.subarray(0, Math.min(bytes.length, store.size - position)))
    return viewOf(bytes)
  }

  #damaged(offset: number, reason: string): ImageError {
    return corrupt('E_CORRUPT', `${this.#store.name}: the L2 entry of guest offset ${offset} ${reason}`, {
      details: { offset },
    })
  }
}

/**
 * QCOW version 1 records a name and nothing else. `paths` throws reference E_BACKING_UNSUPPORTED for names that are no
 * plain file.
 */
class BackingName implements ParentReference {
  readonly #name: string
  readonly #imageName: string

  constructor(name: string, imageName: string) {
    this.#name = name
    this.#imageName = imageName
  }

  get paths(): readonly string[] {
    const protocol = /^([^/:]{2,}):/.exec(this.#name)?.[1]?.toLowerCase()
    if (protocol === undefined) return [this.#name]
    if (protocol === 'file') return [this.#name.slice('file:'.length)]
    throw reference(
      'E_BACKING_UNSUPPORTED',
      `${this.#imageName}: its backing file "${printable(this.#name)}" is not opened: ` +
        `"${printable(protocol)}:" is no plain file`,
    )
  }

  verify(): void {
    // No identity is recorded.
  }
}
