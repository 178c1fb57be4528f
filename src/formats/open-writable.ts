import { DraftStore } from '../block/draft-store.js'
import { FileStore } from '../block/file-store.js'
import { OverlaySource } from '../block/overlay.js'
import type { BlockSource, ByteStore } from '../block/types.js'
import { printable, reference, unsupported, usage } from '../errors.js'
import type { FormatDriver, OpenContext, WritableImage } from './driver.js'
import fs from '../sys/host-fs.js'
import { openFile, type ImageFile, type OpenedImage, type OpenOptions } from './open.js'
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

  readonly #stores: readonly FileStore[]

  /** @param stores what the image is written to; none where nothing is written. */
  constructor(image: WritableImage, opened: OpenedImage, stores: readonly FileStore[] = []) {
    this.#stores = stores
    this.image = image
    this.opened = opened
    const parent = opened.missing === undefined ? opened.parent : undefined
    this.disk = parent === undefined ? image : new OverlaySource(image, parent)
  }

  [Symbol.dispose](): void {
    // After a failed write the image is left as it is, as by a power cut: every format is whole then, and what would be
    // written now fails for the same reason or, worse, does not. The failure itself was thrown already.
    const failed = this.#stores.some((store) => store.failed)
    if (failed) for (const store of this.#stores) store.seal()
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
      `${name} is part of another file (${wrappings.map(({ title }) => title).join(', ')}), and is not ` +
        'changed in place',
      { hint: 'Convert it to an image of its own first.' },
    )
  if (driver.openWritable === undefined)
    throw unsupported('E_NOT_WRITABLE', `${name} is a ${driver.title}, which vdisk cannot change in place`, {
      hint: 'Convert it to a format that can be changed.',
    })
  if ((image.references ?? []).length > 0 && driver.changesExtents !== true)
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
  /** As of {@link OpenContext}. */
  readonly keepsIdentity?: boolean
  /** As of {@link OpenContext}. */
  readonly keepsContent?: boolean
  /** Asked about each further file of the image before it is opened to be changed. @throws ImageError refused. */
  readonly guard?: (path: string) => void
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
      keepsIdentity: options.keepsIdentity,
      keepsContent: options.keepsContent,
      openReference: ({ path: named }) => {
        const extent = opened.top.files.find(({ role, stored }) => role === 'extent' && stored === named)
        if (extent === undefined || driver.changesExtents !== true)
          throw unsupported(
            'E_NOT_WRITABLE',
            `${name} needs the file ${printable(named)}, and images of several files are not changed in place`,
          )
        options.guard?.(extent.path)
        const further = openToWrite(extent.path, options.draft === true)
        stores.push(further)
        assertSame(extent, further.store)
        return further.store
      },
    }
    const stores: WrittenFile[] = []
    const parent = opened.missing === undefined ? opened.parent : undefined
    const own = openToWrite(path, options.draft === true)
    const { store } = own
    stores.push(own)
    try {
      return new OpenedWritable(
        openWritable(store, context, parent === undefined ? undefined : (options.below?.(parent) ?? parent)),
        opened,
        stores.flatMap(({ file }) => file ?? []),
      )
    } catch (error) {
      for (const each of stores) each.store[Symbol.dispose]()
      throw error
    }
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
}

interface WrittenFile {
  readonly store: FileStore | DraftStore
  /** Undefined where nothing is written. */
  readonly file: FileStore | undefined
}

function openToWrite(path: string, draft: boolean): WrittenFile {
  if (draft) return { store: new DraftStore(FileStore.openRead(path)), file: undefined }
  const file = FileStore.openWrite(path)
  return { store: file, file }
}

/** @throws ImageError reference E_REFERENCE_CHANGED when another file has the name of an extent now. */
function assertSame({ device, inode }: ImageFile, { fd, name }: ByteStore): void {
  if (fd === undefined) return
  const stat = fs.fstatSync(fd, { bigint: true })
  if (stat.dev !== device || stat.ino !== inode)
    throw reference('E_REFERENCE_CHANGED', `${name} was exchanged for another file while it was opened`)
}
