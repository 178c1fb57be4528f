import { aborted, isImageError, ImageError, printable, usage } from '../../errors.js'
import { MemoryStore } from '../../block/memory-store.js'
import type { BlockSource } from '../../block/types.js'
import { compareSources, type Progress } from '../../engine/index.js'
import type { CreateContext, DiskShape, FormatDriver, ImageWriter, OptionValues } from '../../formats/driver.js'
import { openImage, type OpenedImage, type OpenOptions } from '../../formats/open.js'
import type { ImageFile } from '../../formats/opened.js'
import { checkOptions } from '../../formats/options.js'
import type { Registry } from '../../formats/registry.js'
import { TargetFiles, type TargetPlace } from './target.js'

/** A driver that can make images. */
export type CreatingDriver = FormatDriver & Required<Pick<FormatDriver, 'create'>>

/** A format, and the options it is asked for, checked. */
export interface TargetFormat {
  readonly driver: CreatingDriver
  readonly options: OptionValues
}

/**
 * The format of a target: as named, else by its extension.
 * @param path undefined for a stream, which is raw when nothing else is said.
 * @throws ImageError usage E_UNKNOWN_FORMAT, E_UNKNOWN_EXTENSION, E_READ_ONLY_FORMAT, E_UNKNOWN_OPTION, E_OPTION_VALUE.
 */
export function targetFormat(
  registry: Registry,
  path: string | undefined,
  to: string | undefined,
  given: OptionValues,
): TargetFormat {
  const found =
    to !== undefined ? registry.get(to) : path === undefined ? registry.get('raw') : registry.forExtension(path)
  if (found === undefined) {
    const ids = [...registry].filter(({ driver }) => driver.create !== undefined).map(({ driver }) => driver.id)
    throw usage(
      'E_UNKNOWN_EXTENSION',
      `the format of the target ${printable(path ?? '')} cannot be told from its name`,
      { hint: `Say it with --to: ${ids.join(', ')}.` },
    )
  }
  if (!canCreate(found))
    throw usage('E_READ_ONLY_FORMAT', `vdisk reads ${found.title} but cannot make one`, {
      hint: '`vdisk formats` shows what can be made.',
    })
  // The subformat is an option of formats that have several; the only one of the others may be named all the same.
  const { subformat, ...others } = given
  const only =
    found.options.every(({ name }) => name !== 'subformat') && found.subformats.some(({ id }) => id === subformat)
  return { driver: found, options: checkOptions(found.options, only ? others : given, `the format ${found.id}`) }
}

function canCreate(driver: FormatDriver): driver is CreatingDriver {
  return driver.create !== undefined
}

export interface BuildRequest {
  readonly format: TargetFormat
  readonly place: TargetPlace
  readonly force: boolean
  /** Whether to wait until the medium has everything; default yes. */
  readonly flush?: boolean
  /** Files that are read meanwhile and never may be replaced. */
  readonly sources: readonly ImageFile[]
  readonly shape: DiskShape
  /** Moves the content in. */
  readonly fill: (writer: ImageWriter) => Promise<{ readonly bytesRead: number; readonly bytesWritten: number }>
  /** What the image must read as, when it is to be verified before it gets its name. */
  readonly expected?: { readonly source: BlockSource; readonly open: OpenOptions; readonly threads?: number }
  /**
   * Looks at the finished image, which is opened for it, before it gets its name; what it throws keeps the image from
   * getting it.
   */
  readonly readBack?: (image: () => OpenedImage) => Promise<void>
  /**
   * Makes sure that the sources are what they were: asked before the image gets its name, and before a difference is
   * called a fault of the image. @throws ImageError corrupt E_SOURCE_CHANGED.
   */
  readonly unchanged?: () => void
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface BuildResult {
  readonly capacity: number
  /** Bytes of the new files, and bytes that the filesystem holds for them. */
  readonly size: number
  readonly allocated: number
  readonly bytesRead: number
  readonly bytesWritten: number
}

/**
 * Makes a new image under a partial name and gives it its own when it is complete, flushed and (if asked) verified. On
 * any failure the
 * partial files are removed, and what stood at the target is whole.
 * @throws ImageError; mismatch E_MISMATCH; aborted E_ABORTED.
 */
export async function build(request: BuildRequest): Promise<BuildResult> {
  try {
    return await buildFiles(request)
  } catch (error) {
    if (!isImageError(error) || error.kind !== 'aborted') throw error
    throw aborted(error.message, {
      hint: request.place.replaces
        ? 'The unfinished target was removed; what stood there is as it was.'
        : 'The unfinished target was removed.',
      cause: error,
    })
  }
}

async function buildFiles(request: BuildRequest): Promise<BuildResult> {
  const {
    format: { driver, options },
    shape,
    signal,
    onProgress,
  } = request
  using files = new TargetFiles(request.place, {
    force: request.force,
    sources: request.sources,
    durable: request.flush !== false,
  })
  using writer = driver.create(files.store, shape, options, files)
  const moved = await request.fill(writer)
  stopIfAborted(signal)
  onProgress?.({ phase: 'flush', done: 0, total: 1 })
  writer.finish()
  if (request.expected !== undefined) await verify(files, driver, request)
  if (request.readBack !== undefined) await readBack(files, driver, request.readBack)
  stopIfAborted(signal)
  request.unchanged?.()
  const result = { capacity: writer.capacity, size: files.size, allocated: files.allocated, ...moved }
  files.commit()
  onProgress?.({ phase: 'flush', done: 1, total: 1 })
  return result
}

/** Tries a writer without writing: options that do not go together, and the capacity that the format will give. */
export function tryLayout({ driver, options }: TargetFormat, shape: DiskShape): { readonly capacity: number } {
  const context: CreateContext = { createFile: (name) => new MemoryStore(undefined, name, 512) }
  using store = new MemoryStore(undefined, 'the layout', 512)
  using writer = driver.create(store, shape, options, context)
  return { capacity: writer.capacity }
}

async function verify(
  files: TargetFiles,
  driver: FormatDriver,
  { expected, unchanged, signal, onProgress }: BuildRequest,
): Promise<void> {
  if (expected === undefined) return
  try {
    using image = openImage(files.partialPath, { ...expected.open, from: driver.id, renamed: files.renamed })
    const { equal, offset } = await compareSources(expected.source, image, {
      threads: expected.threads,
      signal,
      onProgress,
    })
    if (!equal) {
      unchanged?.()
      throw new ImageError(
        'mismatch',
        'E_MISMATCH',
        `the image that was written differs from its source at offset ${offset ?? 0}`,
        {
          hint: 'The new image was removed. Check memory and disk, and please report this.',
          details: { offset },
        },
      )
    }
  } catch (error) {
    if (isImageError(error) && (['mismatch', 'aborted'].includes(error.kind) || error.code === 'E_SOURCE_CHANGED'))
      throw error
    unchanged?.()
    const why = error instanceof Error ? error.message : String(error)
    throw new ImageError('mismatch', 'E_VERIFY', `the image that was written cannot be read back: ${why}`, {
      cause: error,
      hint: 'The new image was removed. Please report this.',
    })
  }
}

async function readBack(
  files: TargetFiles,
  driver: FormatDriver,
  look: (image: () => OpenedImage) => Promise<void>,
): Promise<void> {
  let image: OpenedImage | undefined
  try {
    await look(() => (image ??= openImage(files.partialPath, { from: driver.id, renamed: files.renamed })))
  } finally {
    image?.[Symbol.dispose]()
  }
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted()
}
