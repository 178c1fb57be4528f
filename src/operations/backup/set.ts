import { isImageError, printable, refused, type HostPath } from '../../errors.js'
import { openFile } from '../../formats/open.js'
import type { ImageFile } from '../../formats/opened.js'
import { imagesOf, noSet, isBackupSet, type SetImage } from '../../location/backup-set.js'
import { HeldFolder } from '../../location/folder.js'
import { fileId } from '../../location/location.js'
import { isPartialName } from '../../location/partial.js'
import fs from '../../sys/host-fs.js'
import { inFolder, lastPart, realPath } from '../../sys/host-path.js'
import type { Disk, DiskPlatform } from '../../device/types.js'
import { findDevice } from '../device/argument.js'
import { areKnown, identityDifferences, recordedSource } from '../device/origin.js'
import { blocksPath } from '../imaging/blocks-file.js'
import { imageRecordPath, readImageRecord, type ImageRecord, type RecordedSource } from '../imaging/record.js'
import { salvageMapPath } from '../imaging/salvage-map.js'

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

/** An image of a set and the image that it needs, as the images themselves have it. */
export interface LinkedPoint extends SetImage {
  /** The file that it begins in, and the id that children know it by; absent where it cannot be opened. */
  readonly file?: ImageFile
  readonly identity?: string
  /** The parent's path, where it is an image of the set. */
  readonly parent: HostPath | undefined
  readonly capacity: number
  /** Why its chain cannot be read. */
  readonly problem?: string
}

/** How images of a set hang together: each is opened with all that it needs. */
export function linksOf(images: readonly SetImage[]): readonly LinkedPoint[] {
  const byFile = new Map(images.map(({ path }) => [fileId(inodeOf(path)), path]))
  const links = images.map((image): LinkedPoint => {
    try {
      using opened = openFile(image.path, { chain: 'optional' })
      const [, below] = opened.layers
      const [file] = below?.files ?? []
      const parent = file === undefined ? undefined : byFile.get(fileId(file))
      return {
        ...image,
        file: opened.top.files[0],
        identity: opened.top.image.identity,
        parent,
        capacity: opened.capacity,
        problem: opened.missing?.message ?? replaced(image, parent, images),
      }
    } catch (error) {
      if (!isImageError(error)) throw error
      return { ...image, parent: undefined, capacity: 0, problem: error.message }
    }
  })
  const byPath = new Map(links.map((link) => [link.path, link]))
  return links.map((link) => ({ ...link, problem: problemOf(link, byPath) }))
}

/** What is wrong with an image, or with one that it needs. */
function problemOf(link: LinkedPoint, links: ReadonlyMap<HostPath, LinkedPoint>): string | undefined {
  const parent = links.get(link.parent ?? '')
  if (link.problem !== undefined || parent === undefined) return link.problem
  const problem = problemOf(parent, links)
  return problem === undefined || problem.startsWith('it needs ') ? problem : `it needs ${parent.time}: ${problem}`
}

/**
 * Why an image is not the one that its record is of: it does not read through the parent that the record names, though
 * that is there. A prune takes a parent away before any record names another.
 */
function replaced(
  { path, isPoint }: SetImage,
  parent: HostPath | undefined,
  images: readonly SetImage[],
): string | undefined {
  const name = isPoint ? recordedParent(path) : undefined
  const recorded = images.find((each) => name !== undefined && lastPart(each.path) === name)
  if (recorded === undefined || recorded.path === parent) return undefined
  const now = parent === undefined ? 'none' : printable(lastPart(parent))
  return `another file is in its place: by its record it needs ${printable(name ?? '')}, and it needs ${now}`
}

/** Records that cannot be understood are reported by `recordsOf`. */
function recordedParent(path: HostPath): string | undefined {
  try {
    return readImageRecord(path)?.parent?.name
  } catch (error) {
    if (!isImageError(error)) throw error
    return undefined
  }
}

/** What the system knows a file by. */
function inodeOf(path: HostPath): Pick<ImageFile, 'device' | 'inode'> {
  const { dev, ino } = fs.statSync(path, { bigint: true })
  return { device: dev, inode: ino }
}

/** Bytes of the files of all images of a set. */
export function imagesSize(folder: HostPath): number {
  return imagesOf(folder).reduce((sum, { path }) => sum + fs.statSync(path).size, 0)
}

/** The files that lie beside an image, and belong to it. */
export function companionsOf(path: HostPath): readonly HostPath[] {
  return [imageRecordPath(path), blocksPath(path), salvageMapPath(path)]
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
