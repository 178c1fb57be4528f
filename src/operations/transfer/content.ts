import { ChangedOver } from '../../block/changed-over.js'
import type { ContentTaker } from '../../block/content-taker.js'
import { RunMap } from '../../block/run-map.js'
import type { BlockSource, Note } from '../../block/types.js'
import {
  copy,
  RateLimit,
  type CopyJournal,
  type CopyOptions,
  type CopyResult,
  type Progress,
} from '../../engine/index.js'
import { usage } from '../../errors.js'
import type { DiskShape, ImageWriter, OptionValues } from '../../formats/driver.js'
import type { OpenedImage, OpenOptions } from '../../formats/open.js'
import type { ContentProof } from '../../formats/opened.js'
import type { Registry } from '../../formats/registry.js'
import { imageIdentity } from './identity.js'
import {
  chainOptions,
  readOptions,
  verifyStored,
  verifyWhileRead,
  type Forward,
  type ReadOptions,
} from '../open/opening.js'
import type { PlatformDisk } from '../platform/fit.js'
import { chooseSectorSize, layoutNotes, tryLayout, type TargetFormat } from './layout.js'
import { openNewParent, type NewParent } from './parent.js'
import { resized, type Source } from './source.js'
import { usedOnly, type UsedOnly, type UsedOnlyOptions } from './used-only.js'
import { lossNotes } from '../partition/resized-volume.js'
import { folderPart } from '../../sys/host-path.js'
import { temporaryFolder } from '../../sys/self.js'

/** What decides the content and the layout of a target. */
export interface ContentOptions extends ReadOptions {
  /** Format of the target; by its extension when left out. */
  readonly to?: string
  /** Create options of the target's format: `{ subformat: 'fixed', 'block-size': '1M' }`. */
  readonly options?: OptionValues
  /** Capacity of the target in bytes: larger is zero at the end, smaller must cut zeros only. */
  readonly size?: number
  readonly sectorSize?: 512 | 4096
  /** An existing image that the target is to be a child of: only what differs from it is stored. */
  readonly parent?: string
  /** The format of that image; found from its content when left out. */
  readonly parentFrom?: string
  /**
   * A dirty bitmap of the source that says what has changed since `parent` was made of it: nothing else is read.
   */
  readonly changed?: string
  /** Worker threads; 0: none. */
  readonly threads?: number
  /** Shorter runs of zeros are written as data, in bytes; 0: all zeros are. */
  readonly sparse?: number
  /** Leaves out what the filesystems of the disk do not use: it reads as zero in the target. */
  readonly usedOnly?: Omit<UsedOnlyOptions, 'signal'>
  /** Most bytes of the disk that are moved a second. */
  readonly rate?: number
  /** The id of the new image; random when left out. */
  readonly uuid?: string
  /** Creation time to record, in seconds since 1970. */
  readonly time?: number
  /** Where standard input is kept while it is read; default: the target's folder. */
  readonly scratchFolder?: string
  /** Makes of the disk what a platform takes. */
  readonly fit?: DiskFit
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/** How a content is moved. */
interface Moved {
  /**
   * By {@link Content.fill} or {@link Content.proving}, before anything is given out: checksums over the content are
   * compared at the end of that, and when it is opened otherwise.
   */
  readonly movesOnce?: boolean
}

/** @param sectorSize of the target. @param given the capacity that the target's format gives a disk. */
export type DiskFit = (
  disk: BlockSource,
  opened: OpenedImage,
  sectorSize: 512 | 4096,
  given: (capacity: number) => number,
) => PlatformDisk

/**
 * A source opened to become a target, and what that target is to be. Closing it closes the source and the target's
 * parent.
 */
export class Content implements Disposable {
  readonly format: TargetFormat
  readonly opened: OpenedImage
  readonly parent: NewParent | undefined
  /** The source's disk with the target's capacity. */
  readonly disk: BlockSource
  readonly shape: DiskShape
  /** What of the source is in use, when only that is wanted. */
  readonly used: UsedOnly | undefined
  /** What a platform made of the disk. */
  readonly fitted: PlatformDisk | undefined
  /** How images of this chain are opened. */
  readonly open: OpenOptions
  readonly #options: ContentOptions
  /** Checksums over the content that are compared when it was moved. */
  readonly #proof: ContentProof | undefined

  constructor(
    options: ContentOptions,
    parts: Pick<Content, 'format' | 'opened' | 'parent' | 'disk' | 'shape' | 'used' | 'fitted' | 'open'> & {
      readonly proof?: ContentProof
    },
  ) {
    this.#options = options
    this.format = parts.format
    this.opened = parts.opened
    this.parent = parts.parent
    this.disk = parts.disk
    this.shape = parts.shape
    this.used = parts.used
    this.fitted = parts.fitted
    this.open = parts.open
    this.#proof = parts.proof
  }

  /** Whether there are checksums that only moving the content compares. */
  get hasProof(): boolean {
    return this.#proof !== undefined
  }

  /** What the engine is to move. */
  get moving(): Omit<CopyOptions, 'target'> {
    const { threads, sparse, rate, signal, onProgress } = this.#options
    return {
      source: this.disk,
      base: this.parent?.opened,
      threads,
      sparse,
      rate: RateLimit.of(rate),
      signal,
      onProgress,
    }
  }

  /** Moves the content into the target. @throws ImageError as {@link proving}. */
  async fill(writer: ImageWriter, journal?: CopyJournal): Promise<CopyResult> {
    return await this.proving((taker) => copy({ ...this.moving, target: writer, journal, content: taker }))
  }

  /**
   * Moves the content, once, and compares the checksums that the source has of it.
   * @param move gives the taker all that it reads. @throws ImageError corrupt E_CHECKSUM, E_DIGEST, E_SOURCE_CHANGED.
   */
  async proving(move: (taker: ContentTaker | undefined) => Promise<CopyResult>): Promise<CopyResult> {
    const proof = this.#proof
    const moved = await move(proof)
    if (proof !== undefined) {
      // What changed meanwhile has another checksum.
      this.assertUnchanged()
      proof.assert()
    }
    return moved
  }

  /** @throws ImageError corrupt E_SOURCE_CHANGED when an image that is read changed since it was opened. */
  assertUnchanged(): void {
    this.opened.assertUnchanged()
    this.parent?.opened.assertUnchanged()
  }

  /**
   * What the user should know: of the images read, and of what the target has otherwise. @param capacity that of the
   * target.
   */
  notes(capacity: number): Note[] {
    const { top, sectorSize } = this.opened
    return [
      ...this.opened.notes,
      ...(this.used?.notes ?? []),
      ...(this.parent?.notes ?? []),
      ...(this.fitted?.notes ?? []),
      ...this.format.notes,
      ...layoutNotes({
        format: this.format,
        shape: this.shape,
        capacity,
        sourceSectorSize: top.driver.plain === true ? undefined : sectorSize,
      }),
      // At its own size a disk keeps what lies at its end.
      ...(capacity === this.opened.capacity ? [] : lossNotes(this.opened.name, this.opened, capacity, 'the target')),
      ...cutNotes(this, this.#options.size),
    ]
  }

  [Symbol.dispose](): void {
    this.parent?.opened[Symbol.dispose]()
    this.opened[Symbol.dispose]()
  }
}

/**
 * Opens a source, and the parent of its target.
 * @param path where the target is to be; undefined for a stream, which has no parent. @throws ImageError
 */
export async function openContent(
  source: Source,
  path: string | undefined,
  format: TargetFormat,
  options: ContentOptions & Forward & Moved & { readonly registry: Registry },
): Promise<Content> {
  const open: OpenOptions = chainOptions(options)
  const scratchFolder = options.scratchFolder ?? (path === undefined ? temporaryFolder() : folderPart(path))
  const opened = await source.open({
    ...readOptions(options),
    scratchFolder,
    signal: options.signal,
    onProgress: options.onProgress,
  })
  let parent: NewParent | undefined
  try {
    if (opened.unreadable !== undefined) throw opened.unreadable
    const verify = isMovedWhole(opened, options) ? verifyWhileRead : verifyStored
    const proof = await verify(opened, options)
    parent =
      options.parent === undefined || path === undefined
        ? undefined
        : openNewParent(options.parent, path, format.driver, { ...open, from: options.parentFrom })
    const used =
      options.usedOnly === undefined
        ? undefined
        : await usedOnly(opened, { ...options.usedOnly, type: opened.partType, signal: options.signal })
    const sized = await resized(
      used?.source ?? changedOver(opened, parent, options),
      options.size ?? opened.capacity,
      options.signal,
    )
    const sectorSize = chooseSectorSize(format.driver, opened.sectorSize, options.sectorSize)
    const identity = imageIdentity(options.uuid, options.time)
    const shapeOf = (capacity: number): DiskShape => ({ capacity, sectorSize, identity, parent: parent?.shape })
    const given = (capacity: number): number => tryLayout(format, shapeOf(capacity)).capacity
    const fitted = options.fit?.(sized, opened, sectorSize, given)
    const disk = fitted?.disk ?? sized
    const shape = shapeOf(disk.capacity)
    return new Content(options, { format, opened, parent, disk, shape, used, fitted, open, proof })
  } catch (error) {
    parent?.opened[Symbol.dispose]()
    opened[Symbol.dispose]()
    throw error
  }
}

/** Whether the target gets all that the source holds, in one go. */
function isMovedWhole(
  { capacity }: OpenedImage,
  { movesOnce, parent, usedOnly, fit, size = capacity }: ContentOptions & Moved,
): boolean {
  return movesOnce === true && parent === undefined && usedOnly === undefined && fit === undefined && size >= capacity
}

/** The source, which is its target's parent but for what a bitmap lists. */
function changedOver(opened: OpenedImage, parent: NewParent | undefined, options: ContentOptions): BlockSource {
  const { changed, snapshot } = options
  if (changed === undefined) return opened
  const { image, location, driver } = opened.top
  const changes = image.changes?.(changed) ?? (driver.plain === true ? location.changes?.(changed) : undefined)
  if (parent === undefined || opened.part !== undefined || snapshot !== undefined || changes === undefined)
    throw usage('E_NO_BITMAP', `${opened.name} has no list of changes that could be used here`, {
      hint:
        'A bitmap is of the whole active disk of a qcow2 image, or of an export of QEMU, and --parent names the ' +
        'image made before.',
    })
  const runs = new RunMap()
  for (const { offset, length } of changes) runs.add(offset, length)
  return new ChangedOver(opened, parent.opened, runs)
}

function cutNotes({ opened }: Content, size: number | undefined): Note[] {
  if (size === undefined || size >= opened.capacity) return []
  return [
    {
      code: 'W_CUT',
      message:
        `the last ${opened.capacity - size} bytes of the disk, all zero, were cut off: a GPT keeps its second table ` +
        'there',
    },
  ]
}
