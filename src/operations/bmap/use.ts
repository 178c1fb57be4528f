import { createHash } from 'node:crypto'
import { FileStore } from '../../block/file-store.js'
import { RunMap } from '../../block/run-map.js'
import type { BlockSource } from '../../block/types.js'
import type { Progress } from '../../engine/index.js'
import { corrupt, refused, stopIfAborted, type HostPath } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { HostLocation } from '../../location/file.js'
import { parseBlockMap, type Bmap } from './parse.js'
import { nextTurn } from '../../sys/next-turn.js'

const largestFile = 64 * 1024 * 1024
const pieceLength = 1024 * 1024

/** What of an image is mapped, by the block map that belongs to it. Bytes. */
export interface UsedBlockMap {
  readonly path: string
  readonly map: Bmap
  /** Bytes of the image in all ranges. */
  readonly mapped: number
}

/**
 * The block map of an image: the one that is named, else the one beside the image (`disk.img.gz` has
 * `disk.img.gz.bmap`, `disk.img.bmap` or `disk.bmap`). Only raw images have one.
 * @param given its path; false: none is used. @throws ImageError refused E_BMAP_MISFIT when it is of another image;
 * corrupt E_BMAP; unsupported.
 */
export function blockMapOf(opened: OpenedImage, given: HostPath | false | undefined): UsedBlockMap | undefined {
  if (given === false) return undefined
  const path = given ?? beside(opened)
  if (path === undefined) return undefined
  const map = parseBlockMap(path, contentOf(path))
  const { name, capacity } = opened
  const why =
    opened.part !== undefined
      ? 'is of a whole disk, and a partition is to be restored'
      : opened.top.driver.plain !== true
        ? `is of a raw image, and ${name} is none`
        : map.imageSize !== capacity
          ? `is of an image of ${map.imageSize} bytes, and ${name} has ${capacity}`
          : undefined
  if (why !== undefined)
    throw refused('E_BMAP_MISFIT', `the block map ${path} ${why}`, {
      hint: 'Use --bmap FILE with the right one, or --no-bmap to restore the whole image.',
    })
  return { path, map, mapped: map.ranges.reduce((sum, { length }) => sum + length, 0) }
}

function contentOf(path: HostPath): Uint8Array {
  using store = FileStore.openRead(path)
  if (store.size > largestFile)
    throw corrupt('E_TOO_LARGE', `${store.name} has ${store.size} bytes, more than a block map can have`)
  const bytes = new Uint8Array(store.size)
  store.read(0, bytes)
  return bytes
}

/** The file of the usual name beside a raw image; undefined where there is none. */
function beside(opened: OpenedImage): HostPath | undefined {
  const path = opened.files[0]?.path
  if (path === undefined || opened.part !== undefined || opened.top.driver.plain !== true) return undefined
  const image = new HostLocation(path)
  for (let { name } = image; name !== ''; name = name.replace(/(?:^|(?<=.))\.[^.]*$|^[^.]*$/s, '')) {
    const found = image.sibling(`${name}.bmap`)
    if (found?.kind === 'file') return found.path
  }
  return undefined
}

/**
 * Compares the checksums of all ranges with the image. @throws ImageError corrupt E_BMAP_CHECKSUM with the first range
 * that differs; aborted.
 */
export async function checkRanges(
  { path, map: { ranges, algorithm } }: UsedBlockMap,
  image: Pick<BlockSource, 'read'>,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void },
): Promise<void> {
  if (algorithm === undefined) return
  const piece = new Uint8Array(pieceLength)
  const total = ranges.reduce((sum, { length }) => sum + length, 0)
  let done = 0
  for (const { start, length, checksum } of ranges) {
    if (checksum === undefined) continue
    const hash = createHash(algorithm)
    for (let at = 0; at < length; at += piece.length) {
      const bytes = piece.subarray(0, Math.min(piece.length, length - at))
      image.read(start + at, bytes)
      hash.update(bytes)
      done += bytes.length
      onProgress?.({ phase: 'read', done, total })
      // Signals are taken between two pieces.
      await nextTurn()
      stopIfAborted(signal)
    }
    const found = hash.digest('hex')
    if (found !== checksum)
      throw corrupt(
        'E_BMAP_CHECKSUM',
        `bytes ${start} to ${start + length} of the image have the ${algorithm} checksum ${found}, ${path} says ` +
          `${checksum}: nothing was written`,
        { details: { offset: start, length }, hint: 'The image is damaged, or the block map is of another one.' },
      )
  }
}

/**
 * What of a device is to be written: the ranges, and what is changed of the image besides, in whole sectors.
 * @param changed positions and lengths in bytes. @param end where what is written ends.
 */
export function writtenRuns(
  { map: { ranges } }: UsedBlockMap,
  changed: readonly { readonly position: number; readonly length: number }[],
  { sectorSize, end }: { readonly sectorSize: number; readonly end: number },
): RunMap {
  const runs = [
    ...ranges.map(({ start, length }) => ({ start, end: start + length })),
    ...changed.map(({ position, length }) => ({ start: position, end: position + length })),
  ]
    .map((run) => ({
      start: Math.floor(run.start / sectorSize) * sectorSize,
      end: Math.min(end, Math.ceil(run.end / sectorSize) * sectorSize),
    }))
    .sort((left, right) => left.start - right.start)
  const map = new RunMap()
  let at = 0
  for (const run of runs) {
    const start = Math.max(at, run.start)
    if (run.end > start) map.add(start, run.end - start)
    at = Math.max(at, run.end)
  }
  return map
}

/** What a result says of a block map. */
export interface BlockMapInfo {
  readonly path: string
  readonly version: string
  readonly ranges: number
  /** Bytes. */
  readonly mapped: number
  /** What its checksums are; undefined where it has none. */
  readonly algorithm?: string
}

export function blockMapInfo({ path, map: { version, ranges, algorithm }, mapped }: UsedBlockMap): BlockMapInfo {
  return { path, version, ranges: ranges.length, mapped, algorithm }
}
