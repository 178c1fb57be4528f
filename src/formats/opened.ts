import { corrupt, type ImageError, type Label } from '../errors.js'
import type { Location, LocationId } from '../location/location.js'
import type { Work } from '../block/work.js'
import { OverlaySource } from '../block/overlay.js'
import { assertUnchanged } from '../block/changed.js'
import type { ContentTaker } from '../block/content-taker.js'
import type { BlockSource, ByteStore, Extent, Note } from '../block/types.js'
import { checksumFindings, damageNotes, findingNote } from './damage.js'
import type { ContentSums, DiskImage, Finding, FormatDriver } from './driver.js'
import { asWarning } from './finding.js'
import { ignoreChecksums, ignoreChecksumsHint } from './option-specs.js'
import type { Wrapping } from './wrapping.js'
import type { FoundBy } from '../location/gate.js'

/** A file of the host that belongs to an image: which one it is, to recognise it under any name. */
export interface ImageFile {
  /** What finds it again: its path. */
  readonly path: string
  /** Which bytes it is; compared with the ids of others. */
  readonly id: LocationId
  readonly role: 'image' | 'parent' | 'data-file' | 'extent'
  /** The name that the image stores for it; undefined for the image itself. */
  readonly stored?: string
  /** Bytes of the file, and bytes that the host's filesystem really holds for it. */
  readonly size: number
  readonly allocated: number
  readonly device: bigint
  readonly inode: bigint
  /** Permission bits; undefined where it is no file of this computer. */
  readonly mode?: number
}

/** One image of a chain, with the files it consists of (the image itself first). */
export interface Layer {
  /** For people. */
  readonly name: Label
  /** What it was opened from. */
  readonly location: Location
  /** Where it lies in that: the same, but for a member of an archive. */
  readonly inside: Location
  /** Undefined when the image is no file of its own (standard input). */
  readonly path: string | undefined
  readonly driver: FormatDriver
  readonly image: DiskImage
  readonly files: readonly ImageFile[]
  /** How a parent was come by; undefined for the image asked for. */
  readonly foundBy?: FoundBy
  /** What its bytes are read from: the image itself, and the further files it consists of. */
  readonly stores: readonly ByteStore[]
  /** What it was taken out of, outermost first; empty for a file of its own. */
  readonly wrappings: readonly Wrapping[]
  /** Whether checksums that it has, or that these have of it, and that are wrong, are only warned of. */
  readonly ignoresChecksums?: boolean
  /** What is known besides the image's own notes. */
  readonly notes: readonly Note[]
  /** What keeps others from changing it; closed with the image. */
  readonly held?: Disposable
}

/** What is below the last layer of an incomplete chain: every look at it says why it is missing. */
class MissingSource implements BlockSource {
  readonly grain = 512
  readonly #error: ImageError

  constructor(
    readonly capacity: number,
    readonly sectorSize: 512 | 4096,
    error: ImageError,
  ) {
    this.#error = error
  }

  extentAt(): Extent {
    throw this.#error
  }

  read(): void {
    throw this.#error
  }

  [Symbol.dispose](): void {
    // Nothing is held.
  }
}

/** An opened image with its chain of parents, as one readable disk. Closing it closes every layer. */
export class OpenedImage implements BlockSource {
  /** The image asked for first, then its parent, its parent's parent … */
  readonly layers: readonly Layer[]
  /**
   * Why the chain ends too early; only when it was opened to be looked at. Reading what the parent should hold throws
   * it.
   */
  readonly missing: ImageError | undefined
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  /** What of the disk is looked at, when it is not all of it: `partition 2`. */
  readonly part: string | undefined
  /** The type of the partition that is looked at, as its table stores it. */
  readonly partType: string | undefined
  /** Where on the disk that part begins, in bytes; 0 for all of it. */
  readonly start: number
  readonly #source: BlockSource
  /** What is wrong with the layers that were asked about. */
  readonly #damage = new Map<Layer, readonly Note[]>()
  /** What {@link verify} warned of. */
  readonly #verified = new Map<Layer, readonly Note[]>()
  /** Further images that the disk is put together of. */
  readonly #others: readonly OpenedImage[]

  /** @param part what is to be read instead of the disk. @throws RangeError without a layer. */
  constructor(
    layers: readonly Layer[],
    missing: ImageError | undefined,
    part?: {
      readonly name?: string | undefined
      readonly type?: string | undefined
      readonly source: BlockSource
      readonly start?: number
      readonly others?: readonly OpenedImage[]
    },
  ) {
    const [top] = layers
    if (top === undefined) throw new RangeError('an image has at least one layer')
    this.layers = layers
    this.missing = missing
    const source = stacked(
      layers,
      missing === undefined ? undefined : new MissingSource(top.image.capacity, top.image.sectorSize, missing),
    )
    this.part = part?.name
    this.partType = part?.type
    this.start = part?.start ?? 0
    this.#source = part?.source ?? source ?? top.image
    this.#others = part?.others ?? []
    this.capacity = this.#source.capacity
    this.sectorSize = this.#source.sectorSize
    this.grain = this.#source.grain
  }

  /** The same image, of which only a part is read, which begins at `start`. Closing either closes the layers. */
  withPart(name: string, source: BlockSource, start: number, type: string): OpenedImage {
    return new OpenedImage(this.layers, this.missing, { name, source, start, type })
  }

  /** The same image, held against changes, of which more is known. Closing either closes the layers. */
  heldBy(held: Disposable | undefined, notes: readonly Note[]): OpenedImage {
    const [, ...below] = this.layers
    const { top } = this
    return new OpenedImage([{ ...top, held, notes: [...top.notes, ...notes] }, ...below], this.missing)
  }

  /**
   * A disk that is made of this image and others: its table changed, something put into a partition. It has the notes
   * and files of all,
   * and closing it closes all.
   */
  composed(source: BlockSource, others: readonly OpenedImage[] = [], name?: string, type?: string): OpenedImage {
    return new OpenedImage(this.layers, this.missing, { name, source, others, type })
  }

  /** All of the disk, whatever part of it is read. It belongs to this image. */
  get whole(): BlockSource {
    return stacked(this.layers, undefined) ?? this
  }

  /** What messages call it: the file's name, or `partition 2 of disk.vhdx`. */
  get name(): string {
    return this.part === undefined ? this.top.name : `${this.part} of ${this.top.name}`
  }

  /** The image asked for, without its parents. */
  get top(): Layer {
    const [top] = this.layers
    if (top === undefined) throw new RangeError('an image has at least one layer')
    return top
  }

  /** The disk below the image asked for; undefined when it has no parent. It belongs to this image. */
  get parent(): BlockSource | undefined {
    if (this.missing !== undefined) throw this.missing
    return stacked(this.layers.slice(1), undefined)
  }

  /**
   * What the user should know, of every layer: also what check finds to be an error in it. The first question looks
   * through the tables of all layers; what reading meets is added to the answer later.
   */
  get notes(): Note[] {
    return [...this.layers.flatMap((layer) => this.notesOf(layer)), ...this.#others.flatMap(({ notes }) => notes)]
  }

  /**
   * Looks through the tables of all layers now: to be called before one of them is changed, whose notes are asked for
   * afterwards.
   */
  findDamage(): void {
    for (const layer of this.layers) this.#damageOf(layer)
    for (const other of this.#others) other.findDamage()
  }

  /** The same, of one of the layers. */
  notesOf(layer: Layer): Note[] {
    const met = new Set(layer.image.notes.map(({ code }) => code))
    return [
      ...layer.notes,
      ...layer.image.notes,
      ...this.#damageOf(layer).filter(({ code }) => !met.has(code)),
      ...(this.#verified.get(layer) ?? []),
    ]
  }

  #damageOf(layer: Layer): readonly Note[] {
    let damage = this.#damage.get(layer)
    if (damage === undefined) this.#damage.set(layer, (damage = damageNotes(layer.image, layer.name)))
    return damage
  }

  /** Every file that the disk is made of. */
  get files(): ImageFile[] {
    return [...this.layers, ...this.#others].flatMap(({ files }) => files)
  }

  /** What all of it was opened from, and what that lies in. */
  get locations(): Location[] {
    const own = this.layers.flatMap(({ location }) => {
      const found = [location]
      for (let outer = location.outer; outer !== undefined; outer = outer.outer) found.push(outer)
      return found
    })
    return [...own, ...this.#others.flatMap(({ locations }) => locations)]
  }

  /**
   * Makes sure that what was read is one state of the disk: at the end of whatever read it.
   * @param from the first layer asked; 1: only the parents, where the image itself is being changed here.
   * @throws ImageError corrupt E_SOURCE_CHANGED when one of its files changed since it was opened.
   */
  assertUnchanged(from = 0): void {
    for (const { stores } of this.layers.slice(from)) for (const store of stores) assertUnchanged(store)
    for (const other of this.#others) other.assertUnchanged()
  }

  /** The error that reading will meet: encryption, or a missing parent. Undefined when all is there. */
  get unreadable(): ImageError | undefined {
    return (
      this.layers.find(({ image }) => image.unreadable !== undefined)?.image.unreadable ??
      this.missing ??
      this.#others.find(({ unreadable }) => unreadable !== undefined)?.unreadable
    )
  }

  /**
   * Makes what is read ready, where that may take long ({@link DiskImage.prepare}): all of it, or a part of this disk.
   * @throws ImageError
   */
  *prepare(offset = 0, length = this.capacity): Work<void> {
    for (const { image } of this.layers) yield* image.prepare?.(this.start + offset, length) ?? []
    for (const other of this.#others) yield* other.prepare()
  }

  /**
   * The checksums over the content, for who reads all of this disk in order; undefined where there are none, or where
   * they are not over this disk as it stands: {@link verify} compares them then.
   */
  contentProof(): ContentProof | undefined {
    const [layer, ...below] = this.layers
    if (layer === undefined || below.length > 0 || this.#source !== layer.image) return undefined
    const sums = layer.image.contentSums?.(0, this.capacity)
    return sums === undefined
      ? undefined
      : new ContentProof(sums, (found) => this.#judge(layer, found, canIgnore(layer.driver)))
  }

  /**
   * Compares the checksums of all that is read which reading itself does not compare ({@link DiskImage.verify},
   * {@link DiskImage.contentSums}).
   * @param proof compares those over the content. @throws ImageError corrupt E_CHECKSUM; as reading.
   */
  *verify(proof?: ContentProof): Work<void> {
    for (const layer of this.layers) yield* this.#verify(layer, proof !== undefined)
    for (const other of this.#others) yield* other.verify()
  }

  *#verify(layer: Layer, isProven: boolean): Work<void> {
    const { image, driver, wrappings } = layer
    for (const { verify } of wrappings)
      for (const item of verify?.() ?? [])
        if ('severity' in item) this.#judge(layer, item, true)
        else yield item
    // What is put together of several places (a logical volume) may need all of the disk.
    const [offset, length] = this.start > 0 ? [this.start, this.capacity] : [0, image.capacity]
    for (const item of checksumFindings(image, offset, length, isProven))
      if ('severity' in item) this.#judge(layer, item, canIgnore(driver))
      else yield item
  }

  /** What is wrong with a layer's checksums: an error is thrown, of a warning there is a note. */
  #judge(layer: Layer, found: Finding, isIgnorable: boolean): void {
    const finding = isIgnorable && layer.ignoresChecksums === true ? asWarning(found) : found
    const note = findingNote(finding, layer.name)
    if (finding.severity === 'error')
      throw corrupt(note.code, note.message, { hint: isIgnorable ? ignoreChecksumsHint : undefined })
    this.#verified.set(layer, [...(this.#verified.get(layer) ?? []), note])
  }

  extentAt(offset: number, limit: number): Extent {
    return this.#source.extentAt(offset, limit)
  }

  read(offset: number, target: Uint8Array): void {
    this.#source.read(offset, target)
  }

  [Symbol.dispose](): void {
    for (const { image, held } of this.layers) {
      image[Symbol.dispose]()
      held?.[Symbol.dispose]()
    }
    for (const other of this.#others) other[Symbol.dispose]()
  }
}

/** Takes the content of an opened image while it is read, and compares the checksums over it at the end. */
export class ContentProof implements ContentTaker {
  readonly start: number
  readonly end: number
  readonly #sums: ContentSums
  readonly #judge: (finding: Finding) => void
  #taken: number

  constructor(sums: ContentSums, judge: (finding: Finding) => void) {
    this.start = sums.start
    this.end = sums.end
    this.#sums = sums
    this.#judge = judge
    this.#taken = sums.start
  }

  take(offset: number, bytes: Uint8Array): void {
    this.#sums.take(offset, bytes)
    this.#taken = offset + bytes.length
  }

  takeZeros(offset: number, length: number): void {
    this.#sums.takeZeros(offset, length)
    this.#taken = offset + length
  }

  /** When all was read. @throws ImageError corrupt E_CHECKSUM, E_DIGEST. */
  assert(): void {
    if (this.#taken < this.end) throw new TypeError(`checksums were compared at offset ${this.#taken} of ${this.end}`)
    for (const finding of this.#sums.findings()) this.#judge(finding)
  }
}

/** Whether images of a format are read on where their checksums are wrong, for who wants that. */
function canIgnore({ openOptions = [] }: FormatDriver): boolean {
  return openOptions.some(({ name }) => name === ignoreChecksums.name)
}

/** Layers as one disk, the first on top. */
function stacked(layers: readonly Layer[], bottom: BlockSource | undefined): BlockSource | undefined {
  return layers.reduceRight(
    (below: BlockSource | undefined, { image }) => (below === undefined ? image : new OverlaySource(image, below)),
    bottom,
  )
}
