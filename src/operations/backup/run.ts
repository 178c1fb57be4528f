import type { Note } from '../../block/types.js'
import type { DiskPlatform } from '../../device/types.js'
import type { Progress } from '../../engine/index.js'
import type { HostPath } from '../../errors.js'
import type { Registry } from '../../formats/registry.js'
import { pointName } from '../../location/backup-set.js'
import fs from '../../sys/host-fs.js'
import { inFolder } from '../../sys/host-path.js'
import { findDevice } from '../device/argument.js'
import { recordedSource } from '../device/origin.js'
import { imageDisk, type ImageDiskResult } from '../imaging/image.js'
import { thisMachine } from '../in-use/machine.js'
import type { DirtyChoice } from '../transfer/used-only.js'
import { holdingSet } from './lock.js'
import { findSource, flushFolder, linksOf, pointsOf, removeLeftovers, setFolder, type Point } from './set.js'
import { settle } from './settle.js'
import { readSetSettings, writeSettings, type SetSettings } from './settings.js'

export interface RunSetOptions {
  readonly registry?: Registry
  /** The disk, where it is not to be found by what it is known by. */
  readonly disk?: string
  /** A full image, whatever the settings say. */
  readonly full?: boolean
  readonly freeze?: boolean
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
 * @throws ImageError usage E_NO_SET; refused E_SET_IN_USE, E_OTHER_DISK, E_SAME_DISK, E_FS_DIRTY; target E_NO_SPACE;
 * those of imageDisk. What was there before is there afterwards.
 */
export async function runSet(set: string, options: RunSetOptions = {}): Promise<RunSetResult> {
  const folder = setFolder(set)
  return await holdingSet(folder, 'vdisk backup run', () => runHeld(folder, options))
}

async function runHeld(folder: HostPath, options: RunSetOptions): Promise<RunSetResult> {
  const { dryRun = false, platform = thisMachine(), now = new Date() } = options
  const settings = readSetSettings(folder)
  if (!dryRun) {
    removeLeftovers(folder)
    settle(folder)
  }
  const disk = findSource(settings.source, options.disk, platform, options.allowOtherDisk)
  const points = pointsOf(folder)
  const { since, why } = choose(points, settings, options, findDevice(disk, platform).size)
  const image = await imageDisk(disk, inFolder(folder, pointName(freeTime(points, now), settings.format)), {
    ...options,
    platform,
    to: settings.format,
    options: settings.compress === undefined ? {} : { compress: settings.compress },
    usedOnly: settings.usedOnly ? { ifDirty: options.ifDirty, dropSwap: settings.dropSwap } : undefined,
    parts: settings.parts,
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
    notes: [...notes, ...chainNotes(folder)],
    seconds,
  }
}

/** What the next image is a child of; and why it is none. */
function choose(
  points: readonly Point[],
  { format, fullEvery }: SetSettings,
  { full }: RunSetOptions,
  size: number,
): { readonly since?: Point; readonly why: string } {
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

/** A time that no point has: a second run in one second gets the next one. */
function freeTime(points: readonly Point[], now: Date): Date {
  const last = points.at(-1)
  if (last === undefined || pointName(now, '').slice(0, -1) > last.time) return now
  const [, year, hours, minutes, seconds] = /^(.{10})T(..)(..)(..)Z$/.exec(last.time) ?? []
  return new Date(Date.parse(`${year ?? ''}T${hours ?? ''}:${minutes ?? ''}:${seconds ?? ''}Z`) + 1000)
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
  const links = linksOf(pointsOf(folder))
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
