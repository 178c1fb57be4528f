import { SalvagingSource } from '../../block/salvage.js'
import { SliceSource } from '../../block/slice.js'
import type { Note } from '../../block/types.js'
import { RateLimit, stream, type CopyResult } from '../../engine/index.js'
import { stopIfAborted, usage } from '../../errors.js'
import type { DiskShape } from '../../formats/driver.js'
import { openLocation } from '../../formats/open.js'
import type { Registry } from '../../formats/registry.js'
import type { TargetFormat } from '../transfer/layout.js'
import { packInto } from '../transfer/packed-file.js'
import { proveDigest, readingBack } from '../transfer/proof.js'
import type { Making } from '../transfer/sink.js'
import type { Step } from '../transfer/step.js'
import { mostOf, UploadStream } from '../transfer/upload-stream.js'
import { withState } from '../change/left-state.js'
import { badBytes } from './bad-ranges.js'
import { HeldSource, when } from './held-source.js'
import type { ImageAddress } from './image-address.js'
import { readingText, type ImageMade, type ReadingOptions } from './image-run.js'
import { OrderedDigests } from './ordered-digests.js'
import { imageRecordText, type Consistency, type ImageRecord } from './record.js'
import { salvageMapText } from './salvage-map.js'
import { salvageMapPath } from './companions.js'

/** What is imaged into an object of another computer. */
export interface UploadRunOptions extends ReadingOptions {
  readonly address: ImageAddress
  readonly format: TargetFormat
  readonly shape: DiskShape
  /** Whether the disk is read once. */
  readonly once: boolean
  readonly registry: Registry
}

/**
 * The making of one image of a disk on another computer: it is streamed there, and appears when it is complete.
 * Digests are taken of what is sent.
 */
export class UploadRun implements Making {
  readonly #options: UploadRunOptions
  readonly #held: HeldSource
  readonly #salvage: SalvagingSource
  readonly #digests: OrderedDigests
  readonly #stream: UploadStream
  #capacity: number
  #moved: CopyResult = { bytesRead: 0, bytesWritten: 0 }
  #recorded: ImageRecord['digests'] | undefined
  #hasMap = false
  #isMade = false
  #said: string | undefined
  #left: string | undefined

  constructor(options: UploadRunOptions) {
    const { address, format, signal } = options
    this.#options = options
    this.#held = new HeldSource(options)
    this.#salvage = new SalvagingSource(options.disk, options.stillThere)
    this.#digests = new OrderedDigests(options.capacity, options.parts)
    this.#capacity = options.capacity
    this.#stream = new UploadStream(address.target, address.name, {
      note: () => this.#note(),
      isPrivate: true,
      signal,
    })
    this.#stream.standing = address.standing
    this.#stream.most = mostOf(options.shape.capacity)
    this.#stream.image = {
      format: format.driver.id,
      options: format.options,
      isPlain: format.driver.plain === true && address.container === undefined,
    }
  }

  /** What is done, in order. */
  get steps(): Step[] {
    const { address, once, verify, record } = this.#options
    const { label, target } = address
    const { format, subformat } = record.image
    const packed = address.container === undefined ? '' : ', compressed'
    const replacing = address.standing === undefined ? '' : ', in place of what is there'
    const carrying = target.takesNote === true ? ', with its record' : ''
    return [
      ...this.#held.before,
      {
        name: 'copy',
        message:
          `${readingText(this.#options)}; send it to ${label} (${format}, ${subformat}${packed})` +
          (once ? '' : '. It is read twice: its tables stand before what they map'),
        run: () => this.#send(),
      },
      ...this.#held.after,
      {
        name: 'place',
        message: `complete the upload${carrying}: it becomes ${label}${replacing}`,
        run: () => this.#place(),
      },
      ...when(verify, {
        name: 'verify',
        message: 'read it back over new connections, and compare its digest with what was sent',
        run: () => this.#verify(),
      }),
      ...when(address.record !== undefined, {
        name: 'record',
        message: `write the record ${address.record?.label ?? ''}`,
        run: () => this.#putRecord(),
      }),
    ]
  }

  get consistency(): Consistency {
    return this.#held.consistency
  }

  get left(): string | undefined {
    return this.#left
  }

  /** What came of it, when all steps have run. */
  get made(): ImageMade {
    const { made } = this.#stream
    if (made === undefined || this.#recorded === undefined) throw new TypeError('the image is not made yet')
    const { record, map } = this.#options.address
    return {
      ...this.#moved,
      capacity: this.#capacity,
      size: made.size,
      consistency: this.consistency,
      digests: this.#recorded,
      record: record?.label,
      bad: this.#salvage.bad,
      map: this.#hasMap ? map?.label : undefined,
    }
  }

  /** What the user should know of the target. */
  get notes(): Note[] {
    const { target, label, record, map } = this.#options.address
    return [
      ...(target.notes ?? []),
      ...(this.#stream.made?.notes ?? []),
      ...(record !== undefined || target.takesNote === true
        ? []
        : [{ code: 'W_NO_RECORD', message: `${label} cannot carry a record: which disk it is of is not kept there` }]),
      ...(this.#salvage.bad.length === 0 || map !== undefined
        ? []
        : [{ code: 'W_NO_MAP', message: `${label} has no place for the list of what cannot be read: --json has it` }]),
    ]
  }

  async takeBack(): Promise<string | undefined> {
    const said = this.#said ?? (await this.#stream.takeBack())
    if (!this.#isMade && this.#hasMap) await this.#options.address.map?.remove()
    if (this.#isMade) this.#left = `The image is complete: ${this.#options.address.label}.`
    else if (said === undefined)
      this.#left = 'Nothing of the upload is left, and what stood at the target is as it was.'
    return said
  }

  [Symbol.dispose](): void {
    this.#held[Symbol.dispose]()
  }

  async #send(): Promise<void> {
    const { disk, format, shape, address, threads, sparse, rate, signal, onProgress } = this.#options
    const reading = {
      source: disk,
      salvage: this.#salvage,
      content: this.#digests,
      threads,
      rate: RateLimit.of(rate),
      signal,
      onProgress,
    }
    this.#moved =
      address.container === undefined
        ? await stream({
            ...reading,
            sparse,
            output: this.#stream.output,
            planned: this.#stream.planned,
            zeros: this.#stream.zeros,
            layout: (store) => {
              const writer = format.driver.create(store, shape, format.options, {
                onePass: true,
                name: address.name,
                createFile: () => {
                  throw usage('E_STREAM', 'an image of several files cannot be sent to an address')
                },
              })
              this.#capacity = writer.capacity
              return writer
            },
          })
        : await packInto(disk, address.container, this.#stream.output, reading)
    this.#recorded = await this.#digests.result()
  }

  /** A map comes before the image, so that no image is taken for whole; what belonged to one that is replaced goes. */
  async #place(): Promise<void> {
    const { address, record, signal } = this.#options
    const { bad, capacity } = this.#salvage
    stopIfAborted(signal)
    await address.record?.remove()
    if (bad.length === 0) await address.map?.remove()
    else if (address.map !== undefined) {
      await address.map.put(salvageMapText(capacity, bad, `${record.tool.name} ${record.tool.version}`), signal)
      this.#hasMap = true
    }
    await this.#stream.commit()
    this.#isMade = true
  }

  async #verify(): Promise<void> {
    const { address, format, registry } = this.#options
    const { location, target } = address
    const { made } = this.#stream
    const isPacked = target.packs === true || address.container !== undefined
    try {
      const written = { name: 'the new object' }
      const { start, length, digest } = this.#digested.disk
      await readingBack(written, async () => {
        using image = openLocation(location, { registry, from: isPacked ? undefined : format.driver.id })
        await proveDigest(digest, new SliceSource(image, start, length), written, this.#options)
      })
    } catch (error) {
      // What it replaced is gone: then a doubtful image is better than none.
      const isGone = address.standing === undefined && made !== undefined && (await target.remove?.(made)) === true
      this.#isMade = !isGone
      this.#said = `The new object ${isGone ? 'was removed' : `stays at ${address.label}, without a record`}.`
      throw error
    }
  }

  async #putRecord(): Promise<void> {
    const { address, signal } = this.#options
    try {
      await address.record?.put(this.#note('lines'), signal)
    } catch (error) {
      throw withState(
        error,
        () =>
          `The new image is complete and in place: ${address.label}. Without its record nobody knows which disk it ` +
          'is of.',
      )
    }
  }

  /** The record. @param layout of a text for people. */
  #note(layout?: 'lines'): string {
    const { address, record } = this.#options
    const { bad } = this.#salvage
    return imageRecordText(
      {
        ...record,
        ended: new Date().toISOString(),
        image: { ...record.image, capacity: this.#capacity },
        consistency: this.consistency,
        digests: this.#digested,
        unreadable: {
          bytes: badBytes(bad),
          map: this.#hasMap ? salvageMapPath(address.name) : undefined,
        },
      },
      layout,
    )
  }

  get #digested(): ImageRecord['digests'] {
    if (this.#recorded === undefined) throw new TypeError('the digests of the image are not known yet')
    return this.#recorded
  }
}
