import type { Note } from '../../block/types.js'
import type { DiskPlatform } from '../../device/types.js'
import type { Progress } from '../../engine/index.js'
import { printable, refused, type HostPath } from '../../errors.js'
import type { Registry } from '../../formats/registry.js'
import { imagesOf, pointName, pointTime } from '../../location/backup-set.js'
import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'
import { findDevice } from '../device/argument.js'
import { recordedSource } from '../device/origin.js'
import { imageDisk } from '../imaging/image.js'
import type { ImageDiskResult } from '../imaging/image-result.js'
import { thisMachine } from '../in-use/machine.js'
import type { SnapshotChoice } from '../imaging/snapshot-choice.js'
import type { DirtyChoice } from '../transfer/used-only.js'
import { holdingSet } from './lock.js'
import { linksOf, type LinkedPoint } from './links.js'
import { findSource, flushFolder, recordsOf, removeLeftovers, setFolder, type DamagedPoint, type Point } from './set.js'
import { settle } from './settle.js'
import { readSetSettings, writeSettings, type SetSettings } from './settings.js'

export interface RunSetOptions {
  readonly registry?: Registry
  /** The disk, where it is not to be found by what it is known by. */
  readonly disk?: string
  /** A full image, whatever the settings say. */
  readonly full?: boolean
  readonly freeze?: boolean
  /** What is read in place of the source; what the set says when left out. */
  readonly snapshot?: SnapshotChoice | 'none'
  readonly ifDirty?: DirtyChoice
  readonly verify?: boolean
  readonly dryRun?: boolean
  readonly threads?: number
  /** Most bytes of the disk that are read a second. */
  readonly rate?: number
  readonly allowOtherDisk?: boolean
  readonly allowSameDisk?: boolean
  readonly toolVersion?: string
  readonly platform?: DiskPlatform
  readonly now?: Date
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface RunSetResult {
  readonly set: string
  readonly kind: 'full' | 'incremental'
  /** Why it is a full image, where an incremental one could be expected. */
  readonly why: string
  readonly image: ImageDiskResult
  readonly dryRun: boolean
  readonly notes: readonly Note[]
  readonly seconds: number
}

/**
 * Makes the next point of a backup set: a full image, or a child of the last point that holds what has changed.
 * @throws ImageError usage E_NO_SET; refused E_SET_IN_USE, E_SET_DAMAGED, E_OTHER_DISK, E_SAME_DISK, E_FS_DIRTY; target
 * E_NO_SPACE; those of imageDisk. What was there before is there afterwards.
 */
export async function runSet(set: string, options: RunSetOptions = {}): Promise<RunSetResult> {
  const folder = setFolder(set)
  return await holdingSet(folder, 'vdisk backup run', () => runHeld(folder, options))
}

async function runHeld(folder: HostPath, options: RunSetOptions): Promise<RunSetResult> {
  const { dryRun = false, platform = thisMachine(), now = new Date() } = options
  const settings = readSetSettings(folder)
  if (!dryRun) removeLeftovers(folder)
  const links = linksOf(imagesOf(folder))
  if (!dryRun) settle(links)
  const disk = findSource(settings.source, options.disk, platform, options.allowOtherDisk)
  const { points, damaged } = recordsOf(links)
  const { since, why } = choose(points, settings, options, findDevice(disk, platform).size)
  if (since !== undefined) guardLast(folder, since, damaged)
  const last = links.at(-1)?.time
  const image = await imageDisk(disk, inFolder(folder, pointName(freeTime(last, now), settings.format)), {
    ...options,
    platform,
    to: settings.format,
    options: settings.compress === undefined ? {} : { compress: settings.compress },
    usedOnly: settings.usedOnly ? { ifDirty: options.ifDirty, dropSwap: settings.dropSwap } : undefined,
    parts: settings.parts,
    snapshot: chosenSnapshot(settings, options),
    since: since?.path,
    leastFree: leastFree(points, settings, since !== undefined),
  })
  if (!dryRun) {
    flushFolder(folder)
    const source = recordedSource(findDevice(disk, platform))
    if (JSON.stringify(source) !== JSON.stringify(settings.source)) writeSettings(folder, { ...settings, source })
  }
  const { notes, seconds } = image
  return {
    set: folder,
    kind: since === undefined ? 'full' : 'incremental',
    why,
    image,
    dryRun,
    notes: [...notes, ...clockNotes(last, now), ...chainNotes(folder)],
    seconds,
  }
}

/** A run that freezes the filesystems itself makes no snapshot. */
function chosenSnapshot(settings: SetSettings, { snapshot, freeze }: RunSetOptions): SnapshotChoice | undefined {
  const chosen = snapshot ?? (freeze === true ? 'none' : settings.snapshot)
  return chosen === 'none' ? undefined : chosen
}

/** What the next image is a child of; and why it is none. */
function choose(
  points: readonly (Point & LinkedPoint)[],
  { format, fullEvery }: SetSettings,
  { full }: RunSetOptions,
  size: number,
): { readonly since?: Point & LinkedPoint; readonly why: string } {
  const last = points.at(-1)
  if (last === undefined) return { why: 'the set has no points yet' }
  if (full === true) return { why: '--full was given' }
  const before = last.record.digests.disk.length
  if (format === 'vhdx' && before !== size)
    return { why: `the disk has ${size} bytes, and had ${before}: a VHDX child has the size of its parent` }
  const sinceFull = points.length - 1 - points.findLastIndex(({ record }) => record.parent === undefined)
  if (fullEvery !== undefined && sinceFull >= fullEvery)
    return { why: `there are ${sinceFull} incremental images since the last full one` }
  return { since: last, why: `what has changed since ${last.time}` }
}

/**
 * A child of an image that cannot be read would be another one, and an older one than the last would get two children.
 * @throws ImageError refused E_SET_DAMAGED
 */
function guardLast(folder: HostPath, since: Point & LinkedPoint, damaged: readonly DamagedPoint[]): void {
  const last = damaged.findLast(({ time }) => time > since.time) ?? since
  if (last.problem === undefined) return
  throw refused(
    'E_SET_DAMAGED',
    `the last point of ${printable(folder)}, ${last.time}, cannot be read: ${last.problem}`,
    {
      hint:
        'Put back what is missing. Or begin anew beside it: vdisk backup run --full makes an image that needs none ' +
        'of the others.',
    },
  )
}

/** A time that no image has, behind all of them: a second run in one second gets the next one. */
function freeTime(last: string | undefined, now: Date): Date {
  return last === undefined || timeOf(now) > last ? now : new Date(millisecondsOf(last) + 1000)
}

const timeOf = (now: Date): string => pointName(now, '').slice(0, -1)

const millisecondsOf = (time: string): number => pointTime(time)?.getTime() ?? 0

/** How far the clock may be behind the last point without a warning, in milliseconds. */
const clockPlay = 60_000

/** Points are in the order of their names, and policies go by them. */
function clockNotes(last: string | undefined, now: Date): Note[] {
  if (last === undefined || millisecondsOf(last) - now.getTime() < clockPlay) return []
  return [
    {
      code: 'W_CLOCK',
      message:
        `the clock says ${timeOf(now)}, and the last point has ${last}: the new point has the next second. Daily, ` +
        'weekly and monthly policies count it with that point',
    },
  ]
}

/**
 * Bytes that must be free before a run is begun. A full image that is not compressed takes what is in use; of a child
 * nobody knows before, and the largest of the last ones is asked for.
 */
function leastFree(points: readonly Point[], { compress }: SetSettings, isChild: boolean): number | 'most' {
  if (!isChild) return compress === undefined ? 'most' : 0
  const sizes = points
    .slice(-7)
    .filter(({ record }) => record.parent !== undefined)
    .map(({ path }) => fs.statSync(path).size)
  return Math.max(0, ...sizes)
}

/** Chains that are long are slow to read. */
const longChain = 30

function chainNotes(folder: HostPath): Note[] {
  const links = linksOf(recordsOf(imagesOf(folder)).points)
  const byPath = new Map(links.map((link) => [link.path, link]))
  let length = 0
  for (let link = links.at(-1); link !== undefined; link = byPath.get(link.parent ?? '')) length++
  if (length <= longChain) return []
  return [
    {
      code: 'W_LONG_CHAIN',
      message:
        `the last point needs ${length - 1} other images: reading it gets slow. vdisk backup prune shortens the ` +
        'chain, and --full begins another',
    },
  ]
}
