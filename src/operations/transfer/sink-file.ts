import type { FileStore } from '../../block/file-store.js'
import { RangeSource } from '../../block/range-source.js'
import { createScratchStore } from '../../block/scratch-store.js'
import type { BlockSource } from '../../block/types.js'
import { ContainerWriter } from '../../codec/container-writer.js'
import type { Container } from '../../codec/container.js'
import type { BadRun } from '../../block/salvage.js'
import type { BlockDigests, PartDigests } from '../../engine/copy.js'
import type { CopyJournal, CopyResult, Progress } from '../../engine/index.js'
import { aborted, firstError, isImageError, printable, stopIfAborted, usage } from '../../errors.js'
import type { CreateContext, DiskShape, ImageWriter } from '../../formats/driver.js'
import { openFile, openStore, type OpenedImage, type OpenOptions } from '../../formats/open.js'
import type { ImageFile } from '../../formats/opened.js'
import { folderPart } from '../../sys/host-path.js'
import type { InUseOptions } from '../in-use/guard.js'
import type { Content } from './content.js'
import { tryLayout, type TargetFormat } from './layout.js'
import type { FileSession } from '../resume/file-session.js'
import type { NewParent } from './parent.js'
import { packFile, unpacked, type PackingOptions } from './packed-file.js'
import { proveEqual, readingBack, type Written } from './proof.js'
import { runSink, type Output, type Sink, type SinkOptions, type SinkStepName } from './sink.js'
import type { Step } from './step.js'
import { checkTarget, TargetFiles, type ReadFile, type TargetPlace, type WrittenFile } from './target.js'
import type { UnpackedTarget } from './unpacked-target.js'

/** What messages say of an image that was just written. */
const newImage: Written = {
  name: 'the new image',
  mismatchHint:
    'The new image was removed. Check the memory of the computer and the disk that the image was written to.',
  unreadableHint: 'The new image was removed. Please report this.',
}

/** A new image, and where it goes. */
export interface FileSinkOptions {
  readonly format: TargetFormat
  readonly place: TargetPlace
  readonly shape: DiskShape
  readonly force: boolean
  /** What overrides the guards of files that are replaced. */
  readonly guards?: InUseOptions
  /** Files that are read meanwhile and never may be replaced. */
  readonly sources: readonly ImageFile[]
  /**
   * Permission bits of what is read, where they are not those of the sources' files: a new file has no more of them.
   */
  readonly modes?: readonly number[]
  /** Whether to wait until the medium has everything; default yes. */
  readonly flush?: boolean
  /** The file is a compressed one around the image. */
  readonly container?: Container
  /** What an earlier run began, and what a later one can go on with. */
  readonly resume?: FileSession
  /** The content, where it is written already. */
  readonly written?: WrittenFile
}

/** Bytes. */
export interface FileResult {
  readonly capacity: number
  /** Bytes of the new files, and bytes that the filesystem holds for them. */
  readonly size: number
  readonly allocated: number
}

/**
 * A new image under a partial name. It gets its own with `commit`; closed before that, its files are removed, and what
 * stood at the target is whole.
 */
export class FileSink implements Disposable {
  /** Where the content goes. */
  readonly writer: ImageWriter
  readonly #files: TargetFiles
  readonly #format: TargetFormat
  readonly #container: Container | undefined
  readonly #resume: FileSession | undefined
  /** The image, where it is compressed when it is complete: its tables are written last. */
  #inner: FileStore | undefined

  /** @throws ImageError target; usage for options that do not go together. */
  constructor(options: FileSinkOptions) {
    const { format, place, shape, force, guards, sources, modes, flush, container, resume, written } = options
    const { driver, options: chosen } = format
    this.#format = format
    this.#container = container
    this.#resume = resume
    this.#files = new TargetFiles(place, {
      force,
      guards,
      sources,
      modes,
      durable: flush !== false,
      kept: resume,
      written,
    })
    const { store } = this.#files
    try {
      if (container === undefined) this.writer = driver.create(store, shape, chosen, this.#files)
      else if (driver.plain === true) this.writer = new ContainerWriter(store, container, shape.capacity)
      else {
        this.#inner = createScratchStore(folderPart(place.path))
        this.writer = driver.create(this.#inner, shape, chosen, noFurtherFiles)
      }
    } catch (error) {
      this.#inner?.[Symbol.dispose]()
      try {
        this.#files[Symbol.dispose]()
      } catch {
        // The first error is the cause.
      }
      throw error
    }
  }

  /**
   * Moves the content in; where it can be gone on with, from where an earlier run stopped.
   * @param work what is read, what is taken on the way, and the copy.
   */
  async fill(work: FillWork): Promise<CopyResult> {
    const { writer } = this
    if (this.#resume === undefined) return await work.copy(writer)
    return await this.#resume.fill(writer, () => this.#files.stores, {
      ...work,
      copy: (journal) => work.copy(writer, journal),
    })
  }

  /** Completes the image: nothing is placed afterwards. */
  finish(): void {
    this.writer.finish()
  }

  /** Compresses what was completed, where that is not done while it is written. @throws ImageError; aborted. */
  async pack(options: PackingOptions): Promise<void> {
    if (this.#inner === undefined || this.#container === undefined) return
    await packFile(new RangeSource(this.#inner), this.#container, this.#files.store, options)
    this.#files.store.flush()
  }

  /** The completed image, opened afresh; the caller closes it. */
  async open(options: OpenOptions = {}): Promise<OpenedImage> {
    const { partialPath, renamed } = this.#files
    const from = this.#format.driver.id
    if (this.#container === undefined) return openFile(partialPath, { ...options, from, renamed })
    return openStore(await unpacked(partialPath), undefined, { ...options, from })
  }

  /** Reads the completed image to prove it. @throws ImageError mismatch E_MISMATCH, E_VERIFY; aborted E_ABORTED. */
  async verify(
    prove: (image: OpenedImage, written: Written) => Promise<void>,
    { open, unchanged }: { readonly open?: OpenOptions; readonly unchanged?: () => void } = {},
  ): Promise<void> {
    const written = { ...newImage, unchanged }
    await this.proving(async () => {
      await readingBack(written, async () => {
        using image = await this.open(open)
        await prove(image, written)
      })
    })
  }

  /** What is found wrong cannot be gone on with, and does not stay. */
  async proving(work: () => Promise<void> | void): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (isImageError(error) && (error.kind === 'mismatch' || error.code === 'E_SOURCE_CHANGED')) this.#resume?.end()
      throw error
    }
  }

  /** Gives the image its name. */
  async commit(): Promise<FileResult> {
    const { capacity } = this.writer
    const { size, allocated } = this.#files
    await this.#resume?.placing(this.#files.files)
    this.#files.commit()
    return { capacity, size, allocated }
  }

  /** Nothing is left to be done: no later run has anything to go on with. */
  end(): void {
    this.#resume?.finished()
  }

  [Symbol.dispose](): void {
    this.writer[Symbol.dispose]()
    this.#inner?.[Symbol.dispose]()
    this.#files[Symbol.dispose]()
  }
}

/** A compressed file holds one image, which has no other files. */
export const noFurtherFiles: CreateContext = {
  createFile: () => {
    throw usage('E_STREAM', 'an image of several files cannot be in a compressed file')
  },
}

/** What moves the content into an image. */
export interface FillWork {
  readonly source: BlockSource
  readonly digests?: BlockDigests
  readonly parts?: PartDigests
  /** What could not be read; what an earlier run could not is restored. */
  readonly salvage?: { readonly bad: readonly BadRun[]; restore(run: BadRun): void }
  readonly copy: (writer: ImageWriter, journal?: CopyJournal) => Promise<CopyResult>
}

export interface BuildRequest extends FileSinkOptions {
  readonly fill: FillWork
  /** What the image must read as, when it is to be verified before it gets its name. */
  readonly expected?: { readonly source: BlockSource; readonly open: OpenOptions; readonly threads?: number }
  /**
   * Makes sure that the sources are what they were: asked before the image gets its name, and before a difference is
   * called a fault of the image. @throws ImageError corrupt E_SOURCE_CHANGED.
   */
  readonly unchanged?: () => void
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export type BuildResult = FileResult & CopyResult

/** A new image that is filled, completed, verified if asked, and only then given its name. */
class NewImage implements Sink {
  readonly notes = []
  readonly #request: BuildRequest
  #sink: FileSink | undefined
  #moved: CopyResult = { bytesRead: 0, bytesWritten: 0 }
  #result: BuildResult | undefined

  constructor(request: BuildRequest) {
    this.#request = request
  }

  /** Those that the format gives, which may be more than was asked for. */
  get capacity(): number {
    const { format, shape } = this.#request
    return this.#result?.capacity ?? tryLayout(format, shape).capacity
  }

  get result(): BuildResult | undefined {
    return this.#result
  }

  get left(): string | undefined {
    return this.#request.resume?.keeps === true ? undefined : leftOf(this.#request.place)
  }

  get steps(): Step<SinkStepName>[] {
    const { format, place, expected, flush } = this.#request
    return [
      {
        name: 'write',
        message: `write a new ${format.driver.id} image beside ${printable(place.path)}, under a name of its own`,
        run: () => this.#write(),
      },
      ...(expected === undefined
        ? []
        : [
            {
              name: 'verify' as const,
              message: 'open the new image, and compare every byte of its disk with the source',
              run: () => this.#verify(expected),
            },
          ]),
      {
        name: 'place',
        message: placing({ place, flush }),
        run: () => this.#place(),
      },
    ]
  }

  [Symbol.dispose](): void {
    this.#sink?.[Symbol.dispose]()
    this.#sink = undefined
  }

  get #open(): FileSink {
    if (this.#sink === undefined) throw new TypeError('the new image is not written')
    return this.#sink
  }

  async #write(): Promise<void> {
    const { fill, signal, onProgress } = this.#request
    this.#sink = new FileSink(this.#request)
    this.#moved = await this.#sink.fill(fill)
    stopIfAborted(signal)
    onProgress?.({ phase: 'flush', done: 0, total: 1 })
    this.#sink.finish()
  }

  async #verify({ source, open, threads }: NonNullable<BuildRequest['expected']>): Promise<void> {
    const { unchanged, signal, onProgress } = this.#request
    await this.#open.verify((image, written) => proveEqual(source, image, written, { threads, signal, onProgress }), {
      open,
      unchanged,
    })
  }

  async #place(): Promise<void> {
    const { unchanged, signal, onProgress } = this.#request
    stopIfAborted(signal)
    await this.#open.proving(() => unchanged?.())
    this.#result = { ...(await this.#open.commit()), ...this.#moved }
    onProgress?.({ phase: 'flush', done: 1, total: 1 })
  }
}

/**
 * Makes a new image: filled, completed, verified if asked, and only then given its name.
 * @throws ImageError; mismatch E_MISMATCH, E_VERIFY; aborted E_ABORTED.
 */
export async function build(request: BuildRequest): Promise<BuildResult> {
  const image = new NewImage(request)
  await runSink(image)
  if (image.result === undefined) throw new TypeError('the new image has no name yet')
  return image.result
}

/** Runs what makes an image; an interruption says what is left at the target. */
export async function leavingNothing<Result>(place: TargetPlace, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (thrown) {
    const error = firstError(thrown)
    if (!isImageError(error) || error.kind !== 'aborted') throw error
    throw aborted(error.message, { hint: leftOf(place), cause: error })
  }
}

/** What is said of the step that gives a new file its name. */
export function placing({ place, flush }: { readonly place: TargetPlace; readonly flush?: boolean }): string {
  return (
    `${flush === false ? 'give' : 'flush it, and give'} it the name ${printable(place.path)}` +
    (place.replaces ? ', in place of the file that has it' : '')
  )
}

/** What an interruption leaves where a file was to stand. */
export function leftOf({ replaces }: TargetPlace): string {
  return replaces
    ? 'The unfinished target was removed; what stood there is as it was.'
    : 'The unfinished target was removed.'
}

type FileOutputOptions = InUseOptions & SinkOptions & { readonly resume?: FileSession }

/** An image file of this computer as the target of a conversion. */
export class FileOutput implements Output {
  readonly movesOnce: boolean = true
  readonly name: string
  readonly path: string
  readonly #options: FileOutputOptions
  /** Whether what the source was unpacked into can become the target. */
  readonly takesUnpacked: boolean = true
  unpacked: UnpackedTarget | undefined

  constructor(path: string, options: FileOutputOptions) {
    this.name = path
    this.path = path
    this.#options = options
  }

  get formatName(): string | undefined {
    return this.path
  }

  check(): void {
    // Whatever an image can have.
  }

  checkPlace(): void {
    this.place([])
  }

  /** Where it is to stand, when none of the files that are read has the place. */
  place(sources: readonly ReadFile[]): TargetPlace {
    return checkTarget(this.path, this.#options.force === true, sources, this.#options)
  }

  sink(content: Content): Sink {
    const { format, opened, disk, shape, parent, open } = content
    const { force, flush, verify, threads, resume, signal, onProgress } = this.#options
    const sources = [...opened.files, ...(parent?.opened.files ?? [])]
    // Checksums over the content are taken while it is copied.
    const written = content.hasProof ? undefined : this.unpacked?.of(disk)
    return new NewImage({
      format,
      place: this.place(sources),
      written,
      force: force === true,
      guards: this.#options,
      sources,
      shape,
      fill: {
        source: disk,
        copy: async (writer, journal) =>
          written === undefined
            ? await content.fill(writer, journal)
            : { bytesRead: disk.capacity, bytesWritten: written.written },
      },
      resume,
      expected: verify === true ? { source: disk, open: verifyOptions(open, parent), threads } : undefined,
      unchanged: () => content.assertUnchanged(),
      flush,
      signal,
      onProgress,
    })
  }
}

/** The new image may name the parent that it was just made over, wherever that lies. */
function verifyOptions(open: OpenOptions, parent: NewParent | undefined): OpenOptions {
  return parent === undefined
    ? open
    : { ...open, allowReferences: [...(open.allowReferences ?? []), ...parent.opened.files.map(({ path }) => path)] }
}
