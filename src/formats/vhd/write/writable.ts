import type { Work } from '../../../block/work.js'
import { linearExtent } from '../../../block/linear-extent.js'
import { roundUp } from '../../../binary/integers.js'
import { ExtentReader } from '../../../block/read.js'
import type { BlockSource, ByteStore, Extent, Note, Section } from '../../../block/types.js'
import { unsupported, usage } from '../../../errors.js'
import type { OpenContext, ParentReference, ParentShape, WritableImage } from '../../driver.js'
import { BlockWriter } from './block-writer.js'
import { checkLocators } from '../judge/check-header.js'
import type { DynamicLayout, Structure } from '../format/dynamic.js'
import { maximumDynamicCapacity } from '../format/layout.js'
import { openVhd, VhdImage } from '../read/reader.js'
import { linkTo, writeLink } from './relink.js'
import { resizedGeometry } from '../format/sizes.js'
import { sealedDynamicHeader, sealedFooter, sectorLength, unallocated } from '../format/structs.js'
import { readStructures, type Structures } from '../format/structures.js'

/** Entries of the largest table that is kept in memory: 32 MiB. */
const mostEntries = 8 * 1024 * 1024

/** What fixed and dynamic disks share: who they are, and footers of another capacity. */
abstract class WritableVhd implements WritableImage {
  readonly format = 'vhd'
  readonly sectorSize = 512
  readonly grain = 512
  readonly notes: readonly Note[]
  readonly identity: string
  parentReference?: ParentReference
  subformat: string
  readonly #reader = new ExtentReader(this)
  protected readonly store: ByteStore
  protected structures: Structures
  protected readonly context: OpenContext
  #capacity: number

  constructor(store: ByteStore, structures: Structures, image: VhdImage, context: OpenContext) {
    this.store = store
    this.structures = structures
    this.context = context
    this.subformat = image.subformat
    this.notes = image.notes
    this.identity = image.identity
    this.#capacity = image.capacity
    if (image.parentReference !== undefined) this.parentReference = image.parentReference
  }

  get capacity(): number {
    return this.#capacity
  }

  abstract extentAt(offset: number, limit: number): Extent
  abstract flush(): void
  protected abstract put(offset: number, bytes: Uint8Array): void
  protected abstract clear(offset: number, length: number): void
  protected abstract changeCapacity(capacity: number, footer: Uint8Array): void
  protected abstract end(): void

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#within(offset, bytes.length)
    this.put(offset, bytes)
  }

  discard(offset: number, length: number): void {
    this.#within(offset, length)
    if (length > 0) this.clear(offset, length)
  }

  /** @throws ImageError usage E_SIZE beyond 2040 GiB (dynamic and differencing disks). */
  resize(capacity: number): void {
    const rounded = roundUp(capacity, sectorLength)
    if (
      !Number.isSafeInteger(capacity) ||
      capacity <= 0 ||
      (this.subformat !== 'fixed' && rounded > maximumDynamicCapacity)
    ) {
      throw usage('E_SIZE', `a ${this.subformat} VHD cannot have ${capacity} bytes`, {
        hint: `It holds 512 bytes to ${maximumDynamicCapacity} (2040 GiB).`,
      })
    }
    if (rounded === this.#capacity) return
    const { values } = this.structures.chosen.footer
    this.changeCapacity(
      rounded,
      sealedFooter({ ...values, ...resizedGeometry(values.creatorApplication, rounded), currentSize: BigInt(rounded) }),
    )
    this.#capacity = rounded
  }

  describe(): Section[] {
    return openVhd(this.store, this.context).describe()
  }

  [Symbol.dispose](): void {
    try {
      this.end()
    } finally {
      this.store[Symbol.dispose]()
    }
  }

  #within(offset: number, length: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.#capacity) {
      throw new RangeError(`${length} bytes at offset ${offset} leave the disk of ${this.#capacity} bytes`)
    }
  }
}

/** A fixed disk: every byte has its place, the footer stands behind them. */
class WritableFixed extends WritableVhd {
  readonly behindContent = sectorLength

  extentAt(offset: number, limit: number): Extent {
    return linearExtent(this.store, this.capacity, offset, limit)
  }

  flush(): void {
    this.store.flush()
  }

  protected put(offset: number, bytes: Uint8Array): void {
    this.store.write(offset, bytes)
  }

  protected clear(offset: number, length: number): void {
    if (this.store.zero === undefined) this.store.write(offset, new Uint8Array(length))
    else this.store.zero(offset, length)
  }

  /**
   * The new footer is at the end of the file before the old one is overwritten or cut off. It stands in the part that
   * is
   * cut off, or the old one in the part that is added: between two writes one sector there is a footer.
   */
  protected changeCapacity(capacity: number, footer: Uint8Array): void {
    const old = this.capacity
    this.store.flush()
    this.store.write(capacity, footer)
    this.store.flush()
    if (capacity < old) this.store.truncate(capacity + sectorLength)
    else this.store.write(old, new Uint8Array(Math.min(sectorLength, capacity - old)))
    this.store.flush()
  }

  protected end(): void {
    // Nothing is pending: what was not flushed was not promised.
  }
}

/** A dynamic or differencing disk. */
class WritableDynamic extends WritableVhd {
  readonly #blocks: BlockWriter
  #layout: DynamicLayout
  #relinked = false
  readonly #parent: BlockSource | undefined

  constructor(
    store: ByteStore,
    structures: Structures,
    image: VhdImage,
    context: OpenContext,
    dynamic: DynamicLayout,
    parent: BlockSource | undefined,
  ) {
    super(store, structures, image, context)
    const {
      chosen: { footer },
    } = structures
    this.#layout = dynamic
    this.#parent = parent
    const areas = [
      ...dynamic.structures.filter(({ position }) => position < footer.position),
      ...locatorTexts(store, structures, dynamic),
    ]
    const bytes = new Uint8Array(sectorLength)
    store.read(footer.position, bytes)
    this.#blocks = new BlockWriter({
      store,
      layout: dynamic,
      capacity: image.capacity,
      differencing: image.subformat === 'differencing',
      parent,
      footer: bytes,
      end: footer.position,
      structures: areas,
      lead: (position, entries) => {
        // Both changed fields and the checksum lie in the header's first sector: it is the old one or the new.
        const header = sealedDynamicHeader({
          ...this.#layout.values,
          tableOffset: BigInt(position),
          maxTableEntries: entries,
        })
        store.write(this.#layout.position, header.subarray(0, sectorLength))
      },
    })
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#blocks.extentAt(offset, limit)
  }

  flush(): void {
    this.#blocks.commit()
  }

  *compact(): Work<void> {
    yield* this.#blocks.compact()
  }

  relink(parent: ParentShape | undefined): () => void {
    if (this.subformat !== 'differencing')
      throw usage('E_NOT_A_CHILD', `${this.store.name} has no parent: it is a ${this.subformat} disk`)
    const link = parent === undefined ? undefined : linkTo(parent)
    return () => {
      if (link === undefined) this.#fillBlocks()
      // From here on the file ends behind its last block.
      this.#blocks.close()
      this.#relinked = true
      writeLink(this.store, this.#read(), this.#layout, this.#blocks.table, link)
      const structures = this.#read()
      this.subformat = structures.subformat
      const { parentReference } = new VhdImage(this.store, structures)
      if (parentReference === undefined) delete this.parentReference
      else this.parentReference = parentReference
    }
  }

  /** What blocks of this file leave to the parent reads as zero from now on. */
  #fillBlocks(): void {
    const { blockSize } = this.#layout
    const { words } = this.#blocks.table
    for (let block = 0; block < words.length; block++) {
      if (words[block] === unallocated) continue
      const end = Math.min(this.capacity, (block + 1) * blockSize)
      for (let offset = block * blockSize; offset < end;) {
        const { kind, length } = this.#blocks.extentAt(offset, end - offset)
        if (kind === 'absent') this.#blocks.zero(offset, length)
        offset += length
      }
    }
  }

  #read(): Structures {
    this.structures = readStructures(this.store, this.context)
    if (this.structures.dynamic !== undefined) this.#layout = this.structures.dynamic
    return this.structures
  }

  protected put(offset: number, bytes: Uint8Array): void {
    this.#blocks.write(offset, bytes)
  }

  protected clear(offset: number, length: number): void {
    this.#blocks.zero(offset, length)
  }

  protected changeCapacity(capacity: number, footer: Uint8Array): void {
    const { blockSize } = this.#layout
    const entries = Math.ceil(capacity / blockSize)
    this.#blocks.commit()
    if (capacity < this.capacity) {
      // A reader that finds the old footer, or its copy, finds the old disk whole; only then is the rest released.
      this.#blocks.changeFooter(footer, capacity)
      this.#blocks.clearBehind(capacity)
      this.#blocks.commit()
      return
    }
    // What was cut off must not come back. A stop may have come before it was released.
    this.#blocks.clearBehind(this.capacity)
    this.#blocks.commit()
    if (entries > this.#blocks.table.words.length) {
      this.#blocks.enlargeTable(entries)
    }
    this.#blocks.changeFooter(footer, capacity)
    // A child's new part is zero, whatever its parent has there.
    const below = this.subformat === 'differencing' ? Math.min(capacity, this.#parent?.capacity ?? capacity) : 0
    if (below > this.capacity) this.#blocks.zero(this.capacity, below - this.capacity)
  }

  protected end(): void {
    // What it knows of footer and header is out of date then.
    if (!this.#relinked) this.#blocks.close()
  }
}

/** Where the parent's paths stand in the file. Check reports what is wrong with them. */
function locatorTexts(store: ByteStore, structures: Structures, dynamic: DynamicLayout): readonly Structure[] {
  const walk = checkLocators(store, structures, dynamic)
  for (;;) {
    const step = walk.next()
    if (step.done === true) return step.value
  }
}

/**
 * Opens one layer to change it. Nothing is written before the first change.
 * @throws ImageError those of reading; corrupt E_OVERLAP, E_TRUNCATED; unsupported E_NOT_WRITABLE for an image that
 * needs repair first.
 */
export function openWritableVhd(store: ByteStore, context: OpenContext, parent?: BlockSource): WritableImage {
  const structures = readStructures(store, context)
  const image = new VhdImage(store, structures)
  const {
    chosen: { place, footer },
    dynamic,
  } = structures
  if (place === 'copy' || footer.position + sectorLength !== store.size || dynamic?.intact === false) {
    throw unsupported(
      'E_NOT_WRITABLE',
      `${store.name} has no whole footer at its end, or a damaged header: it is not changed like this`,
      { hint: 'Repair it first: vdisk repair.' },
    )
  }
  if (dynamic === undefined) return new WritableFixed(store, structures, image, context)
  if (dynamic.entries > mostEntries)
    throw unsupported(
      'E_NOT_WRITABLE',
      `${store.name} has a BAT of ${dynamic.entries} entries, more than are kept in memory`,
    )
  return new WritableDynamic(store, structures, image, context, dynamic, parent)
}
