import { ceilDivide, roundUp, viewOf } from '../../../binary/integers.js'
import type { ByteStore } from '../../../block/types.js'
import { targetError } from '../../../errors.js'
import type { ImageWriter } from '../../driver.js'
import {
  gdAtEnd,
  grainDataAt,
  marker,
  markerType,
  newlineBytes,
  sectorLength,
  sparseHeader,
  sparseMagic,
} from '../format/structs.js'
import { descriptorSectors } from './descriptor-text.js'
import type { CreatePlan } from './options.js'
import { grainLength, grainSectors, tableCoverage, tableEntries } from './sparse-writer.js'

const tableLength = tableEntries * 4
/** Where the first grain's marker is: header and descriptor, filled up to a grain. */
const overhead = grainLength
/** What noise of a grain takes when it is compressed: zlib stores it. */
const noiseLength = grainLength + 31

/**
 * A new stream-optimised image, written from front to back: header, descriptor, compressed grains with a table behind
 * those that it maps, the directory, the footer. In a file the header still comes last, so that what is unfinished is
 * no image.
 */
export class StreamWriter implements ImageWriter {
  readonly capacity: number
  readonly grain = grainLength
  readonly packedUnit
  readonly appends: boolean
  readonly #store: ByteStore
  readonly #descriptor: Uint8Array
  readonly #directory: DataView
  #table: { readonly index: number; readonly entries: DataView } | undefined
  #next = 0
  #end = overhead

  constructor(store: ByteStore, plan: CreatePlan, descriptor: Uint8Array, onePass: boolean) {
    this.#store = store
    this.#descriptor = descriptor
    this.capacity = plan.capacity
    this.packedUnit = { length: grainLength, codec: 'zlib', level: plan.level, always: true }
    this.appends = onePass
    this.#directory = viewOf(new Uint8Array(roundUp(ceilDivide(plan.capacity, tableCoverage) * 4, sectorLength)))
    if (onePass) this.#identify()
  }

  /** Only asked what noise would take: every grain is compressed. */
  place(offset: number, length: number): { store: ByteStore; position: number; length: number } {
    const within = offset % grainLength
    const { store, position } = this.placePacked(offset - within, noiseLength)
    return { store, position, length: Math.min(length, grainLength - within) }
  }

  placePacked(offset: number, storedLength: number): { store: ByteStore; position: number } {
    const grain = offset / grainLength
    if (!Number.isInteger(grain) || grain < this.#next)
      throw new RangeError(`grain ${grain} comes after grain ${this.#next} was decided`)
    this.#next = grain + 1
    const index = Math.floor(grain / tableEntries)
    if (this.#table?.index !== index) {
      this.#closeTable()
      this.#table = { index, entries: viewOf(new Uint8Array(tableLength)) }
    }
    const position = this.#end
    if (position / sectorLength >= 2 ** 32)
      throw targetError('E_FILE_TOO_BIG', `${this.#store.name}: a stream-optimised VMDK cannot have more than 2 TiB`)
    this.#table.entries.setUint32((grain % tableEntries) * 4, position / sectorLength, true)
    this.#mark(position, grain * grainSectors, storedLength, 0)
    this.#end = roundUp(position + grainDataAt + storedLength, sectorLength)
    return { store: this.#store, position: position + grainDataAt }
  }

  zero(): void {
    // What is not there is zero.
  }

  finish(): void {
    this.#closeTable()
    const directory = new Uint8Array(this.#directory.buffer)
    this.#mark(this.#end, directory.length / sectorLength, 0, markerType.grainDirectory)
    const gd = this.#end + sectorLength
    this.#store.write(gd, directory)
    const footer = gd + directory.length
    this.#mark(footer, 1, 0, markerType.footer)
    this.#store.write(footer + sectorLength, this.#header(BigInt(gd / sectorLength)))
    this.#store.write(footer + 2 * sectorLength, new Uint8Array(sectorLength))
    this.#store.flush()
    if (this.appends) return
    this.#identify()
    this.#store.flush()
  }

  [Symbol.dispose](): void {
    // The store belongs to the caller.
  }

  /** A table lies behind its grains; one that holds nothing is left out. */
  #closeTable(): void {
    const table = this.#table
    if (table === undefined) return
    this.#table = undefined
    this.#mark(this.#end, tableLength / sectorLength, 0, markerType.grainTable)
    const position = this.#end + sectorLength
    this.#store.write(position, new Uint8Array(table.entries.buffer))
    this.#directory.setUint32(table.index * 4, position / sectorLength, true)
    this.#end = position + tableLength
  }

  #mark(position: number, value: number, size: number, type: number): void {
    const bytes = marker.write({ value: BigInt(value), size, type })
    // The data of a grain begins where the type of other markers is.
    this.#store.write(position, size > 0 ? bytes.subarray(0, grainDataAt) : padded(bytes))
  }

  #identify(): void {
    const space = new Uint8Array(overhead)
    space.set(this.#header(gdAtEnd))
    space.set(this.#descriptor, sectorLength)
    this.#store.write(sectorLength, space.subarray(sectorLength))
    this.#store.write(0, space.subarray(0, sectorLength))
  }

  #header(gdOffset: bigint): Uint8Array {
    return sparseHeader.write({
      magic: sparseMagic,
      version: 3,
      flags: 0x30001n,
      capacity: BigInt(this.capacity / sectorLength),
      grainSize: BigInt(grainSectors),
      descriptorOffset: 1n,
      descriptorSize: BigInt(descriptorSectors),
      gtesPerGt: tableEntries,
      rgdOffset: 0n,
      gdOffset,
      overhead: BigInt(overhead / sectorLength),
      uncleanShutdown: 0,
      newlines: newlineBytes,
      compression: 1,
    })
  }
}

function padded(bytes: Uint8Array): Uint8Array {
  const sector = new Uint8Array(sectorLength)
  sector.set(bytes)
  return sector
}
