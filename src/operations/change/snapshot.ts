import type { Note } from '../../block/types.js'
import { perform, type Work } from '../../block/work.js'
import type { Progress } from '../../engine/progress.js'
import { isImageError, unsupported, usage } from '../../errors.js'
import { chooseSnapshot, type DiskImage, type ImageSnapshot } from '../../formats/driver.js'
import { openFile, type OpenOptions } from '../../formats/open.js'
import { changing } from '../../formats/open-writable.js'
import { openToChange } from '../in-use/changing.js'
import { guardChange } from '../in-use/guard.js'
import { changingInPlace } from './left-state.js'
import { convert, type ConvertOptions, type ConvertResult } from '../transfer/convert.js'
import { localFile, openAddress, wholeImage } from '../open/image-file.js'
import { readOptions, type ReadOptions } from '../open/opening.js'

/** An internal snapshot. Sizes are bytes. */
export interface SnapshotInfo extends ImageSnapshot {
  /** When it was taken, ISO 8601; undefined where that is not recorded. */
  readonly date?: string
  /** Bytes of the file that nothing else uses: what deleting it gives back. Undefined where its tables are damaged. */
  readonly own?: number
}

export interface SnapshotListResult {
  readonly path: string
  readonly format: string
  readonly snapshots: readonly SnapshotInfo[]
  readonly notes: readonly Note[]
}

export interface SnapshotOptions extends Omit<ReadOptions, 'snapshot'> {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface SnapshotChangeOptions extends SnapshotOptions {
  /** Says what would be done. */
  readonly dryRun?: boolean
  /** The time that a new snapshot gets, in seconds since 1970; now when left out. */
  readonly time?: number
}

export interface SnapshotChangeResult {
  readonly path: string
  readonly format: string
  /** The snapshot that was (or would be) taken or deleted; one that is only planned has no id yet. */
  readonly snapshot: Omit<SnapshotInfo, 'id'> & { readonly id?: string }
  /** How many there are afterwards. */
  readonly count: number
  readonly dryRun: boolean
  readonly notes: readonly Note[]
}

const wholeDisk = 'a snapshot is of a whole disk'

/**
 * The internal snapshots of an image; parents need not be there. @throws ImageError unsupported E_NO_SNAPSHOTS; those
 * of opening.
 */
export async function listSnapshots(path: string, options: SnapshotOptions = {}): Promise<SnapshotListResult> {
  wholeImage(path, wholeDisk)
  using opened = openAddress(path, { ...readOptions(options), chain: 'optional' })
  const { image, name } = opened.top
  const snapshots: SnapshotInfo[] = []
  const notes: Note[] = [...image.notes]
  for (const snapshot of snapshotsOf(image, name)) {
    const use = await own(image, `id:${snapshot.id}`, options)
    if (typeof use === 'object') notes.push(use)
    snapshots.push({
      ...snapshot,
      date: dateOf(snapshot.time),
      own: typeof use === 'number' ? use : undefined,
    })
  }
  return { path, format: image.format, snapshots, notes }
}

/**
 * Writes the disk of a snapshot as a new image. @throws ImageError as `convert` does; usage E_SNAPSHOT_UNKNOWN,
 * E_SNAPSHOT_AMBIGUOUS.
 */
export async function extractSnapshot(
  path: string,
  snapshot: string,
  target: string,
  options: Omit<ConvertOptions, 'snapshot'> = {},
): Promise<ConvertResult> {
  return convert(path, target, { ...options, snapshot })
}

/**
 * Keeps the disk of an image as it is, as a snapshot in the image itself. A power cut or an interruption leaves the
 * image without it.
 * @throws ImageError usage E_SNAPSHOT_NAME, E_SNAPSHOT_EXISTS; unsupported E_NO_SNAPSHOTS, E_NOT_WRITABLE; target;
 * corrupt.
 */
export async function createSnapshot(
  path: string,
  name: string,
  options: SnapshotChangeOptions = {},
): Promise<SnapshotChangeResult> {
  const time = options.time ?? Math.floor(Date.now() / 1000)
  return change(path, options, (image) => {
    const known = snapshotsOf(image, path)
    const same = known.find((snapshot) => snapshot.name === name || snapshot.id === name)
    if (same !== undefined)
      throw usage(
        'E_SNAPSHOT_EXISTS',
        `${path} has a snapshot of the ${same.name === name ? 'name' : 'id'} ${JSON.stringify(name)} already`,
        { hint: 'Choose another name, or delete that snapshot first.' },
      )
    return {
      plan: { name, time, capacity: image.capacity, vmStateSize: 0 },
      count: known.length + 1,
      steps: (writable) => writable.takeSnapshot?.({ name, time }),
    }
  })
}

/**
 * Deletes a snapshot; what only it used is free afterwards. @throws ImageError usage E_SNAPSHOT_UNKNOWN,
 * E_SNAPSHOT_AMBIGUOUS; as {@link createSnapshot}.
 */
export async function deleteSnapshot(
  path: string,
  wanted: string,
  options: SnapshotChangeOptions = {},
): Promise<SnapshotChangeResult> {
  return change(path, options, async (image) => {
    const known = snapshotsOf(image, path)
    const found = chooseSnapshot(known, wanted, path)
    const use = await own(image, wanted, options)
    const plan = { ...found, own: typeof use === 'number' ? use : undefined }
    return { plan, count: known.length - 1, steps: (writable) => writable.deleteSnapshot?.(wanted) }
  })
}

type Writable = ReturnType<typeof openToChange>['image']

interface Change {
  readonly plan: Omit<SnapshotInfo, 'id' | 'date'> & { readonly id?: string }
  readonly count: number
  readonly steps: (image: Writable) => Work<ImageSnapshot> | Work<void> | undefined
}

async function change(
  path: string,
  options: SnapshotChangeOptions,
  prepare: (image: DiskImage) => Change | Promise<Change>,
): Promise<SnapshotChangeResult> {
  wholeImage(path, wholeDisk)
  localFile(path, options)
  const read = { ...readOptions(options), chain: 'optional' as const }
  if (options.dryRun === true) {
    guardChange(path, 'changed', { ...options, keepsChildren: true })
    using opened = openFile(path, read)
    changing(opened)
    const { plan, count } = await prepare(opened.top.image)
    return {
      path,
      format: opened.top.image.format,
      snapshot: { ...plan, date: dateOf(plan.time) },
      count,
      dryRun: true,
      notes: opened.top.image.notes,
    }
  }
  const before = countOf(path, read)
  return await changingInPlace(
    () => {
      const now = countOf(path, read)
      return now === before
        ? `The image is whole, with its ${before} snapshots as before.`
        : `The image is whole: the change is made, and it has ${now} snapshots.`
    },
    () => changeOpened(path, read, options, prepare),
  )
}

/** How many snapshots an image has. */
function countOf(path: string, read: OpenOptions): number {
  using opened = openFile(path, read)
  return opened.top.image.snapshots?.length ?? 0
}

async function changeOpened(
  path: string,
  read: OpenOptions,
  options: SnapshotChangeOptions,
  prepare: (image: DiskImage) => Change | Promise<Change>,
): Promise<SnapshotChangeResult> {
  using opened = openToChange(path, { ...read, keepsChildren: true })
  const { image } = opened
  const { plan, count, steps } = await prepare(opened.opened.top.image)
  const work = steps(image)
  if (work === undefined)
    throw unsupported('E_NO_SNAPSHOTS', `${path}: vdisk changes no snapshots of the format ${image.format}`)
  const made = (await taken<unknown>(work, options)) as ImageSnapshot | undefined
  const snapshot = { ...plan, ...made }
  return {
    path,
    format: image.format,
    snapshot: { ...snapshot, date: dateOf(snapshot.time) },
    count,
    dryRun: false,
    notes: image.notes,
  }
}

/** Takes all steps. A stop in between leaves the image as it was. */
async function taken<Result>(work: Work<Result>, { signal, onProgress }: SnapshotOptions): Promise<Result> {
  return await perform(work, { signal, onProgress: (step) => onProgress?.({ phase: 'check', ...step }) })
}

/** What only a snapshot uses; a note where that is not known. */
async function own(image: DiskImage, wanted: string, options: SnapshotOptions): Promise<number | Note | undefined> {
  if (image.snapshotUse === undefined) return undefined
  try {
    return await taken(image.snapshotUse(wanted), options)
  } catch (error) {
    // Two snapshots of one id are a finding of check, and no reason not to list them.
    if (!isImageError(error) || (error.kind !== 'corrupt' && error.code !== 'E_SNAPSHOT_AMBIGUOUS')) throw error
    return { code: error.code, message: error.message }
  }
}

function snapshotsOf(image: DiskImage, name: string): readonly ImageSnapshot[] {
  if (image.snapshots === undefined)
    throw unsupported('E_NO_SNAPSHOTS', `${name} is of the format ${image.format}, which has no internal snapshots`)
  return image.snapshots
}

function dateOf(time: number | undefined): string | undefined {
  return time === undefined ? undefined : new Date(time * 1000).toISOString()
}
