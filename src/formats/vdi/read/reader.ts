import type { Work } from '../../../block/work.js'
import { ExtentReader } from '../../../block/read.js'
import type { ByteStore, Extent, Note, Section } from '../../../block/types.js'
import type { DiskImage, Finding, OpenContext, ParentReference } from '../../driver.js'
import { BlockMap } from '../format/block-map.js'
import { readHeader, type Header, type Subformat } from '../format/header.js'
import { checkVdi } from '../judge/check.js'
import { UnitOwners } from '../../../binary/unit-owners.js'
import { Blocks } from './blocks.js'
import { describeImage } from './describe.js'
import { parentReferenceOf, type VdiIdentity } from './parent.js'

const largestGrain = 1024 * 1024

/** One VDI layer, open for reading. */
export class VdiImage implements DiskImage, VdiIdentity {
  readonly format = 'vdi'
  readonly subformat: Subformat
  readonly notes: readonly Note[]
  readonly capacity: number
  readonly sectorSize = 512
  readonly grain: number
  readonly identity: string
  readonly modificationUuid: string
  readonly parentReference?: ParentReference
  readonly header: Header
  readonly #store: ByteStore
  readonly #blocks: Blocks
  readonly #reader = new ExtentReader(this)

  constructor(store: ByteStore, header: Header, acceptChangedParent: boolean) {
    const { values } = header
    this.#store = store
    this.header = header
    this.subformat = header.subformat
    this.notes = header.notes
    this.capacity = header.capacity
    this.grain = Math.min(header.blockSize, largestGrain)
    this.identity = values.imageUuid
    this.modificationUuid = values.modificationUuid
    if (header.isChild)
      this.parentReference = parentReferenceOf(store.name, header.capacity, values, acceptChangedParent)
    const map = new BlockMap(store, header.mapPosition, header.blocks)
    this.#blocks = new Blocks(store, header, map, new UnitOwners())
  }

  extentAt(offset: number, limit: number): Extent {
    if (offset < 0 || offset >= this.capacity)
      throw new RangeError(`offset ${offset} leaves the disk of ${this.capacity} bytes`)
    return this.#blocks.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    return describeImage(this.header)
  }

  check(): Work<void, Finding> {
    return checkVdi(this.#store, this.header)
  }

  [Symbol.dispose](): void {
    this.#store[Symbol.dispose]()
  }
}

/**
 * Opens one layer: dynamic, fixed, differencing or undo.
 * @throws ImageError corrupt E_NOT_VDI, E_TRUNCATED, E_HEADER, E_BLOCK_SIZE, E_DISK_SIZE, E_OVERLAP, E_TOO_LARGE;
 * unsupported E_VERSION, E_TYPE, E_UNSUPPORTED_FEATURE.
 */
export function openVdi(store: ByteStore, context: Pick<OpenContext, 'options'>): VdiImage {
  return new VdiImage(store, readHeader(store), context.options['accept-changed-parent'] === true)
}
