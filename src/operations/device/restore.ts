import fs from '../../sys/host-fs.js'
import { deviceNumberText } from '../../binary/device-number.js'
import type { Note } from '../../block/types.js'
import type { DiskPlatform, Place } from '../../device/types.js'
import { printable, usage } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { Registry } from '../../formats/registry.js'
import { optionFacts, sourceFacts } from '../resume/facts.js'
import { platformOf, writeTarget, type DeviceOptions, type DeviceOutcome } from './target.js'
import { blockMapOf } from '../bmap/use.js'
import { findTarget } from './argument.js'
import { readingForward } from '../open/reading-forward.js'
import { placesOfVolumes } from '../open/volume-places.js'
import { originOf, type TargetOrigin } from './origin.js'
import {
  openReadableLater,
  prepared,
  parseImageArgument,
  sourceInfo,
  verifyStored,
  type Forward,
  type ReadOptions,
  type SourceInfo,
} from '../open/opening.js'

export interface RestoreOptions extends ReadOptions, DeviceOptions {
  /** Restores this partition of the image into one partition; the same as `IMAGE@N`. */
  readonly partition?: number
  /** The path of the image's block map; false: none is used. Default: the one beside the image, if there is one. */
  readonly bmap?: string | false
}

export interface RestoreResult extends DeviceOutcome {
  readonly source: SourceInfo & { readonly sectorSize: number }
  /** Whether the target is the disk that the image was made of; absent when the image has no record. */
  readonly origin?: TargetOrigin
}

/**
 * Restores an image, or a partition of one, to a physical disk or partition, which is overwritten.
 * @param argument the image, of any format, with its chain: `disk.vhdx`, `disk.vhdx@2`. @param device the disk or
 * partition: `/dev/sdb`.
 * @throws ImageError refused by every guard that says no; target where the device cannot be written, with the offset;
 * mismatch when what is read back differs; aborted. See docs/architecture.md.
 */
export async function restore(argument: string, device: string, options: RestoreOptions): Promise<RestoreResult> {
  // A compressed disk is decoded once before the target is touched: it is known to be whole then, and the places that
  // the guards look at are kept.
  const reading = { surveyed: true, keep: placesOfVolumes }
  return await readingForward(async (forward) => await restoreOnce(argument, device, { ...options, forward }), reading)
}

async function restoreOnce(
  argument: string,
  device: string,
  options: RestoreOptions & Forward,
): Promise<RestoreResult> {
  using opened = await prepared(await openReadableLater(imageArgument(argument, options.partition), options), options)
  await verifyStored(opened, options)
  const files = opened.files
  const { path } = parseImageArgument(argument)
  const platform = platformOf(options)
  const notes: Note[] = []
  const target = findTarget(device, platform)
  const named = (options.registry ?? new Registry()).schemes.locate(path)
  const origin = originOf({ location: opened.top.location, named }, target, notes)
  const blockMap = blockMapOf(opened, options.bmap)
  notes.push(...(blockMap?.map.notes ?? []))
  const outcome = await writeTarget(
    {
      source: opened,
      name: printable(opened.name),
      isPartition: opened.part !== undefined,
      notes: [...opened.notes, ...notes],
      place: placeOf(opened, platform),
      paths: files.map((file) => file.path),
      devices: files.map((file) => deviceNumberText(file.device)),
      reads: (path) => {
        const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
        return stat !== undefined && files.some((file) => file.device === stat.dev && file.inode === stat.ino)
      },
      blockMap,
      arrivesInOrder: opened.top.wrappings.some(({ access }) => access === 'stream'),
      facts: sourceFacts(files, opened.capacity),
      asked: optionFacts({
        from: options.from,
        'from-option': options.fromOptions,
        snapshot: options.snapshot,
        part: opened.part,
        'block map': blockMap?.map.ranges,
      }),
      unchanged: () => opened.assertUnchanged(),
    },
    target,
    options,
    origin?.message,
  )
  return {
    source: { ...sourceInfo(path, opened), sectorSize: opened.sectorSize },
    ...outcome,
    origin,
    notes: [...opened.notes, ...notes, ...outcome.notes],
  }
}

function imageArgument(argument: string, partition: number | undefined): string {
  const { path, partition: selector } = parseImageArgument(argument)
  if (selector !== undefined && partition !== undefined)
    throw usage('E_WHICH_PARTITION', `${argument} names a partition already`, {
      hint: 'Leave out --partition, or what follows the @.',
    })
  if (fs.statSync(path, { throwIfNoEntry: false })?.isBlockDevice() === true)
    throw usage('E_SOURCE_IS_DISK', `${path} is a disk, and no image of one`, {
      hint: 'A disk is copied to another by "vdisk clone".',
    })
  return partition === undefined ? argument : `${argument}@${partition}`
}

/** The disks below all files of an image and its chain. */
function placeOf({ files }: OpenedImage, platform: DiskPlatform): Place {
  const places = files.map(({ path }) => platform.place(path))
  const all = (part: (place: Place) => readonly string[]): string[] => [...new Set(places.flatMap(part))]
  return {
    disks: all(({ disks }) => disks),
    through: all(({ through = [] }) => through),
    elsewhere: all(({ elsewhere }) => elsewhere),
    unknown: all(({ unknown }) => unknown),
  }
}
