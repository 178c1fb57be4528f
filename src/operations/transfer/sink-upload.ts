import { refused, stopIfAborted, targetError, usage } from '../../errors.js'
import { openLocation } from '../../formats/open.js'
import type { Registry } from '../../formats/registry.js'
import type { Location } from '../../location/location.js'
import type { UploadTarget } from '../../location/upload.js'
import type { UploadSession } from '../resume/upload-session.js'
import type { Content } from './content.js'
import { PackedStream } from './packed-stream.js'
import { proveEqual, type Written } from './proof.js'
import type { Output, Sink, SinkOptions, SinkStepName, Transferred } from './sink.js'
import { compressedTarget, type FilePacking } from './sink-compressed.js'
import type { ApplianceOptions } from './sink-ova.js'
import type { Step } from './step.js'
import { streamOutput } from './stream-output.js'
import { mostOf, UploadStream } from './upload-stream.js'

export interface UploadOptions extends SinkOptions, ApplianceOptions {
  readonly registry: Registry
  readonly to?: string
  readonly addDisks?: readonly string[]
  readonly resume?: boolean
  /** What an earlier run began, and what a later one can go on with. */
  readonly upload?: UploadSession
}

/** An object of another computer as the target of a conversion: the image is streamed into it. */
export class UploadOutput implements Output {
  readonly name: string
  readonly path = undefined
  readonly isRemote = true
  readonly formatName: string | undefined
  readonly formatId: string | undefined
  readonly takesDisks: boolean | undefined
  readonly usual: Output['usual']
  readonly format: Output['format']
  readonly #location: Location
  readonly #target: UploadTarget
  readonly #stream: UploadStream
  readonly #inner: Output
  readonly #options: UploadOptions

  constructor(location: Location, target: UploadTarget, packing: FilePacking | undefined, options: UploadOptions) {
    this.name = location.address
    this.#location = location
    this.#target = target
    this.#options = options
    const name = location.name ?? target.fileName
    this.#stream = new UploadStream(target, name, options)
    const packed = compressedTarget(name)
    const archive = target.packs === true ? undefined : packing
    // What is read back is the object, and not the stream.
    const inner = streamOutput(this.#stream, name, archive ?? packed, { ...options, verify: false })
    this.#inner = inner
    this.formatName = archive?.archive === undefined ? (packed?.inner ?? name) : undefined
    this.usual = target.usual
    this.formatId = inner.formatId
    this.takesDisks = inner.takesDisks
    this.format = inner.format?.bind(inner)
  }

  next(platform: string): readonly string[] | undefined {
    return this.#target.next?.(platform)
  }

  /** @throws ImageError usage E_STREAM, E_RESUME. */
  check(): void {
    this.#inner.check()
    const { resume, addDisks, verify } = this.#options
    if (resume === true && this.#target.resumes !== true)
      throw usage('E_RESUME', `an upload to ${this.#target.label} cannot be resumed`, {
        hint: 'Leave out --resume.',
      })
    if (verify === true && addDisks !== undefined)
      throw usage('E_STREAM', 'an appliance of several disks is not read back from where it is uploaded to')
  }

  /** @throws ImageError target E_EXISTS; those of asking the server. */
  async checkPlace(): Promise<void> {
    const standing = await this.#target.look(this.#options.upload?.earlier)
    if (standing !== undefined && this.#options.force !== true)
      throw targetError('E_EXISTS', `the target ${this.#target.label} exists already`, {
        hint: 'Use --force to replace it.',
      })
    this.#stream.standing = standing
  }

  sink(content: Content, further: readonly Content[] = []): Sink {
    const contents = [content, ...further]
    for (const each of contents)
      if (each.opened.locations.some((read) => isSame(read, this.#location)))
        throw refused('E_SAME_FILE', `the target ${this.#target.label} is what is being read`, {
          hint: 'Give another target; no flag overrides this.',
        })
    const { driver, options } = content.format
    const image = { format: this.formatId ?? driver.id, options, isPlain: driver.plain === true }
    this.#target.check?.(image)
    this.#stream.image = image
    this.#stream.most = contents.reduce((sum, { shape }) => sum + mostOf(shape.capacity), 0)
    return new UploadSink(this.#inner.sink(content, further), this.#stream, {
      location: this.#location,
      target: this.#target,
      content,
      options: this.#options,
      // What is packed is unpacked as any file is.
      from:
        this.#target.packs === true || this.formatId !== undefined || this.#inner instanceof PackedStream
          ? undefined
          : driver.id,
    })
  }
}

/** Whether two addresses lead to the same bytes, whatever opens them. */
function isSame(one: Location, other: Location): boolean {
  return one.id === other.id || (one.place !== undefined && one.place === other.place)
}

interface UploadSinkParts {
  readonly location: Location
  readonly target: UploadTarget
  readonly content: Content
  readonly options: UploadOptions
  /** The format that it is read back as; undefined: what its content says. */
  readonly from: string | undefined
}

/**
 * Streams an image into an object that appears when it is complete. It throws ImageError: target E_EXISTS, E_WRITE,
 * E_TARGET_CHANGED; corrupt E_SOURCE_CHANGED; mismatch E_MISMATCH, E_VERIFY; aborted E_ABORTED.
 */
class UploadSink implements Sink {
  readonly #inner: Sink
  readonly #stream: UploadStream
  readonly #parts: UploadSinkParts
  #left: string | undefined
  #said: string | undefined

  constructor(inner: Sink, stream: UploadStream, parts: UploadSinkParts) {
    this.#inner = inner
    this.#stream = stream
    this.#parts = parts
  }

  get capacity(): number {
    return this.#inner.capacity
  }

  get notes(): Sink['notes'] {
    return [...this.#inner.notes, ...(this.#parts.target.notes ?? []), ...(this.#stream.made?.notes ?? [])]
  }

  get result(): Transferred | undefined {
    const { result } = this.#inner
    return result === undefined ? undefined : { ...result, size: this.#stream.made?.size }
  }

  get left(): string | undefined {
    return this.#left
  }

  /** Bytes that an earlier run had sent. */
  get resumed(): number {
    return this.#stream.resumed
  }

  get steps(): Step<SinkStepName>[] {
    const { target, options } = this.#parts
    return [
      ...this.#inner.steps,
      {
        name: 'place',
        message:
          `complete the upload: it becomes ${target.label}` +
          (this.#stream.standing === undefined ? '' : ', in place of what is there'),
        run: () => this.#place(),
      },
      ...(options.verify === true
        ? [
            {
              name: 'verify' as const,
              message: 'read it back over new connections, and compare every byte with the source',
              run: () => this.#verify(),
            },
          ]
        : []),
    ]
  }

  async takeBack(): Promise<string | undefined> {
    const said = this.#said ?? (await this.#stream.takeBack())
    if (said === undefined && this.#stream.made === undefined)
      this.#left = 'Nothing of the upload is left, and what stood at the target is as it was.'
    return said
  }

  [Symbol.dispose](): void {
    this.#inner[Symbol.dispose]()
  }

  async #place(): Promise<void> {
    const { content, options } = this.#parts
    stopIfAborted(options.signal)
    content.assertUnchanged()
    await this.#stream.commit()
  }

  async #verify(): Promise<void> {
    const { location, target, content, options, from } = this.#parts
    const { made } = this.#stream
    if (made === undefined) throw new TypeError('the upload is not complete')
    const written: Written = { name: 'the new object', unchanged: () => content.assertUnchanged() }
    try {
      using image = openLocation(location, { ...content.open, from })
      await proveEqual(content.disk, image, written, options)
    } catch (error) {
      // What it replaced is gone: then a doubtful image is better than none.
      const isGone = this.#stream.standing === undefined && (await target.remove?.(made)) === true
      this.#said = `The new object ${isGone ? 'was removed' : `stays at ${target.label}`}.`
      throw error
    }
  }
}
