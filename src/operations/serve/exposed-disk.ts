import { absolute } from '../../sys/host-path.js'
import fs from '../../sys/host-fs.js'
import { finish, perform, type Work } from '../../block/work.js'
import { createScratchStore } from '../../block/scratch-store.js'
import { ScratchOverlay } from '../../block/scratch-overlay.js'
import type { BlockSource, Note } from '../../block/types.js'
import { isImageError, refused, usage } from '../../errors.js'
import { openToChange } from '../in-use/changing.js'
import { holdForReading } from '../in-use/reading.js'
import { openFile, type OpenedImage } from '../../formats/open.js'
import type { DiskChanges } from '../../mount/exposed-slice.js'
import { ExposedSlice } from '../../mount/exposed-slice.js'
import {
  openPartition,
  readPartitionTable,
  selectPartition,
  type PartitionSelector,
  type PartitionTable,
} from '../../partition/index.js'
import { guardWriting, tableTitles } from '../partition/table-overlap.js'
import { create } from '../transfer/create.js'
import {
  openAddressWork,
  chainOptions,
  parseImageArgument,
  performing,
  readOptions,
  type LaterOptions,
  type ReadOptions,
} from '../open/opening.js'
import { HostLocation } from '../../location/file.js'
import { folderPart } from '../../sys/host-path.js'
import { temporaryFolder } from '../../sys/self.js'

/**
 * Where changes go. `read-only`: there are none. `throwaway`: to a scratch file that is gone with the process.
 * `overlay`: to a child of
 * the image, which stays. `write`: into the image itself, which is locked meanwhile.
 */
export type ExposureMode = 'read-only' | 'throwaway' | 'overlay' | 'write'

export interface ExposureOptions extends ReadOptions {
  readonly mode: ExposureMode
  /** The child of `overlay`; made by {@link prepareOverlay}. */
  readonly overlay?: string
  /**
   * Where the scratch file of `throwaway` goes; beside the image when left out, or in the system's folder where that
   * cannot be written.
   */
  readonly scratchFolder?: string
  /** Lets a partition be written to in which a part of the disk's table lies. */
  readonly allowTableLoss?: boolean
  /** A partition that is going to be read, besides the one that the argument names: it is unpacked first. */
  readonly wanted?: PartitionSelector
}

/** An image opened to be exposed, whole and in its parts. Closing it closes everything. */
export class Exposure implements Disposable {
  /** What the argument names: the disk, or one partition of it. */
  readonly disk: ExposedSlice
  /** `partition 2`, when it is not the whole disk. */
  readonly part?: string
  /** What of the disk's partition table lies in that partition, for people. */
  readonly tableInside: readonly string[] = []
  /** The format and subformat of what is changed or read. */
  readonly format: string
  readonly subformat: string
  readonly notes: readonly Note[]
  /** The files of the host that it is read from, absolute. */
  readonly reads: readonly string[]
  /** Of the whole disk; `none` for what has no table. */
  readonly table: PartitionTable
  readonly #whole: BlockSource
  readonly #changes: DiskChanges | undefined
  readonly #close: () => void

  constructor(
    argument: string,
    opened: OpenedImage,
    whole: BlockSource,
    changes: DiskChanges | undefined,
    close: () => void,
  ) {
    const { partition: selector } = parseImageArgument(argument)
    const {
      top: { name, image },
    } = opened
    this.format = image.format
    this.subformat = image.subformat
    this.notes = opened.notes
    this.reads = opened.files.map(({ path }) => absolute(path))
    this.table = readPartitionTable(whole)
    this.#whole = whole
    this.#changes = changes
    this.#close = close
    if (selector === undefined) {
      this.disk = this.slice(0, whole.capacity)
      return
    }
    const partition = selectPartition(this.table, selector, name)
    const { capacity } = openPartition(whole, partition, name)
    this.part = `partition ${partition.number}`
    this.tableInside = tableTitles(this.table, { ...partition, length: capacity })
    this.disk = this.slice(partition.start, capacity)
  }

  /** A part of the whole disk, in bytes from its start. */
  slice(start: number, length: number): ExposedSlice {
    return new ExposedSlice(this.#whole, start, length, this.#changes)
  }

  [Symbol.dispose](): void {
    this.#close()
  }
}

/**
 * Opens an image, or a partition of it, to be exposed. Synchronous, so that the threads that serve it can each open
 * their own; in modes
 * other than `read-only` only one may.
 * @throws ImageError those of opening; refused E_LOCKED; unsupported E_NOT_WRITABLE; target where the scratch file
 * cannot be made.
 */
export function openExposed(argument: string, options: ExposureOptions): Exposure {
  return finish(openExposedWork(argument, options))
}

/** As {@link openExposed}, letting signals through, with progress: it may have to be unpacked first. */
export async function openExposedLater(
  argument: string,
  options: ExposureOptions,
  later: LaterOptions,
): Promise<Exposure> {
  return await perform(openExposedWork(argument, options), performing(later))
}

function* openExposedWork(argument: string, options: ExposureOptions): Work<Exposure> {
  const { mode } = options
  if (mode === 'write') return guarded(changed(argument, parseImageArgument(argument).path, options), options)
  if (mode === 'overlay') {
    if (options.overlay === undefined) throw usage('E_OVERLAY', 'an overlay needs a file')
    const chain = chainOptions({
      ...options,
      allowReferences: [...(options.allowReferences ?? []), parseImageArgument(argument).path],
    })
    return guarded(changed(argument, options.overlay, chain), options)
  }
  const { path, partition = options.wanted } = parseImageArgument(argument)
  const opened = yield* openAddressWork(path, readOptions(options))
  try {
    if (opened.unreadable === undefined && partition !== undefined) yield* prepareOf(opened, partition)
  } catch (error) {
    opened[Symbol.dispose]()
    throw error
  }
  return orClose(opened, () => {
    if (opened.unreadable !== undefined) throw opened.unreadable
    return keepingFiles(opened.files, (held) =>
      mode === 'read-only'
        ? new Exposure(argument, opened, opened, undefined, () => closeAll(held, opened))
        : throwaway(argument, opened, held, options.scratchFolder),
    )
  })
}

/** Makes a partition ready: inside some backups each is unpacked when it is first read. */
function* prepareOf(opened: OpenedImage, selector: PartitionSelector): Work<void> {
  if ('volume' in selector) return
  const { start, length } = selectPartition(readPartitionTable(opened), selector, opened.top.name)
  yield* opened.prepare(start, Math.min(length, opened.capacity - start))
}

/** @throws ImageError refused E_TABLE_IN_PARTITION; the exposure is closed then. */
function guarded(exposure: Exposure, { allowTableLoss = false }: ExposureOptions): Exposure {
  return orClose(exposure, () => {
    if (!allowTableLoss) guardWriting(exposure.tableInside, exposure.part ?? 'the disk')
    return exposure
  })
}

/** Changes go to a scratch file, and are gone with it. */
function throwaway(argument: string, opened: OpenedImage, held: Disposable, folder: string | undefined): Exposure {
  const scratch = createScratch(parseImageArgument(argument).path, folder)
  const overlay = new ScratchOverlay(opened, scratch)
  const changes: DiskChanges = {
    write: (offset, bytes) => overlay.write(offset, bytes),
    zero: (offset, length) => overlay.zero(offset, length),
    // Nothing of it outlives the process.
    flush: () => undefined,
  }
  return orClose(scratch, () => new Exposure(argument, opened, overlay, changes, () => closeAll(held, overlay)))
}

/** Nobody changes the files meanwhile that are only read. */
function keepingFiles(files: OpenedImage['files'], make: (held: Disposable) => Exposure): Exposure {
  const held = holdForReading(files)
  return orClose(held, () => make(held))
}

function closeAll(...all: readonly Disposable[]): void {
  for (const each of all) each[Symbol.dispose]()
}

/**
 * Makes the overlay file of an image where there is none yet, as a child of it (its format by the file's extension;
 * QCOW2 without one);
 * an existing one must be a child of this very image.
 * @returns whether it was made. @throws ImageError usage; refused E_NOT_ITS_CHILD; those of creating and opening.
 */
export async function prepareOverlay(argument: string, overlay: string, options: ReadOptions): Promise<boolean> {
  const { path } = parseImageArgument(argument)
  if (options.snapshot !== undefined)
    throw usage('E_SNAPSHOT_WRITE', 'an overlay stands upon an image, not upon a snapshot in it')
  if (!fs.existsSync(overlay)) {
    await create(overlay, {
      ...chainOptions(options),
      parent: path,
      ...(/\.[a-z0-9]+$/i.test(overlay) ? {} : { to: 'qcow2' }),
      parentFormat: options.from,
    })
    return true
  }
  using opened = openFile(
    overlay,
    chainOptions({ ...options, allowReferences: [...(options.allowReferences ?? []), path] }),
  )
  const parent = opened.layers[1]?.location
  if (parent?.id !== new HostLocation(path).id) {
    throw refused(
      'E_NOT_ITS_CHILD',
      `${overlay} exists and is ` +
        (`${parent === undefined ? 'no child of another image' : `a child of ${parent.label}`}: it cannot hold the ` +
          `changes of ${path}`),
      { hint: 'Name a file that does not exist yet.' },
    )
  }
  return false
}

/** Opens `file` for changes. */
function changed(argument: string, file: string, options: ReadOptions): Exposure {
  const writable = openToChange(file, readOptions(options))
  const { image, opened, disk } = writable
  const changes: DiskChanges = {
    write: (offset, bytes) => image.write(offset, bytes),
    zero: (offset, length) => image.discard(offset, length),
    flush: () => image.flush(),
  }
  const parents = opened.layers.slice(1).flatMap(({ files }) => files)
  return orClose(writable, () =>
    keepingFiles(parents, (held) => new Exposure(argument, opened, disk, changes, () => closeAll(held, writable))),
  )
}

function createScratch(image: string, folder: string | undefined): ReturnType<typeof createScratchStore> {
  if (folder !== undefined) return createScratchStore(folder)
  try {
    return createScratchStore(folderPart(image))
  } catch (error) {
    if (!isImageError(error) || error.kind !== 'target') throw error
    // A folder that is only read: a backup medium, somebody else's.
    return createScratchStore(temporaryFolder())
  }
}

function orClose<T>(held: Disposable, make: () => T): T {
  try {
    return make()
  } catch (error) {
    held[Symbol.dispose]()
    throw error
  }
}
