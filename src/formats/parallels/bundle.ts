import { ConcatenatedSource } from '../../block/concatenated.js'
import { ExtentReader } from '../../block/read.js'
import type { BlockSource, ByteStore, Extent, Fact, Note, Section } from '../../block/types.js'
import type { Work } from '../../block/work.js'
import { corrupt, printable, unsupported, type ImageError } from '../../errors.js'
import {
  chooseSnapshot,
  type CheckOptions,
  type DiskImage,
  type FileReference,
  type Finding,
  type ImageSnapshot,
  type OpenContext,
} from '../driver.js'
import { chainOf, guidOf, type Descriptor, type Storage, type StoredImage } from './descriptor.js'
import { layerOf, storageDisk, type ImageLayer } from './storage.js'

/** Facts of a kind that are shown of a bundle at most. */
const mostFacts = 32

/** A file of a bundle that was given instead of its descriptor. */
export interface GivenFile {
  /** What it may be called in the descriptor. */
  readonly names: readonly (string | undefined)[]
  readonly store: ByteStore
  /** The state of the disk that it belongs to. */
  readonly guid: string
  readonly note: Note | undefined
}

interface OpenedImage {
  readonly image: StoredImage
  readonly store: ByteStore | undefined
  readonly layer: ImageLayer
}

/** Opens the files of a bundle for one state of its disk. What it opened is closed when that fails. */
class Opening {
  readonly notes: Note[]
  readonly stores: ByteStore[] = []
  readonly references: FileReference[] = []
  readonly images: OpenedImage[] = []
  readonly disk: BlockSource
  readonly #name: string
  readonly #context: OpenContext
  readonly #given: GivenFile | undefined

  constructor(
    name: string,
    descriptor: Descriptor,
    chain: readonly string[],
    context: OpenContext,
    given: GivenFile | undefined,
  ) {
    this.notes = [...(given?.note === undefined ? [] : [given.note]), ...descriptor.notes]
    this.#name = name
    this.#context = context
    this.#given = given
    const { storages } = descriptor
    try {
      const disks = storages.map((storage, index) => this.#storage(storage, chain, index === storages.length - 1))
      const [only, ...others] = disks
      this.disk = only !== undefined && others.length === 0 ? only : new ConcatenatedSource(disks, 512)
    } catch (error) {
      for (const store of this.stores) if (store !== given?.store) store[Symbol.dispose]()
      throw error
    }
  }

  #storage(storage: Storage, chain: readonly string[], isLast: boolean): BlockSource {
    const images = chain.map((guid, index): OpenedImage => {
      const image = storage.images.get(guid)
      if (image === undefined)
        throw corrupt(
          'E_DESCRIPTOR',
          `${this.#name}: the storage at byte ${storage.start} of the disk has no image of the snapshot ${guid}`,
        )
      const store = this.#open(image)
      return { image, store, layer: layerOf(image, store, storage, index === chain.length - 1) }
    })
    for (const { layer } of images) this.notes.push(...layer.notes)
    this.images.push(...images)
    const disk = storageDisk(storage, images, { isLast, note: (note) => this.notes.push(note) })
    // A chain has at least one state.
    if (disk === undefined) throw corrupt('E_DESCRIPTOR', `${this.#name}: a storage without an image`)
    return disk
  }

  #open({ file }: StoredImage): ByteStore | undefined {
    this.references.push({ role: 'extent', path: file })
    const given = this.#given
    const store =
      given?.names.includes(leafOf(file)) === true && !this.stores.includes(given.store)
        ? given.store
        : this.#context.openReference({ role: 'extent', path: file })
    if (store !== undefined) this.stores.push(store)
    return store
  }
}

/** The last part of a name that a descriptor stores. */
export function leafOf(file: string): string {
  return file.replaceAll('\\', '/').replace(/^.*\//s, '')
}

/** A Parallels disk of a descriptor and the files that it names, as it is in one of its states. */
export class ParallelsBundle implements DiskImage {
  readonly format = 'parallels'
  readonly subformat: string
  readonly sectorSize = 512
  readonly capacity: number
  readonly grain: number
  readonly notes: readonly Note[]
  readonly references: readonly FileReference[]
  readonly unreadable?: ImageError
  readonly snapshots: readonly ImageSnapshot[]
  readonly #descriptor: Descriptor
  readonly #chain: readonly string[]
  readonly #opening: Opening | undefined
  readonly #reader: ExtentReader
  /** Every store, to be closed. */
  readonly #stores: readonly ByteStore[]

  /**
   * @param store the descriptor. @param given the file that was opened instead of it.
   * @throws ImageError corrupt E_DESCRIPTOR, E_EXTENT_SIZE, those of images; usage E_SNAPSHOT_UNKNOWN; reference.
   */
  constructor(store: ByteStore, descriptor: Descriptor, context: OpenContext, given?: GivenFile) {
    const { name } = store
    const { capacity, storages, top, shots, isEncrypted } = descriptor
    this.#descriptor = descriptor
    this.snapshots = [...shots.keys()]
      .filter((guid) => guid !== top)
      .map((guid) => ({ id: guid, name: guid.slice(1, -1), capacity, vmStateSize: 0 }))
    const state = context.snapshot === undefined ? (given?.guid ?? top) : this.#chosen(context.snapshot, name)
    this.#chain = chainOf(descriptor, state, name)
    if (isEncrypted) {
      this.unreadable = unsupported('E_ENCRYPTED', `${name} is encrypted; encrypted images cannot be read`)
      this.notes = descriptor.notes
      this.references = []
      this.#stores = given === undefined ? [store] : [store, given.store]
    } else {
      const opening = new Opening(name, descriptor, this.#chain, context, given)
      this.#opening = opening
      this.notes = opening.notes
      this.references = opening.references
      this.#stores = [...new Set([store, ...(given === undefined ? [] : [given.store]), ...opening.stores])]
    }
    const disk = this.#opening?.disk
    this.capacity = disk?.capacity ?? capacity
    this.grain = disk?.grain ?? 512
    this.subformat =
      storages.length > 1 ? 'split' : this.#opening?.images.at(-1)?.image.type === 'Plain' ? 'plain' : 'expanding'
    this.#reader = new ExtentReader(this)
  }

  #chosen(wanted: string, name: string): string {
    const guid = guidOf(wanted)
    if (guid === this.#descriptor.top) return guid
    return chooseSnapshot(this.snapshots, guid ?? wanted, name).id
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#disk.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    if (this.unreadable !== undefined) throw this.unreadable
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + target.length > this.capacity)
      throw new RangeError(
        `read of ${target.length} bytes at offset ${offset} leaves the disk of ${this.capacity} bytes`,
      )
    this.#reader.read(offset, target)
  }

  get #disk(): BlockSource {
    if (this.#opening === undefined) throw this.unreadable ?? new Error('nothing was opened')
    return this.#opening.disk
  }

  describe(): Section[] {
    const { storages, top, shots } = this.#descriptor
    const several = (kind: string, label: string, values: readonly string[]): Fact[] =>
      values.slice(0, mostFacts).map((value, index) => ({ name: `${kind}${index}`, label: `${label} ${index}`, value }))
    return [
      {
        title: 'Parallels disk of several files',
        facts: [
          { name: 'storages', value: storages.length, unit: 'count' },
          { name: 'snapshots', value: shots.size - 1, unit: 'count' },
          { name: 'state', value: this.#chain[0] ?? top },
          ...several('below', 'made over', this.#chain.slice(1)),
          ...several(
            'image',
            'file',
            this.references.map(({ path }) => printable(path)),
          ),
        ],
      },
    ]
  }

  *check(options: CheckOptions = {}): Work<void, Finding> {
    for (const { image, layer } of this.#opening?.images ?? []) {
      const file = printable(leafOf(image.file))
      for (const item of layer.check(options)) {
        // Positions are those of another file than the one that was opened.
        if ('severity' in item)
          yield {
            severity: item.severity,
            code: item.code,
            structure: `${file}: ${item.structure}`,
            message: item.message,
          }
        else yield item
      }
    }
    yield* this.#unused()
  }

  /** Images that belong to no snapshot. */
  *#unused(): Generator<Finding> {
    const { storages, shots } = this.#descriptor
    for (const { images } of storages)
      for (const { guid, file } of images.values())
        if (!shots.has(guid))
          yield {
            severity: 'warning',
            code: 'W_IMAGE_UNUSED',
            structure: 'descriptor',
            message: `the image ${printable(file)} belongs to ${guid}, which is no snapshot of the disk`,
          }
  }

  [Symbol.dispose](): void {
    for (const store of this.#stores) store[Symbol.dispose]()
  }
}
