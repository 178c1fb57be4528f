import { RangeSource } from '../../block/range-source.js'
import { createScratchStore } from '../../block/scratch-store.js'
import type { BlockSource } from '../../block/types.js'
import { containers, type Container } from '../../codec/container.js'
import type { ContentTaker } from '../../block/content-taker.js'
import type { CopyResult } from '../../engine/index.js'
import { printable, stopIfAborted, usage } from '../../errors.js'
import type { ImageFile } from '../../formats/opened.js'
import { extensionOf, folderPart } from '../../sys/host-path.js'
import type { InUseOptions } from '../in-use/guard.js'
import type { Content } from './content.js'
import { packFile, unpacked } from './packed-file.js'
import { proveEqual } from './proof.js'
import { tryLayout } from './layout.js'
import type { Sink, SinkOptions, SinkStepName, Transferred } from './sink.js'
import { FileOutput, leftOf, noFurtherFiles, placing } from './sink-file.js'
import type { Step } from './step.js'
import { TargetFiles, type TargetPlace } from './target.js'

/** A target that is a compressed file around an image: `disk.raw.gz`, `disk.qcow2.zst`. */
export interface CompressedTarget extends FilePacking {
  /** The name of the image inside, which says its format. */
  readonly inner: string
}

/** How an image is packed. */
export interface FilePacking {
  readonly container: Container
  /** An archive around the image, which is what is compressed. */
  readonly archive?: Archive
}

/** Makes an archive of an image's bytes. */
export interface Archive {
  /** For people: `a tar.gz archive with one file, disk.raw`. */
  readonly title: string
  readonly of: (image: BlockSource, content: Content) => BlockSource
}

/** What the name of a target says; undefined when it is no compressed file that can be made. */
export function compressedTarget(path: string | undefined): CompressedTarget | undefined {
  if (path === undefined) return undefined
  const extension = extensionOf(path)
  const container = containers[extension.slice(1).toLowerCase()]
  return container === undefined ? undefined : { container, inner: path.slice(0, -extension.length) }
}

/** A compressed file as the target of a conversion. */
export class CompressedOutput extends FileOutput {
  override readonly takesUnpacked = false
  readonly #target: CompressedTarget
  readonly #options: SinkOptions & { readonly parent?: string }

  constructor(
    path: string,
    target: CompressedTarget,
    options: InUseOptions & SinkOptions & { readonly parent?: string },
  ) {
    super(path, options)
    this.#target = target
    this.#options = options
  }

  /** The name of an archive says nothing of the image in it. */
  override get formatName(): string | undefined {
    const { archive, inner } = this.#target
    return archive === undefined ? inner : undefined
  }

  override check(): void {
    if (this.#options.parent !== undefined)
      throw usage('E_STREAM', 'an image in a compressed file cannot have a parent')
  }

  override sink(content: Content): Sink {
    const sources = [...content.opened.files, ...(content.parent?.opened.files ?? [])]
    return new CompressedFile(content, this.#target, { ...this.#options, place: this.place(sources), sources })
  }
}

interface CompressedOptions extends SinkOptions {
  readonly place: TargetPlace
  /** Files that are read meanwhile. */
  readonly sources: readonly ImageFile[]
}

/**
 * Writes an image and compresses it with all threads. A raw image is compressed as it is read; others are made in a
 * scratch file beside the target first, since their tables are written last.
 */
class CompressedFile implements Sink {
  readonly notes = []
  readonly #content: Content
  readonly #container: Container
  readonly #archive: Archive | undefined
  readonly #options: CompressedOptions
  #inner: InnerImage | undefined
  /** What is compressed. */
  #packed: BlockSource | undefined
  #files: TargetFiles | undefined
  #moved: CopyResult = { bytesRead: 0, bytesWritten: 0 }
  #result: Transferred | undefined

  constructor(content: Content, { container, archive }: CompressedTarget, options: CompressedOptions) {
    this.#content = content
    this.#container = container
    this.#archive = archive
    this.#options = options
  }

  get capacity(): number {
    const { format, shape } = this.#content
    return this.#inner?.capacity ?? tryLayout(format, shape).capacity
  }

  get result(): Transferred | undefined {
    return this.#result
  }

  get left(): string {
    return leftOf(this.#options.place)
  }

  get steps(): Step<SinkStepName>[] {
    const { place, verify } = this.#options
    const name = printable(place.path)
    const { driver } = this.#content.format
    return [
      ...(driver.plain === true
        ? []
        : [
            {
              name: 'write' as const,
              message: `write a new ${driver.id} image to a scratch file beside ${name}`,
              run: () => this.#write(),
            },
          ]),
      {
        name: 'compress',
        message:
          `compress ${driver.plain === true ? 'the disk' : 'it'} into a file beside ${name}, under a ` +
          `name of its own${this.#archive === undefined ? '' : `: ${this.#archive.title}`}`,
        run: () => this.#compress(),
      },
      ...(verify === true
        ? [
            {
              name: 'verify' as const,
              message: 'unpack the new file, and compare every byte',
              run: () => this.#verify(),
            },
          ]
        : []),
      { name: 'place', message: placing(this.#options), run: () => this.#place() },
    ]
  }

  [Symbol.dispose](): void {
    try {
      this.#files?.[Symbol.dispose]()
    } finally {
      this.#inner?.[Symbol.dispose]()
    }
  }

  async #write(): Promise<void> {
    this.#inner = await innerImage(this.#content, folderPart(this.#options.place.path))
  }

  async #compress(): Promise<void> {
    const { disk } = this.#content
    const { place, sources, flush, signal, onProgress } = this.#options
    this.#inner ??= { source: disk, capacity: disk.capacity, [Symbol.dispose]: () => undefined }
    this.#packed = this.#archive?.of(this.#inner.source, this.#content) ?? this.#inner.source
    this.#files = new TargetFiles(place, { force: this.#options.force === true, sources, durable: flush !== false })
    const { store } = this.#files
    const packed = this.#packed
    const pack = (content?: ContentTaker): Promise<CopyResult> =>
      packFile(packed, this.#container, store, { ...this.#options, content })
    // What is in the scratch file was compared when it was put there.
    this.#moved = await (packed === disk ? this.#content.proving(pack) : pack())
    stopIfAborted(signal)
    onProgress?.({ phase: 'flush', done: 0, total: 1 })
    this.#files.store.flush()
  }

  async #verify(): Promise<void> {
    const { source, files } = this.#open
    await verify(source, files, this.#content, this.#options)
  }

  #place(): void {
    const { files } = this.#open
    this.#content.assertUnchanged()
    const { size, allocated } = files
    files.commit()
    this.#options.onProgress?.({ phase: 'flush', done: 1, total: 1 })
    this.#result = { ...this.#moved, size, allocated }
  }

  get #open(): { readonly source: BlockSource; readonly files: TargetFiles } {
    if (this.#packed === undefined || this.#files === undefined) throw new TypeError('the new file is not written')
    return { source: this.#packed, files: this.#files }
  }
}

export interface InnerImage extends Disposable {
  readonly source: BlockSource
  readonly capacity: number
}

export async function innerImage(content: Content, folder: string): Promise<InnerImage> {
  const { format, shape } = content
  const scratch = createScratchStore(folder)
  try {
    using writer = format.driver.create(scratch, shape, format.options, noFurtherFiles)
    await content.fill(writer)
    writer.finish()
    const { capacity } = writer
    return { source: new RangeSource(scratch), capacity, [Symbol.dispose]: () => scratch[Symbol.dispose]() }
  } catch (error) {
    scratch[Symbol.dispose]()
    throw error
  }
}

/** Unpacks what was written and compares every byte. */
async function verify(
  expected: BlockSource,
  files: TargetFiles,
  content: Content,
  { threads, signal, onProgress }: CompressedOptions,
): Promise<void> {
  const found = await unpacked(files.partialPath, signal)
  try {
    await proveEqual(
      expected,
      new RangeSource(found),
      {
        name: 'the new file',
        mismatchHint: 'The new file was removed. Check the memory of the computer and the disk that it was written to.',
        unreadableHint: 'The new file was removed. Please report this.',
        unchanged: () => content.assertUnchanged(),
      },
      { threads, signal, onProgress },
    )
  } finally {
    found[Symbol.dispose]()
  }
}
