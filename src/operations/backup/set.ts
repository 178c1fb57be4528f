import { isImageError, printable, refused, type HostPath } from '../../errors.js'
import { imagesOf, noSet, isBackupSet, type SetImage } from '../../location/backup-set.js'
import { HeldFolder } from '../../location/folder.js'
import { isPartialName } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { inFolder, lastPart, realPath } from '../../sys/host-path.js'
import type { Disk, DiskPlatform } from '../../device/types.js'
import { findDevice } from '../device/argument.js'
import { areKnown, identityDifferences, recordedSource } from '../device/origin.js'
import { readImageRecord, type ImageRecord, type RecordedSource } from '../imaging/record.js'

/** The real path of a set's folder. @throws ImageError usage E_NO_SET */
export function setFolder(given: string): HostPath {
  const folder = realPath(given)
  if (folder === undefined || !isBackupSet(folder)) throw noSet(given)
  return folder
}

/** A point of a set: the image, and what its record says. */
export interface Point extends SetImage {
  readonly record: ImageRecord
}

/** A point whose record cannot be understood. */
export interface DamagedPoint extends SetImage {
  readonly problem: string
}

/** Which images of a set are points, by their records, in the same order. */
export function recordsOf<Image extends SetImage>(
  images: readonly Image[],
): {
  readonly points: readonly (Image & Point)[]
  readonly damaged: readonly (Image & DamagedPoint)[]
} {
  const points: (Image & Point)[] = []
  const damaged: (Image & DamagedPoint)[] = []
  for (const image of images) {
    if (!image.isPoint) continue
    try {
      const record = readImageRecord(image.path)
      if (record !== undefined) points.push({ ...image, record })
    } catch (error) {
      if (!isImageError(error)) throw error
      damaged.push({ ...image, problem: error.message })
    }
  }
  return { points, damaged }
}

/** Bytes of the files of all images of a set. */
export function imagesSize(folder: HostPath): number {
  return imagesOf(folder).reduce((sum, { path }) => sum + fs.statSync(path).size, 0)
}

/** Names that were given or taken in a set's folder outlive a power cut. */
export function flushFolder(folder: HostPath): void {
  using held = new HeldFolder(folder)
  held.flush()
}

/** Removes what runs that were killed left in a set; for who has its lock. */
export function removeLeftovers(folder: HostPath): void {
  for (const name of fs.readdirSync(folder)) if (isPartialName(name)) fs.removeFileSync(inFolder(folder, name))
}

/** For people: `2026-11-30T041500Z.qcow2`. */
export const shownName = (path: HostPath): string => printable(lastPart(path))

/**
 * The path of the disk or partition that a set is of, by what it is known by; where nothing is, by the path it had.
 * @throws ImageError refused E_OTHER_DISK, unless allowed
 */
export function findSource(
  source: RecordedSource,
  given: string | undefined,
  platform: DiskPlatform,
  allowOtherDisk = false,
): string {
  const path = given ?? foundAgain(source, platform) ?? source.path
  const now = recordedSource(findDevice(path, platform))
  const differences = identityDifferences(source, now)
  if (differences.length === 0 || allowOtherDisk) return path
  throw refused(
    'E_OTHER_DISK',
    `${printable(path)} is not the ${source.kind} that the backup set is of: ${differences.join('; ')}`,
    {
      hint:
        'Connect the disk that is meant, or make another set of this one. If it is the same disk with a new table or ' +
        'a new adapter, --allow-other-disk goes on.',
    },
  )
}

function foundAgain(source: RecordedSource, platform: DiskPlatform): string | undefined {
  for (const disk of platform.list()) {
    for (const path of pathsOf(disk, source)) {
      try {
        const now = recordedSource(findDevice(path, platform))
        if (areKnown(source, now) && identityDifferences(source, now).length === 0) return path
      } catch (error) {
        // Not for our eyes, or gone meanwhile.
        if (!isImageError(error)) throw error
      }
    }
  }
  return undefined
}

function pathsOf(disk: Disk, { kind, size }: RecordedSource): string[] {
  if (disk.size === 0) return []
  if (kind === 'disk') return [disk.path]
  return disk.size === size ? disk.partitions.map(({ path }) => path) : []
}
