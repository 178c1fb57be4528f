import type { BlockSource, Note } from '../../block/types.js'
import { printable, refused, unsupported, usage } from '../../errors.js'
import type { DiskImage } from '../../formats/driver.js'
import { openFile, type OpenedImage } from '../../formats/open.js'
import { changing } from '../../formats/open-writable.js'
import { openToChange } from '../in-use/changing.js'
import { guardChange } from '../in-use/guard.js'
import { guardMember, lossNotes } from '../partition/resized-volume.js'
import { readPartitionTable } from '../../partition/index.js'
import { firstContent } from './content-search.js'
import { changingInPlace } from './left-state.js'
import { roundedNotes } from '../transfer/layout.js'
import { childNames, childrenOf } from '../in-use/children.js'
import { localFile, wholeImage } from '../open/image-file.js'
import { readOptions, type ReadOptions } from '../open/opening.js'
import type { Progress } from '../progress.js'
import { realFolder } from '../../sys/host-path.js'

export interface ResizeOptions extends ReadOptions {
  /** Cuts off content too. */
  readonly shrink?: boolean
  /** Goes on where the disk is a member (RAID, dynamic disk) at its own size only. */
  readonly allowMisplacedMetadata?: boolean
  /** Says what would be done. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
  /** What would be cut off is read first. */
  readonly onProgress?: (progress: Progress) => void
}

/** The new capacity in bytes, or the change of it. */
export type Wanted = { readonly capacity: number } | { readonly by: number }

export interface ResizeResult {
  readonly path: string
  readonly format: string
  readonly subformat: string
  /** Bytes of the disk before and after, and of the file after. */
  readonly before: number
  readonly after: number
  readonly size: number
  /** The first content that was cut off, or would be. */
  readonly cutContent?: number
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

/**
 * Gives the disk of an image another capacity, in place. What is added reads as zero; content is cut off only with
 * `shrink`.
 * @throws ImageError refused E_CUTS_CONTENT, E_OTHER_CHILDREN; unsupported E_NO_RESIZE, E_NOT_WRITABLE; usage
 * E_SIZE; those of opening the image.
 */
export async function resize(path: string, wanted: Wanted, options: ResizeOptions = {}): Promise<ResizeResult> {
  wholeImage(path, 'resize changes the size of a whole disk; a partition is resized inside the guest')
  localFile(path, options)
  if (options.dryRun === true) {
    guardChange(path, 'changed', { ...options, keepsChildren: true })
    // Only read: opening it for changes would bring a journal into the file.
    using opened = openFile(path, readOptions(options))
    changing(opened)
    for (const file of opened.top.files) guardChange(file.path, 'changed', { ...options, keepsChildren: true })
    const plan = await look(path, opened, wanted, options, opened.top.image)
    guardChildren(path, opened, plan, options)
    return { ...plan, size: sizeOf(opened), notes: memberNotes(path, opened, plan.after, options) }
  }
  const { before } = capacityOf(path, options)
  const { notes, ...plan } = await changingInPlace(
    () => {
      const { before: now } = capacityOf(path, options)
      return now === before
        ? `The image is whole, and its disk has ${before} bytes as before.`
        : `The image is whole, and its disk has ${now} bytes; it had ${before}.`
    },
    () => change(path, wanted, options),
  )
  using opened = openFile(path, readOptions(options))
  return {
    ...plan,
    after: opened.capacity,
    size: sizeOf(opened),
    notes: [...tableNotes(opened), ...notes, ...sizeNotes(opened, plan.after)],
  }
}

/** What the new size is otherwise than asked for, and who will not take it, as for a new image. Bytes. */
function sizeNotes({ top: { driver, image }, capacity }: OpenedImage, wanted: number): Note[] {
  return [
    ...roundedNotes(driver, wanted, capacity),
    ...(driver.createNotes?.({ capacity }, { subformat: image.subformat }) ?? []),
  ]
}

/** Bytes of all files of the image. */
function sizeOf({ top: { files } }: OpenedImage): number {
  return files.reduce((sum, { size }) => sum + size, 0)
}

function capacityOf(path: string, options: ResizeOptions): { readonly before: number } {
  using opened = openFile(path, { ...readOptions(options), chain: 'optional' })
  return { before: opened.capacity }
}

type Plan = Omit<ResizeResult, 'size' | 'notes'>

/** Looks and changes under one lock: nobody writes to what is cut off in between. */
async function change(
  path: string,
  wanted: Wanted,
  options: ResizeOptions,
): Promise<Plan & { readonly notes: readonly Note[] }> {
  // Whether children go on fitting it depends on the new size.
  using opened = openToChange(path, { ...readOptions(options), keepsChildren: true })
  const { image, disk } = opened
  if (image.resize === undefined)
    throw unsupported('E_NO_RESIZE', `an image of the format ${image.format} cannot be resized`, {
      hint: 'Convert it, with --size.',
    })
  const plan = await look(path, disk, wanted, options, image)
  const { before, after, cutContent } = plan
  if (cutContent !== undefined && options.shrink !== true) {
    throw refused(
      'E_CUTS_CONTENT',
      `${path} cannot be cut from ${before} to ${after} bytes: the disk has content at offset ${cutContent}`,
      {
        hint:
          'Shrink the partitions and filesystems first (a GPT keeps its backup at the very end). --shrink ' +
          'cuts nevertheless; what is cut off is lost.',
        details: { offset: cutContent },
      },
    )
  }
  if (before === after) return { ...plan, notes: [] }
  guardChildren(path, opened.opened, plan, options)
  const notes = memberNotes(path, disk, after, options)
  image.resize(after)
  image.flush()
  return { ...plan, notes: [...notes, ...image.notes.filter(({ code }) => code === 'W_BITMAPS_DROPPED')] }
}

/**
 * A child records the id of its parent, or shows what the parent holds: an id goes with a change of size, and so does
 * content that is cut off.
 * @throws ImageError refused E_OTHER_CHILDREN unless that is allowed.
 */
function guardChildren(
  path: string,
  { top }: OpenedImage,
  { before, after, cutContent }: Plan,
  options: ResizeOptions,
) {
  const [file] = top.files
  if (options.allowOtherChildren === true || file === undefined || before === after) return
  if (top.image.identity === undefined && cutContent === undefined) return
  const children = childrenOf(file, top.image.identity, [realFolder(file.path)], [], options)
  if (children.length === 0) return
  throw refused(
    'E_OTHER_CHILDREN',
    `${printable(path)} is the parent of other images, which do not fit a disk of another size: ` +
      childNames(children),
    {
      hint:
        'Resize the newest child: its parent stays as it is. Or flatten the children first (vdisk chain flatten). ' +
        '--allow-other-children resizes the parent nevertheless.',
    },
  )
}

/** @throws ImageError refused E_MISPLACED_METADATA unless that is allowed, which is then said. */
function memberNotes(
  path: string,
  disk: BlockSource,
  after: number,
  { allowMisplacedMetadata = false }: ResizeOptions,
): Note[] {
  const where = 'the resized disk'
  if (!allowMisplacedMetadata) guardMember(printable(path), disk, after, where)
  return lossNotes(printable(path), disk, after, where)
}

async function look(
  path: string,
  disk: BlockSource,
  wanted: Wanted,
  options: ResizeOptions,
  { format, subformat }: Pick<DiskImage, 'format' | 'subformat'>,
): Promise<Plan> {
  const before = disk.capacity
  const after = 'capacity' in wanted ? wanted.capacity : before + wanted.by
  if (!Number.isSafeInteger(after) || after <= 0) throw usage('E_SIZE', `a disk of ${after} bytes cannot be`)
  const cutContent = after < before ? await firstContent(disk, after, options) : undefined
  return {
    path,
    format,
    subformat,
    before,
    after,
    dryRun: options.dryRun === true,
    cutContent,
  }
}

/** What a partition table now says that does not fit the disk. */
function tableNotes(disk: Parameters<typeof readPartitionTable>[0]): Note[] {
  return readPartitionTable(disk)
    .issues.filter(({ fixable, severity }) => fixable === true || severity === 'error')
    .map(({ code, message, fixable }) => ({
      code,
      message: fixable === true ? `${message} (vdisk partition fix mends it)` : message,
    }))
}
