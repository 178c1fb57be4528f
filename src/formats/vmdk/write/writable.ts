import { ExtentReader } from '../../../block/read.js'
import type { BlockSource, ByteStore, Extent, Note, Section } from '../../../block/types.js'
import type { Work } from '../../../block/work.js'
import { unsupported, usage } from '../../../errors.js'
import { randomUuid } from '../../../sys/random-uuid.js'
import type { OpenContext, ParentReference, ParentShape, WritableImage } from '../../driver.js'
import { cidText, noParent } from '../format/descriptor.js'
import { sectorLength } from '../format/structs.js'
import { Opening, type OpenedParts } from '../read/opening.js'
import { flatPart, PartList, sparsePart, type Part } from '../read/parts.js'
import { VmdkImage } from '../read/reader.js'
import {
  canExchange,
  exchangeDescriptor,
  withContentId,
  withCylinders,
  withLine,
  withSectors,
  type DescriptorPlace,
} from './descriptor-editor.js'
import { parentCid, storedName } from './descriptor-text.js'
import { LiveSparse } from './live-sparse.js'
import { contentId, longestSplitExtent } from './options.js'

/** A VMDK open for changes, of however many files. */
class WritableVmdk implements WritableImage {
  readonly format = 'vmdk'
  readonly sectorSize = 512
  readonly subformat: string
  capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  identity?: string
  parentReference?: ParentReference
  readonly #opened: OpenedParts
  readonly #image: VmdkImage
  readonly #context: OpenContext
  #list: PartList
  readonly #live = new Map<ByteStore, LiveSparse>()
  readonly #reader = new ExtentReader(this)
  readonly #place: DescriptorPlace | undefined
  #text: string
  #changed = false

  constructor(store: ByteStore, context: OpenContext, parent: BlockSource | undefined) {
    const opened = new Opening(store, context).open()
    this.#opened = opened
    this.#context = context
    this.#image = new VmdkImage(opened, context, store.name)
    this.subformat = this.#image.subformat
    this.capacity = this.#image.capacity
    this.grain = this.#image.grain
    this.notes = this.#image.notes
    this.identity = this.#image.identity
    this.parentReference = this.#image.parentReference
    this.#text = opened.descriptor.text
    const { holder } = opened
    this.#place = holder && { ...holder, embedded: opened.sparse.some((file) => file.store === holder.store) }
    const refuse = (why: string): Error =>
      unsupported('E_NOT_WRITABLE', `${store.name} ${why}, and is not changed in place`, {
        hint: 'Convert it to a VMDK of the type monolithicSparse.',
      })
    if (holder === undefined || opened.notes.some(({ code }) => code === 'W_EXTENT_GIVEN'))
      throw unsupported(
        'E_NOT_WRITABLE',
        `${store.name} is one extent of a disk: the disk is changed by its descriptor`,
        {
          hint: 'Name the descriptor instead.',
        },
      )
    this.#list = new PartList(
      opened.parts.map((part) => {
        const { line } = part
        if (line.access !== 'RW' || line.type === 'ZERO' || part.store === undefined)
          throw refuse(
            `has an extent that cannot be written (line ${line.line} of the descriptor: ${line.access} ${line.type})`,
          )
        if (line.type === 'FLAT' || line.type === 'VMFS') return part
        return this.#sparse(part, parent, refuse)
      }),
    )
  }

  #sparse(part: Part, parent: BlockSource | undefined, refuse: (why: string) => Error): Part {
    const file = this.#opened.sparse.find(({ store }) => store === part.store)
    if (file?.layout === undefined || this.#live.has(file.store))
      throw refuse('keeps its data in an ESX sparse extent, or one extent twice')
    const { start, length, line } = part
    const below =
      parent === undefined || parent.capacity <= start
        ? undefined
        : {
            capacity: parent.capacity - start,
            read: (offset: number, target: Uint8Array): void => parent.read(start + offset, target),
          }
    const live = new LiveSparse(file.store, file.layout, below)
    this.#live.set(file.store, live)
    return sparsePart({ line, start }, file.store, live.grains, length)
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#list.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#eachPart(offset, bytes.length, (part, at, done, length) => {
      const piece = bytes.subarray(done, done + length)
      const live = part.store === undefined ? undefined : this.#live.get(part.store)
      if (live !== undefined) live.write(at, piece)
      else part.store?.write(part.line.offset * sectorLength + at, piece)
      part.forget?.()
    })
  }

  discard(offset: number, length: number): void {
    this.#eachPart(offset, length, (part, at, _done, piece) => {
      const { store, line } = part
      const live = store === undefined ? undefined : this.#live.get(store)
      const position = line.offset * sectorLength + at
      if (live !== undefined) live.discard(at, piece)
      else if (store?.zero === undefined) store?.write(position, new Uint8Array(piece))
      else store.zero(position, piece)
      part.forget?.()
    })
  }

  flush(): void {
    for (const live of this.#live.values()) live.flush()
    for (const store of this.#opened.stores) if (!this.#live.has(store)) store.flush()
    for (const part of this.#list.parts) part.forget?.()
  }

  relink(parent: ParentShape | undefined): () => void {
    const { descriptor } = this.#opened
    if (this.parentReference === undefined)
      throw usage('E_NOT_A_CHILD', `${this.#opened.stores[0]?.name ?? ''} has no parent: it is a VMDK of its own`)
    const cid = parent === undefined ? noParent : parentCid(parent)
    const name = parent === undefined ? undefined : storedName(parent.name ?? parent.relativePath).toString('latin1')
    return () => {
      this.flush()
      const after = withLine(
        withLine(this.#text, 'parentCID', `parentCID=${cidText(cid)}`),
        'parentFileNameHint',
        name === undefined ? undefined : `parentFileNameHint="${name}"`,
      )
      this.#exchange(after)
      const values = new Map(descriptor.values)
      if (name === undefined) delete this.parentReference
      else {
        values.set('parentfilenamehint', name)
        const { parentReference } = new VmdkImage(
          {
            ...this.#opened,
            descriptor: {
              ...descriptor,
              parentCid: cid,
              parentNames: [parent?.name ?? parent?.relativePath ?? ''],
              values,
            },
          },
          this.#context,
          this.#opened.stores[0]?.name ?? '',
        )
        this.parentReference = parentReference
      }
    }
  }

  /**
   * The last extent becomes longer or shorter. The smaller of what its header and its line say counts, so that the
   * header is changed first where it grows, and last where it shrinks.
   */
  resize(capacity: number): void {
    if (!Number.isSafeInteger(capacity) || capacity <= 0 || capacity % sectorLength !== 0)
      throw usage('E_SIZE', `a VMDK has whole sectors of ${sectorLength} bytes; ${capacity} bytes are not`)
    if (capacity === this.capacity) return
    const part = this.#resizable(capacity)
    const length = capacity - part.start
    const live = part.store === undefined ? undefined : this.#live.get(part.store)
    if (length > part.length) live?.assertGrows(part.length, length)
    this.#resizedText(part, capacity)
    this.#begin()
    const text = this.#resizedText(part, capacity)
    this.flush()
    if (length > part.length) {
      if (live === undefined) resizeFlat(part, length)
      else live.grow(part.length, length)
      this.#exchange(text)
    } else {
      this.#exchange(text)
      if (live === undefined) resizeFlat(part, length)
      else live.shrink(length)
    }
    const line = { ...part.line, sectors: length / sectorLength }
    const place = { line, start: part.start }
    const { store } = part
    const resized =
      live !== undefined
        ? sparsePart(place, live.store, live.grains, length)
        : store === undefined
          ? part
          : flatPart(place, store)
    this.#list = new PartList([...this.#list.parts.slice(0, -1), resized])
    this.capacity = capacity
  }

  *compact(): Work<void> {
    for (const live of this.#live.values()) {
      yield* live.compact()
      // Its tables may lie elsewhere.
      this.#list = new PartList(
        this.#list.parts.map((part) =>
          part.store === live.store ? sparsePart(part, live.store, live.grains, part.length) : part,
        ),
      )
    }
  }

  /** The last extent, where it alone can make the difference. @throws ImageError unsupported E_NO_RESIZE */
  #resizable(capacity: number): Part {
    const { parts } = this.#list
    const last = parts.at(-1)
    const name = this.#opened.stores[0]?.name ?? ''
    const refuse = (why: string): Error =>
      unsupported('E_NO_RESIZE', `${name}: ${why}`, {
        hint: 'Convert it, with --size.',
      })
    if (last === undefined || last.store === undefined) throw refuse('its last extent has no file')
    if (capacity <= last.start) throw refuse('extents would be left out, whose files vdisk does not delete')
    if (parts.some((part) => part !== last && part.store === last.store))
      throw refuse('its last extent lies in one file with others')
    const split = /^twogbmaxextent|^2gbmaxextent/.test(this.#opened.descriptor.kind)
    if (split && capacity - last.start > longestSplitExtent)
      throw refuse(`the last extent of a split disk has up to ${longestSplitExtent} bytes, and more are not added`)
    return last
  }

  /** The descriptor with the new length. @throws ImageError unsupported E_NO_RESIZE where it cannot be exchanged. */
  #resizedText(part: Part, capacity: number): string {
    const place = this.#place
    if (place === undefined) throw new TypeError('an image without a descriptor was opened for changes')
    const length = withSectors(this.#text, part.line.line, (capacity - part.start) / sectorLength)
    const both = withCylinders(length, capacity)
    if (canExchange(place, this.#text, both)) return both
    if (canExchange(place, this.#text, length)) return length
    throw unsupported(
      'E_NO_RESIZE',
      `${place.store.name}: the change takes several sectors of the descriptor, which cannot be written at once`,
      { hint: 'Convert it, with --size.' },
    )
  }

  describe(): Section[] {
    return this.#image.describe()
  }

  [Symbol.dispose](): void {
    try {
      for (const live of this.#live.values()) live.close()
    } finally {
      for (const store of this.#opened.stores) store[Symbol.dispose]()
    }
  }

  #exchange(after: string): void {
    if (this.#place === undefined) return
    exchangeDescriptor(this.#place, this.#text, after)
    this.#text = after
  }

  /** Before the first change that a guest sees: another content id, by which children made before do not fit. */
  #begin(): void {
    if (this.#changed) return
    this.#changed = true
    if (this.#context.keepsIdentity === true || this.#context.keepsContent === true) return
    const next = contentId(randomUuid().slice(0, 36))
    const after = withContentId(this.#text, this.#opened.descriptor, next)
    if (after === undefined) return
    this.#exchange(after)
    this.identity = cidText(parseInt(/^[ \t]*CID[ \t]*=[ \t]*"?(?:0x)?([0-9a-f]{1,8})/im.exec(after)?.[1] ?? '0', 16))
  }

  #eachPart(
    offset: number,
    length: number,
    visit: (part: Part, at: number, done: number, length: number) => void,
  ): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.capacity)
      throw new RangeError(`${length} bytes at offset ${offset} leave the disk of ${this.capacity} bytes`)
    if (length > 0) this.#begin()
    for (let done = 0; done < length;) {
      const part = this.#list.at(offset + done)
      const at = offset + done - part.start
      const piece = Math.min(length - done, part.length - at)
      visit(part, at, done, piece)
      done += piece
    }
  }
}

/** New bytes are zero, also where the file was longer than its extent. */
function resizeFlat({ store, line, length: before }: Part, length: number): void {
  if (store === undefined) return
  const start = line.offset * sectorLength
  if (length > before) store.truncate(start + before)
  store.truncate(start + length)
  store.flush()
}

/** Opens one layer to change it. Nothing is written before the first change. @throws ImageError */
export function openWritableVmdk(store: ByteStore, context: OpenContext, parent?: BlockSource): WritableImage {
  return new WritableVmdk(store, context, parent)
}
