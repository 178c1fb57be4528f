import type { BlockSource } from '../../block/types.js'
import type { CopyResult, Progress } from '../../engine/index.js'
import { aborted, firstError, isImageError, stopIfAborted } from '../../errors.js'
import type { DiskShape, ImageWriter } from '../../formats/driver.js'
import { openImage, type OpenedImage, type OpenOptions } from '../../formats/open.js'
import type { ImageFile } from '../../formats/opened.js'
import type { TargetFormat } from './layout.js'
import { proveEqual, readingBack, type Written } from './proof.js'
import { TargetFiles, type TargetPlace } from './target.js'

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
  /** Files that are read meanwhile and never may be replaced. */
  readonly sources: readonly ImageFile[]
  /**
   * Permission bits of what is read, where they are not those of the sources' files: a new file has no more of them.
   */
  readonly modes?: readonly number[]
  /** Whether to wait until the medium has everything; default yes. */
  readonly flush?: boolean
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

  /** @throws ImageError target; usage for options that do not go together. */
  constructor({ format, place, shape, force, sources, modes, flush }: FileSinkOptions) {
    this.#format = format
    this.#files = new TargetFiles(place, { force, sources, modes, durable: flush !== false })
    try {
      this.writer = format.driver.create(this.#files.store, shape, format.options, this.#files)
    } catch (error) {
      try {
        this.#files[Symbol.dispose]()
      } catch {
        // The first error is the cause.
      }
      throw error
    }
  }

  /** Completes the image: nothing is placed afterwards. */
  finish(): void {
    this.writer.finish()
  }

  /** The completed image, opened afresh; the caller closes it. */
  open(options: OpenOptions = {}): OpenedImage {
    const { partialPath, renamed } = this.#files
    return openImage(partialPath, { ...options, from: this.#format.driver.id, renamed })
  }

  /** Reads the completed image to prove it. @throws ImageError mismatch E_MISMATCH, E_VERIFY; aborted E_ABORTED. */
  async verify(
    prove: (image: OpenedImage, written: Written) => Promise<void>,
    { open, unchanged }: { readonly open?: OpenOptions; readonly unchanged?: () => void } = {},
  ): Promise<void> {
    const written = { ...newImage, unchanged }
    await readingBack(written, async () => {
      using image = this.open(open)
      await prove(image, written)
    })
  }

  /** Gives the image its name. */
  commit(): FileResult {
    const { capacity } = this.writer
    const { size, allocated } = this.#files
    this.#files.commit()
    return { capacity, size, allocated }
  }

  [Symbol.dispose](): void {
    this.writer[Symbol.dispose]()
    this.#files[Symbol.dispose]()
  }
}

export interface BuildRequest extends FileSinkOptions {
  /** Moves the content in. */
  readonly fill: (writer: ImageWriter) => Promise<CopyResult>
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

/**
 * Makes a new image: filled, completed, verified if asked, and only then given its name.
 * @throws ImageError; mismatch E_MISMATCH, E_VERIFY; aborted E_ABORTED.
 */
export async function build(request: BuildRequest): Promise<BuildResult> {
  const { place, fill, expected, unchanged, signal, onProgress } = request
  return await leavingNothing(place, async () => {
    using sink = new FileSink(request)
    const moved = await fill(sink.writer)
    stopIfAborted(signal)
    onProgress?.({ phase: 'flush', done: 0, total: 1 })
    sink.finish()
    if (expected !== undefined) {
      const { source, open, threads } = expected
      await sink.verify((image, written) => proveEqual(source, image, written, { threads, signal, onProgress }), {
        open,
        unchanged,
      })
    }
    stopIfAborted(signal)
    unchanged?.()
    const result = sink.commit()
    onProgress?.({ phase: 'flush', done: 1, total: 1 })
    return { ...result, ...moved }
  })
}

/** Runs what makes an image; an interruption says what is left at the target. */
export async function leavingNothing<Result>({ replaces }: TargetPlace, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (thrown) {
    const error = firstError(thrown)
    if (!isImageError(error) || error.kind !== 'aborted') throw error
    throw aborted(error.message, {
      hint: replaces
        ? 'The unfinished target was removed; what stood there is as it was.'
        : 'The unfinished target was removed.',
      cause: error,
    })
  }
}
