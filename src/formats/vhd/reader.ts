import { nilUuid } from '../../binary/struct.js'
import { ExtentReader } from '../../block/read.js'
import type { ByteStore, Extent, Note, Section } from '../../block/types.js'
import { corrupt, isImageError, unsupported } from '../../errors.js'
import type { CheckOptions, CheckProgress, DiskImage, Finding, OpenContext, ParentReference } from '../driver.js'
import { Blocks } from './blocks.js'
import { checkVhd } from './check.js'
import { chooseFooter, hex, unknownType } from './choose-footer.js'
import { describeImage } from './describe.js'
import { readDynamicHeader } from './dynamic.js'
import { featureBits, majorVersion } from './entries.js'
import { windowLength } from './footer.js'
import type { Geometry } from './layout.js'
import { parentReferenceOf } from './parent.js'
import { locatorNotes, readLocators } from './parent-locators.js'
import { capacityOf, fixedNotes } from './sizes.js'
import { refuseSplit } from './split.js'
import { diskType, version1, type FooterValues } from './structs.js'
import type { Structures } from './structures.js'

const subformats: Readonly<Record<number, 'fixed' | 'dynamic' | 'differencing'>> = {
  2: 'fixed',
  3: 'dynamic',
  4: 'differencing',
}

/** One VHD layer, open for reading. */
export class VhdImage implements DiskImage {
  readonly format = 'vhd'
  readonly subformat: 'fixed' | 'dynamic' | 'differencing'
  readonly notes: readonly Note[]
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
    this.notes = structures.notes
    this.capacity = capacity
    this.identity = chosen.footer.values.uniqueId
    if (dynamic === undefined) return
    const differencing = subformat === 'differencing'
    this.#blocks = new Blocks(store, dynamic, { capacity, limit: this.#limit, differencing })
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
    return {
      kind: 'data',
      offset,
      length: Math.min(limit, this.capacity - offset),
      store: this.#store,
      position: offset,
    }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    return describeImage(this.#structures)
  }

  check({ deep = false }: CheckOptions = {}): Generator<Finding | CheckProgress> {
    return checkVhd(this.#store, this.#structures, { limit: this.#limit, deep })
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
    if (structures.chosen.place === 'copy') refuseSplit(store.name, context.siblings())
    return new VhdImage(store, structures)
  } catch (error) {
    // A part of a split image looks like a damaged one.
    if (isImageError(error) && (error.code === 'E_TRUNCATED' || error.code === 'E_NOT_VHD'))
      refuseSplit(store.name, context.siblings())
    throw error
  }
}

/** Everything but the BAT's entries. @throws ImageError as {@link openVhd}. */
export function readStructures(store: ByteStore, context: OpenContext): Structures {
  const { name, size } = store
  const ignoreChecksums = context.options['ignore-checksums'] === true
  const length = Math.min(size, windowLength)
  const head = new Uint8Array(length)
  const tail = new Uint8Array(length)
  store.read(0, head)
  store.read(size - length, tail)

  const chosen = chooseFooter({ name, head, tail, size, ignoreChecksums })
  const { footer } = chosen
  const { values } = footer
  if (majorVersion(values.fileFormatVersion) !== 1) {
    throw unsupported(
      'E_VERSION',
      `${name}: the footer at byte ${footer.position} has file format version ` +
        `${hex(values.fileFormatVersion)}, only ${hex(version1)} is known`,
      { details: { position: footer.position + 12, found: values.fileFormatVersion } },
    )
  }
  const subformat = subformats[values.diskType]
  if (subformat === undefined) throw unknownType(name, footer)
  const { capacity, notes: sizeNotes } = capacityOf(
    name,
    values,
    context.options['vhd-size'] === 'chs' ? 'chs' : 'footer',
  )
  const notes = [...chosen.notes, ...sizeNotes, ...footerNotes(name, values)]
  if (values.diskType === diskType.fixed) {
    if (chosen.place === 'copy')
      throw corrupt('E_NOT_VHD', `${name}: a fixed disk's footer stands at its end, there is one at byte 0 only`)
    return {
      chosen,
      subformat,
      capacity,
      locators: [],
      notes: [...notes, ...fixedNotes(name, capacity, footer.position)],
    }
  }
  const dynamic = readDynamicHeader(
    store,
    footer,
    chosen.place === 'copy' ? undefined : footer,
    capacity,
    ignoreChecksums,
  )
  notes.push(...dynamic.notes)
  if (values.diskType === diskType.dynamic) return { chosen, subformat, capacity, dynamic, locators: [], notes }
  const { locators, problems } = readLocators(store, dynamic.bytes)
  return {
    chosen,
    subformat,
    capacity,
    dynamic,
    locators,
    notes: [...notes, ...locatorNotes(name, dynamic.position, problems)],
  }
}

/** What is odd about a footer that is read all the same. */
function footerNotes(name: string, values: FooterValues): Note[] {
  const notes: Note[] = []
  if (values.fileFormatVersion !== version1)
    notes.push({
      code: 'W_MINOR_VERSION',
      message: `${name}: the footer has version ${hex(values.fileFormatVersion)}; it is read as ${hex(version1)}`,
    })
  if (!featureBits(values.features).reserved)
    notes.push({
      code: 'W_FEATURES',
      message: `${name}: bit 1 of the footer's features is clear; by the specification it is always set`,
    })
  if (values.savedState !== 0)
    notes.push({
      code: 'W_SAVED_STATE',
      message: `${name}: a virtual machine was saved while it used the disk: what is in its memory is not on the disk`,
    })
  if (values.uniqueId === nilUuid)
    notes.push({
      code: 'W_UUID_ZERO',
      message: `${name}: the unique id is all zero: children cannot tell it from other disks`,
    })
  return notes
}
