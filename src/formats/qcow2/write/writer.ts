import { writeZeros } from '../../../block/zeros.js'
import { ceilDivide, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { targetError } from '../../../errors.js'
import { syscalls } from '../../../sys/syscalls.js'
import type { CreateContext, DiskShape, ImageWriter, OptionValues } from '../../driver.js'
import {
  compressedPositionLimit,
  encodeAllocated,
  encodeCompressed,
  encodeSubclusters,
  encodeZero,
} from '../format/entries.js'
import { headerCluster } from './header-writer.js'
import { readSettings, type CreateSettings } from './options.js'
import { HostSpace } from './space.js'

/**
 * A new QCOW2 image, written from front to back: header and L1 first (their sizes are known), data as it comes with L2
 * tables and
 * refcount blocks in between, the last refcount blocks and the refcount table at the end. Cluster 0 stays zero until
 * everything else
 * is on the medium.
 */
export class Qcow2Writer implements ImageWriter {
  readonly capacity: number
  readonly grain: number
  readonly packedUnit?: { readonly length: number; readonly codec: string; readonly level?: number }
  readonly placeZeros?: boolean
  readonly #store: ByteStore
  readonly #dataFile: ByteStore | undefined
  readonly #settings: CreateSettings
  readonly #header: (tables: {
    l1Position: number
    refcountTablePosition: number
    refcountTableClusters: number
  }) => Uint8Array
  readonly #space: HostSpace
  readonly #l1: DataView
  readonly #l1Position: number
  /** Guest clusters the parent has something for; 0 without a parent. */
  readonly #parentClusters: number
  readonly #preallocated: boolean
  /** Whether `falloc` reserves by the filesystem; otherwise zeros are written. */
  readonly #reserves: boolean
  #table: { readonly index: number; readonly entries: DataView } | undefined
  /** Guest clusters below it are decided. */
  #next = 0
  /** Where the last decided guest cluster lies, if it is plain data. */
  #lastPosition: number | undefined

  constructor(store: ByteStore, shape: DiskShape, options: OptionValues, context: CreateContext) {
    const settings = readSettings(shape, options)
    const { geometry } = settings
    this.#settings = settings
    this.#store = store
    this.capacity = settings.capacity
    this.grain = geometry.clusterSize
    this.#preallocated = settings.preallocation !== 'off'
    this.#parentClusters =
      shape.parent === undefined ? 0 : ceilDivide(shape.parent.image.capacity, geometry.clusterSize)
    this.#header = headerCluster(settings, shape.parent)
    if (settings.compression !== undefined) {
      const { type, level } = settings.compression
      this.packedUnit = {
        length: geometry.clusterSize,
        codec: type === 'zlib' ? 'deflate' : 'zstd',
        level,
      }
    }
    this.#dataFile = settings.dataFile === undefined ? undefined : context.createFile(settings.dataFile)
    const data = this.#dataFile ?? store
    // All of it at once: too little space is then known before anything is copied. Tables come on top in finish().
    this.#reserves =
      settings.preallocation === 'falloc' &&
      data.fd !== undefined &&
      syscalls()?.reserve(data.fd, 0, Math.max(this.capacity, 1)) === true
    const dataIsZero =
      data.zeroed && settings.preallocation !== 'full' && (settings.preallocation !== 'falloc' || this.#reserves)
    if (this.#preallocated && !dataIsZero) this.placeZeros = true
    this.#space = new HostSpace(store, geometry.clusterSize, settings.refcountOrder)
    this.#l1 = viewOf(new Uint8Array(settings.l1Entries * 8))
    this.#space.allocate(1)
    this.#l1Position = this.#space.allocate(ceilDivide(settings.l1Entries * 8, geometry.clusterSize))
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    this.#space.settle()
    const { clusterSize } = this.#settings.geometry
    const first = Math.floor(offset / clusterSize)
    const within = offset - first * clusterSize
    // A cluster that was begun is filled up: runs need not end at cluster boundaries.
    if (first === this.#next - 1 && within > 0 && this.#lastPosition !== undefined) {
      return {
        store: this.#dataFile ?? this.#store,
        position: this.#lastPosition + within,
        length: Math.min(length, clusterSize - within),
      }
    }
    const position = this.#allocate(first, ceilDivide(within + length, clusterSize))
    return { store: this.#dataFile ?? this.#store, position: position + within, length }
  }

  placePacked(offset: number, storedLength: number): { store: ByteStore; position: number } {
    this.#space.settle()
    const { clusterSize, clusterBits } = this.#settings.geometry
    const cluster = offset / clusterSize
    if (this.packedUnit === undefined || storedLength <= 0 || storedLength >= clusterSize)
      throw new RangeError(`a compressed cluster of ${storedLength} bytes cannot be placed at offset ${offset}`)
    this.#advance(cluster, 1)
    const position = this.#space.allocatePacked(storedLength)
    if (position >= compressedPositionLimit(clusterBits))
      throw targetError(
        'E_FILE_TOO_BIG',
        `${this.#store.name}: compressed clusters cannot be addressed beyond byte ` +
          `${compressedPositionLimit(clusterBits)}`,
      )
    const { entries, at } = this.#entry(cluster)
    encodeCompressed(entries, at, position, storedLength, clusterBits)
    this.#lastPosition = undefined
    return { store: this.#store, position }
  }

  zero(offset: number, length: number): void {
    // Unallocated is zero where no parent is, or the parent has ended; preallocated clusters are zero until they are
    // written.
    if (this.#parentClusters === 0 || length === 0) return
    this.#space.settle()
    const { clusterSize } = this.#settings.geometry
    const first = offset / clusterSize
    const asked =
      offset + length >= this.capacity ? ceilDivide(this.capacity, clusterSize) : (offset + length) / clusterSize
    if (!Number.isInteger(first) || !Number.isInteger(asked))
      throw new RangeError(`zeros at offset ${offset}, ${length} bytes, are no whole clusters`)
    const end = Math.min(asked, this.#parentClusters)
    if (end <= first) return
    if (this.#settings.version === 2) {
      // Version 2 has no zero flag: the zeros need clusters of their own.
      const position = this.#allocate(first, end - first)
      if (!this.#store.zeroed) writeZeros(this.#store, position, (end - first) * clusterSize)
      return
    }
    this.#advance(first, end - first)
    this.#lastPosition = undefined
    for (let cluster = first; cluster < end; cluster++) {
      const { entries, at } = this.#entry(cluster)
      if (this.#settings.extendedL2) encodeSubclusters(entries, at, 'zero')
      else encodeZero(entries, at)
    }
  }

  finish(): void {
    const { geometry } = this.#settings
    if (this.#preallocated) this.#fillTo(ceilDivide(this.capacity, geometry.clusterSize))
    this.#closeTable()
    const { tablePosition, tableClusters } = this.#space.finish()
    this.#store.write(this.#l1Position, new Uint8Array(this.#l1.buffer))
    if (this.#dataFile?.growable === true) this.#dataFile.truncate(this.capacity)
    if (this.#reserves) this.#reserve()
    this.#dataFile?.flush()
    this.#store.flush()
    this.#store.write(
      0,
      this.#header({
        l1Position: this.#l1Position,
        refcountTablePosition: tablePosition,
        refcountTableClusters: tableClusters,
      }),
    )
    this.#store.flush()
  }

  [Symbol.dispose](): void {
    // Both stores belong to the caller.
  }

  /** Data clusters from guest cluster `first` on, one behind the other in the host file; the position of the first. */
  #allocate(first: number, count: number): number {
    if (this.#preallocated) this.#fillTo(first)
    this.#advance(first, count)
    const { clusterSize } = this.#settings.geometry
    const position = this.#dataFile === undefined ? this.#space.allocate(count) : first * clusterSize
    for (let index = 0; index < count; index++) {
      const { entries, at } = this.#entry(first + index)
      encodeAllocated(entries, at, position + index * clusterSize)
      if (this.#settings.extendedL2) encodeSubclusters(entries, at, 'data')
    }
    this.#lastPosition = position + (count - 1) * clusterSize
    return position
  }

  /**
   * Allocates the guest clusters below `end` that were left alone, a table's worth at a time: a preallocated image has
   * all of them.
   */
  #fillTo(end: number): void {
    while (this.#next < end) {
      this.#allocate(this.#next, Math.min(this.#settings.geometry.entriesPerTable, end - this.#next))
      this.#space.settle()
    }
  }

  #advance(first: number, count: number): void {
    if (!Number.isInteger(first) || first < this.#next)
      throw new RangeError(`guest cluster ${first} comes after cluster ${this.#next} was decided`)
    this.#next = first + count
  }

  /** The place of a guest cluster's L2 entry; begins its table when it is the first there. */
  #entry(cluster: number): { entries: DataView; at: number } {
    const { entriesPerTable, entrySize, clusterSize } = this.#settings.geometry
    const index = Math.floor(cluster / entriesPerTable)
    if (this.#table?.index !== index) {
      this.#closeTable()
      this.#table = { index, entries: viewOf(new Uint8Array(clusterSize)) }
    }
    return { entries: this.#table.entries, at: (cluster - index * entriesPerTable) * entrySize }
  }

  #closeTable(): void {
    const table = this.#table
    if (table === undefined) return
    this.#table = undefined
    this.#space.defer(new Uint8Array(table.entries.buffer), (position) =>
      encodeAllocated(this.#l1, table.index * 8, position),
    )
  }

  #reserve(): void {
    const data = this.#dataFile ?? this.#store
    const length = this.#dataFile === undefined ? this.#space.end : this.capacity
    if (data.fd === undefined || syscalls()?.reserve(data.fd, 0, length) !== true) {
      throw targetError('E_NO_SPACE', `${data.name}: ${length} bytes could not be reserved`, {
        hint: 'Free space, or use preallocation=metadata.',
      })
    }
  }
}
