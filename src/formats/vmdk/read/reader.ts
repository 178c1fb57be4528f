import type { Work } from '../../../block/work.js'
import { ExtentReader } from '../../../block/read.js'
import type { ByteStore, Extent, Note, Section } from '../../../block/types.js'
import type { ImageError } from '../../../errors.js'
import type { CheckOptions, DiskImage, FileReference, Finding, OpenContext, ParentReference } from '../../driver.js'
import { checkVmdk } from '../judge/check.js'
import { checkCompressed } from '../judge/check-compressed.js'
import { cidText } from '../format/descriptor.js'
import { describeVmdk } from './describe.js'
import { Opening, type OpenedParts } from './opening.js'
import { parentReferenceOf } from './parent.js'
import { PartList } from './parts.js'

/** The spelling of the types that are known, whatever their case in the descriptor. */
const createTypes: readonly string[] = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'streamOptimized',
  'vmfs',
  'vmfsThin',
  'vmfsThick',
  'vmfsPreallocated',
  'vmfsEagerZeroedThick',
  'vmfsSparse',
  'seSparse',
  'vmfsSeSparse',
  'custom',
  'extent',
]

/** One layer of a VMDK chain, of however many files. */
export class VmdkImage implements DiskImage {
  readonly format = 'vmdk'
  readonly subformat: string
  readonly sectorSize = 512
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  readonly references: readonly FileReference[]
  readonly parentReference?: ParentReference
  readonly unreadable?: ImageError
  readonly identity?: string
  readonly #parts: OpenedParts
  readonly #list: PartList
  readonly #reader = new ExtentReader(this)

  constructor(parts: OpenedParts, context: OpenContext, name: string) {
    const { descriptor } = parts
    this.#parts = parts
    this.#list = new PartList(parts.parts)
    this.capacity = this.#list.capacity
    this.notes = parts.notes
    this.references = parts.references
    this.unreadable = parts.unreadable
    this.subformat = createTypes.find((known) => known.toLowerCase() === descriptor.kind) ?? 'custom'
    if (descriptor.cid !== undefined) this.identity = cidText(descriptor.cid)
    this.parentReference = parentReferenceOf(this, descriptor, name, context.options['any-parent-cid'] === true)
    const grain = Math.min(...parts.parts.filter(({ line }) => line.type !== 'ZERO').map((part) => part.grain))
    this.grain = Number.isFinite(grain) && parts.parts.every(({ start }) => start % grain === 0) ? grain : 512
  }

  extentAt(offset: number, limit: number): Extent {
    if (this.unreadable !== undefined) throw this.unreadable
    return this.#list.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  describe(): Section[] {
    return describeVmdk(this.#parts)
  }

  *check({ deep = false }: CheckOptions = {}): Work<void, Finding> {
    yield* checkVmdk(this.#parts)
    if (deep && this.unreadable === undefined) yield* checkCompressed(this)
  }

  [Symbol.dispose](): void {
    for (const store of this.#parts.stores) store[Symbol.dispose]()
  }
}

/** Opens one layer: descriptor, extents and all. @throws ImageError */
export function openVmdk(store: ByteStore, context: OpenContext): VmdkImage {
  return new VmdkImage(new Opening(store, context).open(), context, store.name)
}
