import { SalvagingSource, type BadRun } from '../../block/salvage.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import { copy, RateLimit, type CopyResult, type Progress } from '../../engine/index.js'
import { printable, stopIfAborted } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { partialsOf } from '../../location/partial.js'
import { folderPart, inFolder, lastPart } from '../../sys/host-path.js'
import type { OpenedImage } from '../../formats/open.js'
import { withState } from '../change/left-state.js'
import { DiskDigests, type DigestPart } from '../transfer/disk-digests.js'
import { proveDigest } from '../transfer/proof.js'
import { FileSink, type FileResult, type FileSinkOptions } from '../transfer/sink-file.js'
import type { Step } from '../transfer/step.js'
import { BlocksWriter } from './blocks-file.js'
import { CarriedDigests } from './carried-digests.js'
import { badBytes } from './bad-ranges.js'
import { HeldSource, when, type HeldSourceOptions } from './held-source.js'
import { writeImageRecord, type Consistency, type ImageRecord } from './record.js'
import { writeSalvageMap } from './salvage-map.js'
import type { SinceImage } from './since.js'
import { imageRecordPath, salvageMapPath, blocksPath } from './companions.js'

/** What is imaged, and how, wherever the image goes. */
export interface ReadingOptions extends HeldSourceOptions {
  /** What is read, for people: `disk /dev/sdb of /dev/sdb`. */
  readonly reading: string
  /** What of the disk is read, and how many bytes of it are stored. */
  readonly disk: BlockSource
  readonly bytes: number
  /** Bytes of the disk. */
  readonly capacity: number
  /** The partitions whose digests are recorded. */
  readonly parts: readonly DigestPart[]
  readonly verify: boolean
  /** Whether the disk is still there: one that was pulled out has no bad sectors. */
  readonly stillThere: () => boolean
  /** What is known for the record beforehand. */
  readonly record: Pick<ImageRecord, 'tool' | 'started' | 'source' | 'usedOnly' | 'parts' | 'bitmaps' | 'parent'> & {
    readonly image: Omit<ImageRecord['image'], 'capacity'>
  }
  readonly threads?: number
  readonly sparse?: number
  /** Most bytes of the disk that are read a second. */
  readonly rate?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** What is imaged into a file of this computer. */
export interface ImageRunOptions extends ReadingOptions {
  /** What it is a child of: only what differs from it is stored. */
  readonly since?: Pick<SinceImage, 'base' | 'known' | 'open' | 'files' | 'assertUnchanged'>
  /** Whether only what a bitmap lists is read: `disk` is as `since` elsewhere. */
  readonly byBitmap: boolean
  readonly target: string
  readonly sink: FileSinkOptions
}

/** What an image became. */
export interface ImageMade extends Omit<FileResult, 'allocated'>, CopyResult {
  /** Bytes that the filesystem holds for it, where it is a file of this computer. */
  readonly allocated?: number
  readonly consistency: Consistency
  readonly digests: ImageRecord['digests']
  /** The record's path; undefined where the image has none, or carries it. */
  readonly record?: string
  readonly bad: readonly BadRun[]
  /** The map's path, when something could not be read. */
  readonly map?: string
}

/** The making of one image of a disk: its steps, and what came of them. Closing it lets filesystems go. */
export class ImageRun implements Disposable {
  readonly #options: ImageRunOptions
  readonly #salvage: SalvagingSource
  readonly #digests: DiskDigests
  readonly #held: HeldSource
  #sink: FileSink | undefined
  #blocks: BlocksWriter | undefined
  #moved: CopyResult = { bytesRead: 0, bytesWritten: 0 }
  #recorded: ImageRecord['digests'] | undefined
  #mapWritten = false
  #file: FileResult | undefined
  #made: ImageMade | undefined

  constructor(options: ImageRunOptions) {
    this.#options = options
    this.#held = new HeldSource(options)
    this.#salvage = new SalvagingSource(options.disk, options.stillThere)
    this.#digests = new DiskDigests(options.capacity, options.parts)
  }

  /** What is done, in order. */
  get steps(): Step[] {
    const { verify, target: path, record } = this.#options
    const target = printable(path)
    const { format, subformat } = record.image
    return [
      {
        name: 'create',
        message:
          `create the image ${target} (${format}, ${subformat}` +
          `${this.#options.sink.container === undefined ? '' : ', compressed'}), under a partial name`,
        run: () => {
          const { sink, capacity, since } = this.#options
          this.#sink = new FileSink(sink)
          // What a run that was killed left of them.
          if (sink.resume?.remakes === true)
            for (const name of partialsOf(blocksPath(path), '')) fs.removeFileSync(inFolder(folderPart(path), name))
          this.#blocks = new BlocksWriter(path, capacity, since?.known)
        },
      },
      ...this.#held.before,
      { name: 'copy', message: `${readingText(this.#options)}${this.#comparing}`, run: () => this.#copy() },
      ...this.#held.after,
      { name: 'complete', message: this.#completing, run: () => this.#complete() },
      ...when(verify, {
        name: 'verify',
        message: 'read the image back and compare its digest with what was read',
        run: () => this.#verify(),
      }),
      { name: 'name', message: `flush the image, and give it its name`, run: () => this.#name() },
      {
        name: 'record',
        message: `write the digests of its blocks (${blocksPath(target)}) and the record ${imageRecordPath(target)}`,
        run: () => this.#recordOrSay(),
      },
    ]
  }

  readonly notes: readonly Note[] = []

  get consistency(): Consistency {
    return this.#held.consistency
  }

  /** What came of it, when all steps have run. */
  get made(): ImageMade {
    if (this.#made === undefined) throw new TypeError('the image is not made yet')
    return this.#made
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]()
    this.#sink?.[Symbol.dispose]()
    this.#blocks?.[Symbol.dispose]()
    // An image that did not get its name leaves no map either.
    if (this.#mapWritten && this.#file === undefined) fs.removeFileSync(salvageMapPath(this.#options.target))
  }

  get #image(): FileSink {
    if (this.#sink === undefined) throw new TypeError('the image was not created')
    return this.#sink
  }

  /** How what has changed is found, for people. */
  get #comparing(): string {
    const { since, record, byBitmap } = this.#options
    if (since === undefined) return ''
    const name = printable(record.parent?.name ?? '')
    if (byBitmap) return `; of that, what has other digests than in ${blocksPath(name)} goes into the image`
    return since.known === undefined
      ? `; what differs from ${name}, which is read too, goes into the image`
      : `; what has other digests than in ${blocksPath(name)} goes into the image`
  }

  get #completing(): string {
    const { format, container } = this.#options.sink
    if (container === undefined) return 'write the tables of the image'
    return format.driver.plain === true
      ? 'write what holds the compressed units together'
      : 'write the tables of the image, and compress it: until now it was a scratch file beside the target'
  }

  /** The new image, opened afresh. */
  async #reopen(): Promise<OpenedImage> {
    return await this.#image.open(this.#options.since?.open)
  }

  async #copy(): Promise<void> {
    const { disk, since, threads, sparse, rate, signal, onProgress } = this.#options
    const carried = this.#carried
    const [parts, digests] = [carried ?? this.#blocks, carried ?? this.#digests]
    this.#moved = await this.#image.fill({
      source: disk,
      parts,
      digests,
      salvage: this.#salvage,
      copy: async (target, journal) =>
        await copy({
          source: disk,
          base: since?.base,
          parts,
          target,
          salvage: this.#salvage,
          digests,
          journal,
          rate: RateLimit.of(rate),
          threads,
          sparse,
          signal,
          onProgress,
        }),
    })
    carried?.finish()
  }

  /** Where only what a bitmap lists is read: what takes the digests of that, and has those of the rest. */
  get #carried(): CarriedDigests | undefined {
    const { since, byBitmap, capacity } = this.#options
    if (!byBitmap || since?.known === undefined || this.#blocks === undefined) return undefined
    return new CarriedDigests(since.known, capacity, this.#digests, this.#blocks)
  }

  async #complete(): Promise<void> {
    const { signal, onProgress } = this.#options
    stopIfAborted(signal)
    onProgress?.({ phase: 'flush', done: 0, total: 1 })
    this.#image.finish()
    await this.#image.pack({ threads: this.#options.threads, signal, onProgress })
    let image: OpenedImage | undefined
    try {
      // The image is only read for digests that could not be taken while the disk was read.
      this.#recorded = await this.#digests.result(async () => (image ??= await this.#reopen()), signal)
    } finally {
      image?.[Symbol.dispose]()
    }
  }

  async #verify(): Promise<void> {
    const { disk } = this.#digested
    await this.#image.verify(
      async (image, written) => {
        await proveDigest(disk.digest, new SliceSource(image, disk.start, disk.length), written, this.#options)
      },
      { open: this.#options.since?.open },
    )
  }

  async #name(): Promise<void> {
    stopIfAborted(this.#options.signal)
    // A child of what is no more would be another disk.
    this.#options.since?.assertUnchanged()
    this.#writeMap()
    this.#file = await this.#image.commit()
    this.#options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
  }

  /**
   * The files of an image that is replaced go when the new one is complete; a map comes before the image, so that no
   * image is taken for whole.
   */
  #writeMap(): void {
    const { target, record } = this.#options
    fs.removeFileSync(imageRecordPath(target))
    fs.removeFileSync(blocksPath(target))
    const path = salvageMapPath(target)
    const { bad, capacity } = this.#salvage
    if (bad.length === 0) fs.removeFileSync(path)
    else {
      writeSalvageMap(path, capacity, bad, `${record.tool.name} ${record.tool.version}`)
      this.#mapWritten = true
    }
  }

  #recordOrSay(): void {
    try {
      this.#record()
      this.#image.end()
    } catch (error) {
      throw withState(
        error,
        () =>
          `The new image is complete and in place: ${printable(this.#options.target)}. Without its record --resume ` +
          'and restore do not know which disk it is of.',
      )
    }
  }

  #record(): void {
    const { target, record, since } = this.#options
    if (this.#file === undefined) throw new TypeError('the image has no name yet')
    const { bad } = this.#salvage
    const map = bad.length === 0 ? undefined : salvageMapPath(target)
    this.#blocks?.commit(this.#digested.disk.digest, [{ path: target }, ...(since?.files ?? [])])
    const path = writeImageRecord(target, {
      ...record,
      ended: new Date().toISOString(),
      image: { ...record.image, capacity: this.#file.capacity },
      consistency: this.consistency,
      digests: this.#digested,
      unreadable: {
        bytes: badBytes(bad),
        map: map === undefined ? undefined : lastPart(map),
      },
    })
    this.#made = {
      ...this.#file,
      ...this.#moved,
      consistency: this.consistency,
      digests: this.#digested,
      record: path,
      bad,
      map,
    }
  }

  get #digested(): ImageRecord['digests'] {
    if (this.#recorded === undefined) throw new TypeError('the digests of the image are not known yet')
    return this.#recorded
  }
}

/** How the source is read, for people. */
export function readingText({ reading, bytes, exclusive }: ReadingOptions): string {
  return `read ${reading}, ${bytes} bytes${exclusive ? ', while nobody can mount it' : ''}; nothing is written to it`
}
