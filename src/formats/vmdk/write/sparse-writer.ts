import { ceilDivide, roundUp, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { targetError } from '../../../errors.js'
import { newlineBytes, sectorLength, sparseHeader, sparseMagic } from '../format/structs.js'
import { descriptorSectors } from './descriptor-text.js'

export const grainSectors = 128
export const grainLength = grainSectors * sectorLength
export const tableEntries = 512
const tableLength = tableEntries * 4
/** Bytes of the disk that one table maps. */
export const tableCoverage = tableEntries * grainLength

const zeros = new Uint8Array(tableLength)

/** Places of a sparse extent's structures, in bytes: VMware's order, the copy in front. */
interface Places {
  readonly tables: number
  readonly rgd: number
  readonly gd: number
  readonly directory: number
  readonly overhead: number
}

function placesOf(capacity: number): Places {
  const tables = ceilDivide(capacity, tableCoverage)
  const directory = roundUp(tables * 4, sectorLength)
  const rgd = (1 + descriptorSectors) * sectorLength
  const gd = rgd + directory + tables * tableLength
  return { tables, rgd, gd, directory, overhead: roundUp(gd + directory + tables * tableLength, grainLength) }
}

/**
 * One new sparse extent: all tables in front, grains behind them in the order of the disk. Offsets are the extent's
 * own, and come in ascending order.
 */
export class SparseExtentWriter {
  /** Bytes. */
  readonly length: number
  readonly store: ByteStore
  readonly #descriptor: Uint8Array | undefined
  readonly #zeroedGrains: boolean
  readonly #places: Places
  #table: { readonly index: number; readonly entries: DataView } | undefined
  #written = 0
  /** Grains below it are decided. */
  #next = 0
  #last: number | undefined
  #end: number

  /** @param zeroedGrains whether zeros can hide what a parent has. */
  constructor(store: ByteStore, length: number, descriptor: Uint8Array | undefined, zeroedGrains: boolean) {
    this.store = store
    this.length = length
    this.#descriptor = descriptor
    this.#zeroedGrains = zeroedGrains
    this.#places = placesOf(length)
    this.#end = this.#places.overhead
  }

  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const first = Math.floor(offset / grainLength)
    const within = offset - first * grainLength
    if (first === this.#next - 1 && within > 0 && this.#last !== undefined)
      return {
        store: this.store,
        position: this.#last + within,
        length: Math.min(length, grainLength - within),
      }
    this.#advance(first)
    const count = ceilDivide(within + length, grainLength)
    const position = this.#end
    if ((position + count * grainLength) / sectorLength > 2 ** 32)
      throw targetError('E_FILE_TOO_BIG', `${this.store.name}: a sparse VMDK cannot have more than 2 TiB`, {
        hint: 'Use -o subformat=twoGbMaxExtentSparse.',
      })
    for (let index = 0; index < count; index++)
      this.#set(first + index, (position + index * grainLength) / sectorLength)
    this.#end += count * grainLength
    this.#next = first + count
    this.#last = this.#end - grainLength
    return { store: this.store, position: position + within, length }
  }

  zero(offset: number, length: number): void {
    if (!this.#zeroedGrains || length === 0) return
    const first = offset / grainLength
    const end = offset + length >= this.length ? ceilDivide(this.length, grainLength) : (offset + length) / grainLength
    if (!Number.isInteger(first) || !Number.isInteger(end))
      throw new RangeError(`zeros at offset ${offset}, ${length} bytes, are no whole grains`)
    this.#advance(first)
    for (let grain = first; grain < end; grain++) this.#set(grain, 1)
    this.#next = end
    this.#last = undefined
  }

  /** Tables and descriptor; the header comes with {@link identify}. */
  finish(): void {
    this.#closeTable(this.#places.tables)
    const { tables, rgd, gd, directory, overhead } = this.#places
    for (const start of [rgd, gd]) {
      const bytes = new Uint8Array(directory)
      const view = viewOf(bytes)
      for (let index = 0; index < tables; index++)
        view.setUint32(index * 4, (start + directory + index * tableLength) / sectorLength, true)
      this.store.write(start, bytes)
    }
    const space = new Uint8Array(descriptorSectors * sectorLength)
    space.set(this.#descriptor ?? new Uint8Array(0))
    this.store.write(sectorLength, space)
    const size = Math.max(overhead, this.#end)
    if (this.store.growable && this.store.size < size) this.store.truncate(size)
  }

  identify(): void {
    const { rgd, gd, overhead } = this.#places
    this.store.write(
      0,
      sparseHeader.write({
        magic: sparseMagic,
        version: this.#zeroedGrains ? 2 : 1,
        flags: this.#zeroedGrains ? 7n : 3n,
        capacity: BigInt(this.length / sectorLength),
        grainSize: BigInt(grainSectors),
        descriptorOffset: this.#descriptor === undefined ? 0n : 1n,
        descriptorSize: this.#descriptor === undefined ? 0n : BigInt(descriptorSectors),
        gtesPerGt: tableEntries,
        rgdOffset: BigInt(rgd / sectorLength),
        gdOffset: BigInt(gd / sectorLength),
        overhead: BigInt(overhead / sectorLength),
        uncleanShutdown: 0,
        newlines: newlineBytes,
        compression: 0,
      }),
    )
  }

  #advance(grain: number): void {
    if (!Number.isInteger(grain) || grain < this.#next)
      throw new RangeError(`grain ${grain} comes after grain ${this.#next} was decided`)
  }

  #set(grain: number, entry: number): void {
    const index = Math.floor(grain / tableEntries)
    if (this.#table?.index !== index) {
      this.#closeTable(index)
      this.#table = { index, entries: viewOf(new Uint8Array(tableLength)) }
    }
    this.#table.entries.setUint32((grain % tableEntries) * 4, entry, true)
  }

  /** Writes the table that is at hand, and those below `next` that hold nothing. */
  #closeTable(next: number): void {
    const table = this.#table
    this.#table = undefined
    if (table !== undefined) {
      this.#writeEmpty(table.index)
      this.#writeTable(table.index, new Uint8Array(table.entries.buffer))
      this.#written = table.index + 1
    }
    this.#writeEmpty(next)
  }

  /** In a new file they are zero already. */
  #writeEmpty(end: number): void {
    if (!this.store.zeroed) for (; this.#written < end; this.#written++) this.#writeTable(this.#written, zeros)
    this.#written = Math.max(this.#written, end)
  }

  #writeTable(index: number, bytes: Uint8Array): void {
    const { rgd, gd, directory } = this.#places
    for (const start of [rgd, gd]) this.store.write(start + directory + index * tableLength, bytes)
  }
}
