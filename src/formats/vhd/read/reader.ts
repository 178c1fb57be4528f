import type { Work } from '../../../block/work.js'
import { linearExtent } from '../../../block/linear-extent.js'
import { ExtentReader } from '../../../block/read.js'
import type { ByteStore, Extent, Note, Section } from '../../../block/types.js'
import { isImageError } from '../../../errors.js'
import type { CheckOptions, DiskImage, Finding, OpenContext, ParentReference } from '../../driver.js'
import { Blocks } from './blocks.js'
import { checkVhd } from '../judge/check.js'
import { describeImage } from './describe.js'
import type { Geometry } from '../format/layout.js'
import { parentReferenceOf } from './parent.js'
import { refuseSplit } from '../format/split.js'
import { readStructures, type Structures } from '../format/structures.js'

/** One VHD layer, open for reading. */
export class VhdImage implements DiskImage {
  readonly format = 'vhd'
  readonly subformat: 'fixed' | 'dynamic' | 'differencing'
  readonly notes: Note[]
  readonly capacity: number
  readonly sectorSize = 512
  readonly grain = 512
  /** The footer's unique id: what a child records of its parent. */
  readonly identity: string
  readonly parentReference?: ParentReference
  readonly #store: ByteStore
  readonly #structures: Structures
  readonly #blocks: Blocks | undefined
  readonly #reader = new ExtentReader(this)

  constructor(store: ByteStore, structures: Structures) {
    const { chosen, dynamic, subformat, capacity } = structures
    this.#store = store
    this.#structures = structures
    this.subformat = subformat
    this.notes = [...structures.notes]
    this.capacity = capacity
    this.identity = chosen.footer.values.uniqueId
    if (dynamic === undefined) return
    const differencing = subformat === 'differencing'
    this.#blocks = new Blocks(store, dynamic, {
      capacity,
      limit: this.#limit,
      differencing,
      onHidden: (note) => this.notes.push(note),
    })
    if (differencing) this.parentReference = parentReferenceOf(this, dynamic.values, structures.locators, store.name)
  }

  /** The geometry in the footer: a child takes it over. */
  get geometry(): Geometry {
    const { cylinders, heads, sectorsPerTrack } = this.#structures.chosen.footer.values
    return { cylinders, heads, sectorsPerTrack }
  }

  /** Blocks end here: the footer after them, or the end of the file. */
  get #limit(): number {
    const { place, footer } = this.#structures.chosen
    return place === 'end' ? footer.position : this.#store.size
  }

  extentAt(offset: number, limit: number): Extent {
    if (offset < 0 || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    if (this.#blocks !== undefined) return this.#blocks.extentAt(offset, limit)
    return linearExtent(this.#store, this.capacity, offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    return describeImage(this.#structures)
  }

  check({ deep = false, tables = false }: CheckOptions = {}): Work<void, Finding> {
    return checkVhd(this.#store, this.#structures, { limit: this.#limit, deep, tables })
  }

  [Symbol.dispose](): void {
    this.#blocks?.close()
    this.#store[Symbol.dispose]()
  }
}

/**
 * Opens one layer: fixed, dynamic or differencing.
 * @throws ImageError corrupt E_NOT_VHD, E_CHECKSUM, E_TRUNCATED, E_SIZE, and those of the dynamic header; unsupported
 * E_TYPE, E_VERSION, E_SPLIT_VHD.
 */
export function openVhd(store: ByteStore, context: OpenContext): VhdImage {
  try {
    const structures = readStructures(store, context)
    if (structures.chosen.place === 'copy') refuseSplit(context.self)
    return new VhdImage(store, structures)
  } catch (error) {
    // A part of a split image looks like a damaged one.
    if (isImageError(error) && (error.code === 'E_TRUNCATED' || error.code === 'E_NOT_VHD')) refuseSplit(context.self)
    throw error
  }
}
