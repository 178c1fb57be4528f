import { DraftStore } from '../block/draft-store.js'
import { FileStore } from '../block/file-store.js'
import { OverlaySource } from '../block/overlay.js'
import type { BlockSource } from '../block/types.js'
import { printable, unsupported, usage } from '../errors.js'
import type { FormatDriver, OpenContext, WritableImage } from './driver.js'
import { openFile, type OpenedImage, type OpenOptions } from './open.js'
import { checkOptions, optionsAmong } from './options.js'

/**
 * An image open for changes, with its chain below it open for reading. Closing it writes what is pending, and closes
 * all.
 */
export class OpenedWritable implements Disposable {
  /** The layer that is changed. */
  readonly image: WritableImage
  /**
   * The disk as a guest sees it: the layer over its parents; the layer alone when a parent is missing and need not be
   * there.
   */
  readonly disk: BlockSource
  /**
   * The same image and its chain as they were opened for reading; of the first layer only what does not change is to be
   * used.
   */
  readonly opened: OpenedImage

  readonly #store: FileStore | undefined

  /** @param store what the image is written to; undefined where nothing is written. */
  constructor(image: WritableImage, opened: OpenedImage, store?: FileStore) {
    this.#store = store
    this.image = image
    this.opened = opened
    const parent = opened.missing === undefined ? opened.parent : undefined
    this.disk = parent === undefined ? image : new OverlaySource(image, parent)
  }

  [Symbol.dispose](): void {
    // After a failed write the image is left as it is, as by a power cut: every format is whole then, and what would be
    // written now fails for the same reason or, worse, does not. The failure itself was thrown already.
    const failed = this.#store?.failed === true
    if (failed) this.#store.seal()
    try {
      this.image[Symbol.dispose]()
    } catch (error) {
      if (!failed) throw error
    } finally {
      this.opened[Symbol.dispose]()
    }
  }
}

/**
 * What opens this image to change it; nothing is touched before it is called.
 * @throws ImageError unsupported E_NOT_WRITABLE, and why the image cannot be read.
 */
export function changing({
  missing,
  unreadable,
  top: { driver, image, name, wrappings },
}: OpenedImage): NonNullable<FormatDriver['openWritable']> {
  // With a chain that is allowed to be incomplete, what is below does not matter.
  const problem = missing === undefined ? unreadable : image.unreadable
  if (problem !== undefined) throw problem
  if (wrappings.length > 0)
    throw unsupported(
      'E_NOT_WRITABLE',
      `${name} is inside a ${wrappings.map(({ title }) => title).join(' in a ')} file, and what is compressed ` +
        'is not changed in place',
      { hint: 'Convert it to an image of its own first.' },
    )
  if (driver.openWritable === undefined)
    throw unsupported('E_NOT_WRITABLE', `${name} is a ${driver.title}, which vdisk cannot change in place`, {
      hint: 'Convert it to a format that can be changed.',
    })
  if ((image.references ?? []).length > 0)
    throw unsupported(
      'E_NOT_WRITABLE',
      `${name} keeps its data in further files, and such images are not changed in place`,
      { hint: 'Convert it to an image of one file.' },
    )
  return driver.openWritable.bind(driver)
}

export interface WritableOptions extends OpenOptions {
  /** Changes stay in memory, and the file is only read: to see what a change would meet. */
  readonly draft?: boolean
  /** What the format gets as the disk below, made of the disk that is. */
  readonly below?: (parent: BlockSource) => BlockSource
}

/**
 * Opens an image to change it. Parents are only read. With `chain: 'optional'` they may be missing: changes that need
 * them then throw
 * reference E_PARENT_NEEDED.
 * @throws ImageError those of reading; unsupported E_NOT_WRITABLE; refused E_LOCKED; usage E_SNAPSHOT_WRITE.
 */
export function openWritableImage(path: string, options: WritableOptions = {}): OpenedWritable {
  if (options.snapshot !== undefined) throw usage('E_SNAPSHOT_WRITE', 'a snapshot cannot be changed')
  const opened = openFile(path, options)
  try {
    const {
      top: { driver, name },
    } = opened
    const openWritable = changing(opened)
    const specs = driver.openOptions ?? []
    const context: OpenContext = {
      options: checkOptions(specs, optionsAmong(specs, options.options ?? {}), `reading ${driver.id}`),
      self: opened.top.location,
      openReference: ({ path: named }) => {
        throw unsupported(
          'E_NOT_WRITABLE',
          `${name} needs the file ${printable(named)}, and images of several files are not changed in place`,
        )
      },
    }
    const parent = opened.missing === undefined ? opened.parent : undefined
    const file = options.draft === true ? undefined : FileStore.openWrite(path)
    const store = file ?? new DraftStore(FileStore.openRead(path))
    try {
      return new OpenedWritable(
        openWritable(store, context, parent === undefined ? undefined : (options.below?.(parent) ?? parent)),
        opened,
        file,
      )
    } catch (error) {
      store[Symbol.dispose]()
      throw error
    }
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}
