import type { Note } from '../../block/types.js'
import { isImageError, printable, refused, type HostPath } from '../../errors.js'
import { openFile } from '../../formats/open.js'
import type { ImageFile, OpenedImage } from '../../formats/opened.js'
import { findPoint, imagesOf, isInSet, parsePoint, type SetImage } from '../../location/backup-set.js'
import { fileId, type Location } from '../../location/location.js'
import fs from '../../sys/host-fs.js'
import { folderPart, lastPart, realPath } from '../../sys/host-path.js'
import { readImageRecord, type ImageRecord } from '../imaging/record.js'

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
        problem: opened.missing?.message ?? replaced(image, parent, images) ?? unlike(image, opened),
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
  const name = isPoint ? recordOf(path)?.parent?.name : undefined
  const recorded = images.find((each) => name !== undefined && lastPart(each.path) === name)
  if (recorded === undefined || recorded.path === parent) return undefined
  const now = parent === undefined ? 'none' : printable(lastPart(parent))
  return `another file is in its place: by its record it needs ${printable(name ?? '')}, and it needs ${now}`
}

/** Why an image cannot be the one that its record is of: that names another, or a disk of another size. */
function unlike({ path, isPoint }: SetImage, { capacity }: Pick<OpenedImage, 'capacity'>): string | undefined {
  const then = isPoint ? recordOf(path)?.image : undefined
  if (then === undefined) return undefined
  // Images of a set keep their names; who copied one record over another left what it says.
  if (then.name !== lastPart(path)) return `the record beside it is that of another image, ${printable(then.name)}`
  if (then.capacity === capacity) return undefined
  return `it is not what its record is of: its disk has ${capacity} bytes, and had ${then.capacity}`
}

/** Records that cannot be understood are reported by `recordsOf`. */
function recordOf(path: HostPath): ImageRecord | undefined {
  try {
    return readImageRecord(path)
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

/**
 * That a point of a set, which is opened, is what its records are of: neither it nor an image that it needs is another
 * file in the place of one. @param address `SET@latest` and the like. @throws ImageError refused E_SET_DAMAGED
 */
export function assertPoint(address: string, opened: OpenedImage): void {
  const point = parsePoint(address)
  if (point === undefined) return
  const problem = problemIn(point.folder, opened)
  if (problem === undefined) return
  const { path } = findPoint(point)
  throw refused('E_SET_DAMAGED', `${printable(address)} is not what it was: ${problem}`, {
    hint: `Put back what was there. To read what is there nevertheless, name the file: ${printable(path)}`,
  })
}

/** The folder of the set that a file is an image of, whatever leads to it. */
export function setOf({ path }: Pick<Location, 'path'>): HostPath | undefined {
  const real = path === undefined ? undefined : realPath(path)
  return real !== undefined && isInSet(real) ? folderPart(real) : undefined
}

/** The same of an image of a set that is read by its path, as a warning: that is how what is there can be read. */
export function setDamageNotes(folder: HostPath, opened: OpenedImage): Note[] {
  const problem = problemIn(folder, opened)
  if (problem === undefined) return []
  const message = `${printable(opened.name)} is not what its backup set has a record of: ${problem}`
  return [{ code: 'W_SET_DAMAGED', message }]
}

/** What is wrong with the first of the images that are opened, from the top on, that is not what its record is of. */
function problemIn(folder: HostPath, { layers }: OpenedImage): string | undefined {
  const images = imagesOf(folder)
  const byFile = new Map(images.map((image) => [fileId(inodeOf(image.path)), image]))
  const chain = layers.map(({ files: [file] }) => (file === undefined ? undefined : byFile.get(fileId(file))))
  for (const [index, image] of chain.entries()) {
    const capacity = layers[index]?.image.capacity ?? 0
    const problem =
      image === undefined ? undefined : (replaced(image, chain[index + 1]?.path, images) ?? unlike(image, { capacity }))
    if (image !== undefined && problem !== undefined)
      return `${index === 0 ? '' : `it needs ${image.time}: `}${problem}`
  }
  return undefined
}
