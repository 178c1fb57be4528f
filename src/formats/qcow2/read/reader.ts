import type { Work } from '../../../block/work.js'
import fs from '../../../sys/host-fs.js'
import { codecFor } from '../../../codec/registry.js'
import { ExtentReader } from '../../../block/read.js'
import { PieceRuns, walkedEntries, type Piece } from '../../../block/runs.js'
import type { ByteStore, Extent, Note, Section } from '../../../block/types.js'
import { corrupt, hints, printable, reference, unsupported, type ImageError } from '../../../errors.js'
import {
  chooseSnapshot,
  type CheckOptions,
  type DiskImage,
  type FileReference,
  type Finding,
  type ImageSnapshot,
  type OpenContext,
  type ParentReference,
} from '../../driver.js'
import { BackingReference } from '../format/backing.js'
import { checkQcow2 } from '../judge/check.js'
import { describeImage } from './describe.js'
import { EntryFinder, type DiskTables } from '../format/entry-finder.js'
import { skipEmpty, type L2Entry } from '../format/entries.js'
import { dirtyRuns, trustedNames } from '../format/bitmaps.js'
import { readHeader, type Header } from '../format/header.js'
import { MappedClusters } from './mapped.js'
import { openingNotes } from './notes.js'
import { ownBytes } from '../judge/snapshot-use.js'
import { readableSnapshots, snapshotDisk, type Snapshot } from '../format/snapshots.js'
import type { ImageParts } from '../format/owners.js'
import { fileTables } from '../format/tables.js'

/** One layer of a QCOW2 chain, versions 2 and 3: the active disk or a snapshot. */
export class Qcow2Image implements DiskImage {
  readonly format = 'qcow2'
  readonly subformat: string
  readonly sectorSize = 512
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  readonly parentReference?: ParentReference
  readonly references?: readonly FileReference[]
  readonly unreadable?: ImageError
  readonly #store: ByteStore
  readonly #header: Header
  readonly #snapshots: readonly Snapshot[]
  readonly #snapshotFault: ImageError | undefined
  readonly #notes: Note[]
  readonly #tables: DiskTables
  readonly #l1Entries: number
  readonly #finder: EntryFinder
  /** Where data clusters are: the file itself or the external data file; undefined when that was not opened. */
  readonly #data: ByteStore | undefined
  readonly #reader = new ExtentReader(this)
  readonly #runs: PieceRuns

  /** @param live tables to read the active disk by, instead of those in the file. */
  constructor(store: ByteStore, context: OpenContext, live?: DiskTables) {
    this.#store = store
    const header = readHeader(store, 'read')
    this.#header = header
    this.subformat = `v${header.version}`
    this.grain = header.geometry.grain
    const { snapshots, fault } = readableSnapshots(store, header)
    this.#snapshots = snapshots
    this.#snapshotFault = fault
    // A snapshot that is not among those that can be read may be one of the others.
    if (fault !== undefined && context.snapshot !== undefined && !isAmong(snapshots, context.snapshot)) throw fault
    const disk =
      context.snapshot === undefined
        ? header
        : snapshotDisk(store, header, chooseSnapshot(this.#snapshots, context.snapshot, store.name))
    this.capacity = disk.capacity
    this.#l1Entries = disk.l1.entries
    this.#tables = live ?? fileTables(store, header, disk.l1)
    this.#finder = new EntryFinder(
      header,
      this.#tables,
      live === undefined ? new MappedClusters(store.name, header) : undefined,
    )
    this.#runs = new PieceRuns(this.capacity, (offset) => this.#piece(offset), {
      data: () => this.#dataStore(),
      packed: store,
      codec: codecFor(header.compression === 'zstd' ? 'zstd' : 'deflate'),
      unitLength: header.geometry.clusterSize,
    })
    this.#notes = openingNotes(store.name, header, this.capacity)
    this.notes = this.#notes
    if (header.cryptMethod !== 0) {
      const method = ['', 'AES', 'LUKS'][header.cryptMethod] ?? `method ${header.cryptMethod}`
      this.unreadable = unsupported(
        'E_ENCRYPTED',
        `${store.name}: the image is encrypted (${method}); encrypted images cannot be read`,
        {
          details: { position: 32, method: header.cryptMethod },
          hint: 'Decrypt it with the program that made it, then convert the result.',
        },
      )
    }
    if (header.backingFile !== undefined)
      this.parentReference = new BackingReference(header.backingFile, header.extensions.backingFormat, store.name)
    this.#data = header.dataFile ? this.#openDataFile(context) : store
    if (header.dataFile && header.extensions.dataFile !== undefined)
      this.references = [{ role: 'data-file', path: header.extensions.dataFile }]
  }

  changes(bitmap: string): Iterable<{ readonly offset: number; readonly length: number }> {
    return dirtyRuns(this.#store, this.#header, bitmap, this.capacity)
  }

  get bitmaps(): readonly string[] {
    return trustedNames(this.#store, this.#header)
  }

  extentAt(offset: number, limit: number): Extent {
    if (this.unreadable !== undefined) throw this.unreadable
    return this.#runs.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  get snapshots(): readonly ImageSnapshot[] {
    return this.#snapshots.map(({ id, name, time, diskSize, vmStateSize }) => ({
      id,
      name,
      time,
      capacity: diskSize === undefined ? this.#header.capacity : numberOf(diskSize),
      vmStateSize: numberOf(vmStateSize),
    }))
  }

  snapshotUse(wanted: string): Work<number> {
    return ownBytes(this.#imageParts, chooseSnapshot(this.#snapshots, wanted, this.#store.name))
  }

  /** The tables it reads by have changed. */
  changed(): void {
    this.#runs.forget()
  }

  describe(): Section[] {
    return describeImage(this.#store, this.#header, this.#snapshots)
  }

  /** Judges the whole file, whichever of its disks was opened. */
  check(options: CheckOptions = {}): Work<void, Finding> {
    return checkQcow2(this.#imageParts, options.deep === true)
  }

  get #imageParts(): ImageParts {
    return {
      store: this.#store,
      header: this.#header,
      snapshots: this.#snapshots,
      snapshotFault: this.#snapshotFault,
      data: this.#data,
    }
  }

  [Symbol.dispose](): void {
    if (this.#data !== this.#store) this.#data?.[Symbol.dispose]()
    this.#store[Symbol.dispose]()
  }

  /** The run at `offset` that one table entry (or one stretch of empty L1 entries) says, from `offset` to its end. */
  #piece(offset: number): Piece {
    const { tableCoverage, clusterSize } = this.#header.geometry
    const finder = this.#finder
    const cluster = Math.floor(offset / clusterSize)
    if (finder.find(cluster, this.capacity)) return this.#clusterPiece(finder.l2, offset, cluster * clusterSize)
    const l1Index = Math.floor(offset / tableCoverage)
    if (!finder.l1.isEmpty)
      throw this.#damaged(`L1 entry ${l1Index}`, offset, finder.l1.fault(clusterSize) ?? 'leads to no table')
    const end = skipEmpty(this.#tables.l1, l1Index, Math.min(l1Index + walkedEntries, this.#l1Entries))
    return { kind: 'absent', length: end * tableCoverage - offset }
  }

  #clusterPiece(entry: L2Entry, offset: number, clusterOffset: number): Piece {
    const { clusterSize, grain } = this.#header.geometry
    const { fault } = entry
    if (fault !== undefined) throw this.#damaged(`the L2 entry at byte ${this.#finder.position}`, offset, fault)
    const within = offset - clusterOffset
    if (entry.kind === 'packed') {
      const { position } = entry
      if (position >= this.#store.size) throw this.#truncated(this.#store, position, offset)
      return {
        kind: 'packed',
        length: clusterSize - within,
        position,
        unitOffset: clusterOffset,
        storedLength: Math.min(entry.storedLength, this.#store.size - position),
      }
    }
    const unit = Math.floor(within / grain)
    const status = entry.status(unit)
    const end = entry.runEnd(unit) * grain
    return status === 'data'
      ? this.#dataPiece(entry, offset, clusterOffset, end)
      : { kind: status, length: end - within }
  }

  /**
   * Data from `offset` to `endWithin` of its cluster, or to the file's end; beyond that the last cluster of a file is
   * zero.
   */
  #dataPiece({ position, reserved }: L2Entry, offset: number, clusterOffset: number, endWithin: number): Piece {
    const entryPosition = this.#finder.position
    if (reserved)
      this.#note('W_RESERVED_BITS', `the L2 entry at byte ${entryPosition} has reserved bits set; they were ignored`)
    if (this.#header.dataFile && position !== clusterOffset) {
      throw this.#damaged(
        `the L2 entry at byte ${entryPosition}`,
        offset,
        `places the cluster at byte ${position} of the data file, where guest offset and position ` +
          'must be the same',
      )
    }
    const store = this.#dataStore()
    if (position >= store.size) throw this.#truncated(store, position, offset)
    const within = offset - clusterOffset
    // In a data file each entry has a place of its own to be looked at; one with a flag of its own stands alone.
    const isWhole = endWithin === this.#header.geometry.clusterSize && !this.#header.dataFile && !reserved
    const entries = isWhole ? this.#finder.run() : 1
    const end = endWithin + (entries - 1) * this.#header.geometry.clusterSize
    const available = store.size - position - within
    if (available <= 0) {
      this.#note(
        'W_SHORT_CLUSTER',
        `${printable(store.name)} ends within the cluster at byte ${position}; the rest of that ` +
          'cluster reads as zero',
      )
      return { kind: 'zero', length: endWithin - within }
    }
    return { kind: 'data', position: position + within, length: Math.min(end - within, available), entries }
  }

  #dataStore(): ByteStore {
    if (this.#data !== undefined) return this.#data
    const name = this.#header.extensions.dataFile
    if (name === undefined)
      throw reference(
        'E_REFERENCE_NOT_RECORDED',
        `${this.#store.name}: its content is in an external data file, whose name it does not record`,
      )
    throw reference(
      'E_REFERENCE_NOT_OPENED',
      `${this.#store.name}: its content is in the external data file "${printable(name)}", which was not opened`,
    )
  }

  #openDataFile(context: OpenContext): ByteStore | undefined {
    const path = this.#header.extensions.dataFile
    // A file that cannot be read for another reason needs no data file; info of it then works without.
    if (path === undefined || path === '' || this.unreadable !== undefined) return undefined
    const data = context.openReference({ role: 'data-file', path })
    if (data !== undefined && sameFile(data, this.#store)) {
      data[Symbol.dispose]()
      throw corrupt('E_DATA_FILE', `${this.#store.name}: names itself as its external data file`)
    }
    return data
  }

  #note(code: string, message: string): void {
    if (!this.#notes.some((note) => note.code === code)) this.#notes.push({ code, message })
  }

  #damaged(what: string, offset: number, reason: string): ImageError {
    return corrupt('E_CORRUPT', `${this.#store.name}: ${what} (guest offset ${offset}) ${reason}`, {
      details: { offset },
    })
  }

  #truncated(store: ByteStore, position: number, offset: number): ImageError {
    return corrupt(
      'E_TRUNCATED',
      `${store.name}: the data of guest offset ${offset} is at byte ${position}, but the file ends at byte ` +
        `${store.size}`,
      {
        details: { position, offset, size: store.size },
        hint: hints.incomplete,
      },
    )
  }
}

function isAmong(snapshots: readonly Snapshot[], wanted: string): boolean {
  const text = wanted.replace(/^(?:id|name):/, '')
  return snapshots.some(({ id, name }) => [id, name].some((known) => known === wanted || known === text))
}

function numberOf(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
}

function sameFile(one: ByteStore, other: ByteStore): boolean {
  if (one === other) return true
  if (one.fd === undefined || other.fd === undefined) return false
  const a = fs.fstatSync(one.fd, { bigint: true })
  const b = fs.fstatSync(other.fd, { bigint: true })
  return a.ino === b.ino && a.dev === b.dev
}
