import { Recent } from '../../binary/recent.js'
import type { Work } from '../../block/work.js'
import { viewOf } from '../../binary/integers.js'
import { UnitOwners } from '../../binary/unit-owners.js'
import { extentFaults } from '../../block/extent-faults.js'
import { ExtentSource } from '../../block/extent-source.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import { corrupt } from '../../errors.js'
import type { CheckOptions, DiskImage, Finding, ParentReference } from '../driver.js'
import { zeroCluster } from './entries.js'
import { readHeader, type Header } from './header.js'

const pieceLength = 65536
/** 16 MiB of table pieces. */
const keptPieces = 256
/** Clusters that one extent covers at most. */
const longestRun = 4096
/** L2 tables whose places are known before the first cluster is looked for; the others are entered as they are met. */
const mostTablesFirst = 65536

/** QEMU's retired format QED: two levels of tables over clusters. */
export class QedImage extends ExtentSource implements DiskImage {
  readonly format = 'qed'
  readonly subformat = 'qed'
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  readonly parentReference?: ParentReference
  readonly #header: Header
  readonly #pieces = new Recent(keptPieces, (number) => this.#piece(number))
  /** Of the clusters of the file; an L2 table is entered behind the clusters of the disk, by its L1 entry. */
  readonly #owners = new UnitOwners()
  readonly #clusters: number
  #areTablesEntered = false
  /** The L1 entry whose table was found in order last. */
  #soundTable = -1

  constructor(store: ByteStore) {
    super(store)
    const header = readHeader(store)
    this.#header = header
    this.capacity = header.capacity
    this.#clusters = Math.ceil(header.capacity / header.clusterSize)
    this.grain = Math.min(header.clusterSize, 1024 * 1024)
    this.notes = header.notes
    const { backing } = header
    if (backing !== undefined)
      this.parentReference = {
        paths: [backing.name],
        format: backing.isRaw ? 'raw' : undefined,
        verify: () => undefined,
      }
  }

  protected runAt(offset: number, end: number): Extent {
    const { clusterSize } = this.#header
    const first = this.#clusterAt(offset)
    let next = (Math.floor(offset / clusterSize) + 1) * clusterSize
    const unit = first.kind === 'data' ? clusterSize : first.length
    if (first.kind !== 'data') next = Math.max(next, first.end)
    for (let count = 1; next < end && count < longestRun; count++) {
      const more = this.#clusterAt(next)
      if (more.kind !== first.kind) break
      if (more.kind === 'data' && first.kind === 'data' && more.position !== first.position + count * unit) break
      next = more.kind === 'data' ? next + clusterSize : more.end
    }
    const length = Math.min(next, end) - offset
    if (first.kind !== 'data') return { kind: first.kind, offset, length }
    const position = first.position + (offset % clusterSize)
    const available = this.store.size - position
    if (available <= 0) throw this.#truncated(offset, position)
    return { kind: 'data', offset, length: Math.min(length, available), store: this.store, position }
  }

  describe(): Section[] {
    const { clusterSize, entries, l1Position, backing, rows } = this.#header
    return [
      {
        title: 'QED',
        facts: [
          { name: 'clusterSize', value: clusterSize, unit: 'bytes' },
          { name: 'tableEntries', value: entries, unit: 'count' },
          { name: 'l1Position', label: 'L1 table at', value: l1Position, unit: 'bytes' },
          ...(backing === undefined
            ? []
            : [{ name: 'backingIsRaw', label: 'backing file is raw', value: backing.isRaw }]),
        ],
        fields: rows,
      },
    ]
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    let isSound = true
    for (const item of extentFaults(this, this.#header.clusterSize, deep))
      if ('error' in item) {
        isSound = false
        yield {
          severity: 'error',
          code: item.error.code,
          structure: `cluster at guest offset ${item.offset - (item.offset % this.#header.clusterSize)}`,
          message: item.error.message,
        }
      } else yield item
    if (isSound) yield* this.#unused()
  }

  /** Clusters of the file that nothing names: space lost, or what is left of a table that is. */
  *#unused(): Generator<Finding> {
    const { clusterSize, tableBytes, values } = this.#header
    const { claimed } = this.#owners
    if (claimed === undefined) return
    const used = values.headerSize + tableBytes / clusterSize + claimed
    const lost = Math.ceil(this.store.size / clusterSize) - used
    if (lost > 0)
      yield {
        severity: 'leak',
        code: 'L_UNREFERENCED',
        structure: 'file',
        position: values.headerSize * clusterSize,
        message: `${lost} clusters of ${clusterSize} bytes belong to no cluster of the disk and to no table`,
      }
  }

  /** What the tables say of the cluster at an offset; of what is not there, as far as that is known at once. */
  #clusterAt(
    offset: number,
  ):
    | { readonly kind: 'data'; readonly position: number }
    | { readonly kind: 'zero' | 'absent'; readonly length: number; readonly end: number } {
    const { clusterSize, entries, l1Position } = this.#header
    const cluster = Math.floor(offset / clusterSize)
    if (!this.#areTablesEntered) this.#enterTables()
    const none = this.parentReference === undefined ? 'zero' : 'absent'
    const l1 = Math.floor(cluster / entries)
    const table = this.#entry(l1Position, l1)
    const coverage = entries * clusterSize
    if (table === 0) return { kind: none, length: coverage, end: (l1 + 1) * coverage }
    if (l1 !== this.#soundTable) this.#table(table, l1)
    const entry = this.#entry(table, cluster % entries)
    const end = (cluster + 1) * clusterSize
    if (entry === 0) return { kind: none, length: clusterSize, end }
    if (entry === zeroCluster) return { kind: 'zero', length: clusterSize, end }
    this.#place(
      entry,
      Math.min(clusterSize, this.capacity - cluster * clusterSize),
      `L2 entry of guest offset ${offset}`,
    )
    this.#claim(cluster, entry)
    return { kind: 'data', position: entry }
  }

  /** Enters where the L2 tables lie, so that a cluster on one is found out whichever is read first. */
  #enterTables(): void {
    this.#areTablesEntered = true
    const { clusterSize, entries, l1Position, tableBytes } = this.#header
    const count = Math.min(Math.ceil(this.#clusters / entries), mostTablesFirst)
    for (let l1 = 0; l1 < count; l1++) {
      const table = this.#entry(l1Position, l1)
      // What is wrong with a place is said when something below it is read.
      if (table === 0 || table % clusterSize !== 0 || table + tableBytes > this.store.size) continue
      for (let at = table; at < table + tableBytes; at += clusterSize)
        this.#owners.claim(this.#clusters + l1, at / clusterSize)
    }
  }

  /** @throws ImageError corrupt, where no L2 table can be at a position, or something else is. */
  #table(position: number, l1: number): void {
    const { clusterSize, tableBytes } = this.#header
    this.#place(position, tableBytes, `L1 entry ${l1}`)
    for (let at = position; at < position + tableBytes; at += clusterSize) this.#claim(this.#clusters + l1, at)
    this.#soundTable = l1
  }

  /** @throws ImageError corrupt E_OVERLAP. */
  #claim(unit: number, position: number): void {
    const owner = this.#owners.claim(unit, position / this.#header.clusterSize)
    if (owner === undefined) return
    throw corrupt(
      'E_OVERLAP',
      `${this.store.name}: ${this.#unitName(owner)} and ${this.#unitName(unit)} both lie at byte ${position}`,
      { details: { position } },
    )
  }

  #unitName(unit: number): string {
    return unit < this.#clusters
      ? `the cluster at guest offset ${unit * this.#header.clusterSize}`
      : `the L2 table of L1 entry ${unit - this.#clusters}`
  }

  #place(position: number, length: number, what: string): void {
    const { clusterSize, values, l1Position, tableBytes } = this.#header
    if (position % clusterSize !== 0 || position < values.headerSize * clusterSize)
      throw corrupt('E_MAP', `${this.store.name}: the ${what} leads to byte ${position}, where no cluster begins`, {
        details: { position },
      })
    if (position < l1Position + tableBytes && position + length > l1Position)
      throw corrupt('E_OVERLAP', `${this.store.name}: the ${what} leads to byte ${position}, into the L1 table`, {
        details: { position },
      })
    if (position + length > this.store.size)
      throw corrupt(
        'E_TRUNCATED',
        `${this.store.name}: the ${what} leads to bytes ${position} to ${position + length}, but ` +
          `the file ends at byte ` +
          `${this.store.size}`,
        { details: { position, size: this.store.size } },
      )
  }

  #truncated(offset: number, position: number): Error {
    return corrupt(
      'E_TRUNCATED',
      `${this.store.name}: guest offset ${offset} would lie at byte ${position}, past the end`,
    )
  }

  /** An entry of a table, read with what is around it. */
  #entry(table: number, index: number): number {
    const position = table + index * 8
    const piece = this.#pieces.get(Math.floor(position / pieceLength))
    const at = position % pieceLength
    // More than any file has bytes is refused as a place.
    return piece.getUint32(at, true) + piece.getUint32(at + 4, true) * 2 ** 32
  }

  #piece(number: number): DataView {
    const start = number * pieceLength
    const bytes = new Uint8Array(Math.min(pieceLength, this.store.size - start))
    this.store.read(start, bytes)
    return viewOf(bytes)
  }
}
