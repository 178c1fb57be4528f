import type { Work } from '../../../block/work.js'
import { roundUp } from '../../../binary/integers.js'
import { nilUuid } from '../../../binary/struct.js'
import { ExtentReader } from '../../../block/read.js'
import type { BlockSource, ByteStore, Extent, Note, Section } from '../../../block/types.js'
import { corrupt, unsupported, usage } from '../../../errors.js'
import type { OpenContext, ParentReference, ParentShape, WritableImage } from '../../driver.js'
import { isStored } from '../format/entries.js'
import { readHeader, type Header, type Subformat } from '../format/header.js'
import { imageType, sectorLength, version0 } from '../format/structs.js'
import { describeImage } from '../read/describe.js'
import { modificationUuidOf, parentReferenceOf, type VdiIdentity } from '../read/parent.js'
import { VdiImage } from '../read/reader.js'
import { BlockWriter } from './block-writer.js'
import { HeaderFile } from './header-file.js'
import { mostBlocks } from './options.js'
import { WordTable } from '../format/block-map.js'

/** Entries of the largest map that is kept in memory: 64 MiB. */
const mostEntries = 16 * 1024 * 1024

/** A VDI, open for changes. */
class WritableVdi implements WritableImage, VdiIdentity {
  readonly format = 'vdi'
  readonly sectorSize = 512
  readonly grain: number
  readonly notes: readonly Note[]
  readonly identity: string
  /** The image UUID stays; the modification UUID does not, and a child records that too. */
  readonly nextIdentity: string
  subformat: Subformat
  parentReference?: ParentReference
  readonly #store: ByteStore
  readonly #context: OpenContext
  readonly #file: HeaderFile
  readonly #blocks: BlockWriter
  readonly #reader = new ExtentReader(this)
  readonly #blockSize: number
  #capacity: number

  constructor(store: ByteStore, image: VdiImage, table: WordTable, context: OpenContext, parent?: BlockSource) {
    const { header } = image
    this.#store = store
    this.#context = context
    this.grain = image.grain
    this.notes = image.notes
    this.identity = image.identity
    this.nextIdentity = image.identity
    this.subformat = image.subformat
    this.parentReference = image.parentReference
    this.#capacity = image.capacity
    this.#blockSize = header.blockSize
    this.#file = new HeaderFile(store, header.values, header.length, context.keepsContent)
    const { unused, end } = unusedBlocks(store, header, table)
    this.#blocks = new BlockWriter({
      store,
      header: this.#file,
      layout: {
        capacity: header.capacity,
        blockSize: header.blockSize,
        extra: header.extra,
        dataPosition: header.dataPosition,
        allocated: end,
        isChild: header.isChild,
      },
      isFixed: header.values.type === imageType.fixed,
      parent,
      table,
    })
    this.#blocks.giveFree(unused)
  }

  get capacity(): number {
    return this.#capacity
  }

  get modificationUuid(): string {
    return this.#file.values.modificationUuid
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#blocks.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#within(offset, bytes.length)
    this.#blocks.write(offset, bytes)
  }

  discard(offset: number, length: number): void {
    this.#within(offset, length)
    this.#blocks.zero(offset, length)
  }

  flush(): void {
    this.#blocks.commit()
  }

  *compact(): Work<void> {
    yield* this.#blocks.compact()
  }

  /** @throws ImageError usage E_SIZE; unsupported E_NO_RESIZE for a map that is not kept in memory. */
  resize(capacity: number): void {
    const rounded = roundUp(capacity, sectorLength)
    const most = Math.min(mostBlocks, mostEntries) * this.#blockSize
    if (!Number.isSafeInteger(capacity) || capacity <= 0 || rounded > most)
      throw usage('E_SIZE', `a VDI with blocks of ${this.#blockSize} bytes cannot have ${capacity} bytes`, {
        hint: `It holds 512 bytes to ${most}.`,
      })
    if (rounded === this.#capacity) return
    if (rounded < this.#capacity) this.#blocks.shrink(rounded)
    else this.#blocks.grow(rounded)
    this.#capacity = rounded
  }

  relink(parent: ParentShape | undefined): () => void {
    if (this.parentReference === undefined)
      throw usage('E_NOT_A_CHILD', `${this.#store.name} has no parent: it is a ${this.subformat} disk`)
    if (parent !== undefined && (parent.image.format !== 'vdi' || parent.image.identity === undefined)) {
      throw usage(
        'E_PARENT_FORMAT',
        `${parent.path}: the parent of a VDI must be a VDI, this is ${parent.image.format}`,
        {
          hint: 'Convert the parent to VDI first, or make a qcow2 child.',
        },
      )
    }
    return () => {
      this.#blocks.commit()
      // While the parent is being changed its modification UUID is left out: the child fits it before and after.
      const isChanging = parent?.nextIdentity !== undefined
      this.#blocks.changeHeader(
        parent === undefined
          ? { type: imageType.dynamic, linkUuid: nilUuid, parentModificationUuid: nilUuid }
          : {
              linkUuid: parent.image.identity ?? nilUuid,
              parentModificationUuid: isChanging ? nilUuid : (modificationUuidOf(parent.image) ?? nilUuid),
            },
      )
      const header = readHeader(this.#store)
      this.subformat = header.subformat
      this.parentReference = header.isChild
        ? parentReferenceOf(this.#store.name, this.#capacity, header.values, this.#acceptsChanged)
        : undefined
    }
  }

  describe(): Section[] {
    return describeImage(readHeader(this.#store))
  }

  [Symbol.dispose](): void {
    try {
      this.#blocks.close()
    } finally {
      this.#store[Symbol.dispose]()
    }
  }

  get #acceptsChanged(): boolean {
    return this.#context.options['accept-changed-parent'] === true
  }

  #within(offset: number, length: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.#capacity)
      throw new RangeError(`${length} bytes at offset ${offset} leave the disk of ${this.#capacity} bytes`)
  }
}

/** Unused blocks that are kept in mind; more are for another session. */
const mostUnused = 1024 * 1024

/**
 * Blocks of the file that no entry of the map names, up to the last that one does; `end`: the one behind that.
 * @throws ImageError corrupt E_MAP, E_OVERLAP, E_TRUNCATED where a change could damage something else.
 */
function unusedBlocks(
  { name, size }: ByteStore,
  header: Header,
  table: WordTable,
): { readonly unused: readonly number[]; readonly end: number } {
  const { allocated, dataPosition, blockSize, extra, capacity } = header
  const refuse = (code: 'E_MAP' | 'E_OVERLAP' | 'E_TRUNCATED', block: number, what: string): Error =>
    corrupt(code, `${name}: map entry ${block} ${what}: an image like this is not changed`, {
      details: { position: table.position(block), block },
    })
  const limit = Math.min(allocated, table.words.length + mostEntries)
  const used = new Uint8Array(limit)
  let end = 0
  for (const [block, word] of table.words.entries()) {
    if (!isStored(word)) continue
    if (word >= limit) throw refuse('E_MAP', block, `names block ${word} of the file, which has ${allocated}`)
    if (used[word] !== 0) throw refuse('E_OVERLAP', block, `names block ${word} of the file, as another one does`)
    used[word] = 1
    end = Math.max(end, word + 1)
    const start = dataPosition + word * (blockSize + extra) + extra
    const shown = Math.min(blockSize, Math.max(0, capacity - block * blockSize))
    if (start + shown > size)
      throw refuse('E_TRUNCATED', block, `names block ${word} of the file, which passes its end`)
  }
  const unused: number[] = []
  for (let index = 0; index < end && unused.length < mostUnused; index++) if (used[index] === 0) unused.push(index)
  return { unused, end }
}

/**
 * Opens one layer to change it. Nothing is written before the first change.
 * @throws ImageError those of reading; corrupt E_MAP, E_OVERLAP, E_TRUNCATED; unsupported E_NOT_WRITABLE.
 */
export function openWritableVdi(store: ByteStore, context: OpenContext, parent?: BlockSource): WritableImage {
  const header = readHeader(store)
  const refuse = (why: string): Error =>
    unsupported('E_NOT_WRITABLE', `${store.name} ${why}, and such images are not changed in place`, {
      hint: 'Convert it to a new VDI.',
    })
  if (header.version === version0) throw refuse('has the layout of version 0')
  if (header.extra % sectorLength !== 0) throw refuse(`has ${header.extra} extra bytes before each block`)
  if (header.blocks > mostEntries) throw refuse(`has a map of ${header.blocks} entries, more than are kept in memory`)
  const image = new VdiImage(store, header, context.options['accept-changed-parent'] === true)
  const table = WordTable.read(store, header.mapPosition, header.blocks)
  return new WritableVdi(store, image, table, context, parent)
}
