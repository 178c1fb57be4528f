import { ceilDivide, isPowerOfTwo, roundUp } from '../../../binary/integers.js'
import { sectorLength } from './structs.js'

const gibibyte = 1024 ** 3

/** The largest dynamic or differencing disk (2040 GiB): beyond it the 32-bit sector numbers of the BAT run out. */
export const maximumDynamicCapacity = 2040 * gibibyte

/** Positions in the BAT are sector numbers; 0xFFFFFFFF stands for "none". */
export const maximumSector = 0xfffffffe

/** 1 January 2000 in seconds since 1970: the zero of a VHD's times. */
const epoch = 946684800

/** Seconds since 1970 as a VHD time; what lies before 2000 becomes 0, what lies after 2136 the last second there is. */
export function vhdTime(seconds: number): number {
  return Math.min(Math.max(Math.floor(seconds) - epoch, 0), 0xffffffff)
}

/** A VHD time as text (ISO 8601, UTC). */
export function timeText(vhdSeconds: number): string {
  return new Date((vhdSeconds + epoch) * 1000).toISOString().replace('.000Z', 'Z')
}

export interface Geometry {
  readonly cylinders: number
  readonly heads: number
  readonly sectorsPerTrack: number
}

/**
 * The largest geometry there is, 127.5 GiB: readers that trust the geometry then take the size from the footer instead.
 */
export const largestGeometry: Geometry = { cylinders: 65535, heads: 16, sectorsPerTrack: 255 }

/** The geometry for a number of sectors; its product is at most that (VHD specification, "CHS Calculation"). */
export function geometryOf(sectors: number): Geometry {
  const total = Math.min(sectors, 65535 * 16 * 255)
  let sectorsPerTrack: number
  let heads: number
  let tracks: number
  if (total >= 65535 * 16 * 63) {
    sectorsPerTrack = 255
    heads = 16
    tracks = Math.floor(total / sectorsPerTrack)
  } else {
    sectorsPerTrack = 17
    tracks = Math.floor(total / sectorsPerTrack)
    heads = Math.max(ceilDivide(tracks, 1024), 4)
    if (tracks >= heads * 1024 || heads > 16) {
      sectorsPerTrack = 31
      heads = 16
      tracks = Math.floor(total / sectorsPerTrack)
    }
    if (tracks >= heads * 1024) {
      sectorsPerTrack = 63
      heads = 16
      tracks = Math.floor(total / sectorsPerTrack)
    }
  }
  return { cylinders: Math.floor(tracks / heads), heads, sectorsPerTrack }
}

/** Bytes that a geometry stands for. */
export function geometryBytes({ cylinders, heads, sectorsPerTrack }: Geometry): number {
  return cylinders * heads * sectorsPerTrack * sectorLength
}

export function isLargestGeometry({ cylinders, heads, sectorsPerTrack }: Geometry): boolean {
  return (
    cylinders === largestGeometry.cylinders &&
    heads === largestGeometry.heads &&
    sectorsPerTrack === largestGeometry.sectorsPerTrack
  )
}

/** Whether readers accept it: a power of two, at least one sector. */
export function isBlockSize(blockSize: number): boolean {
  return blockSize >= sectorLength && isPowerOfTwo(blockSize)
}

/** Bytes of the sector bitmap before each block: one bit a sector, rounded up to whole sectors. */
export function bitmapLength(blockSize: number): number {
  return roundUp(ceilDivide(blockSize / sectorLength, 8), sectorLength)
}

/** Bytes of the BAT in the file: four an entry, rounded up to whole sectors. */
export function tableLength(entries: number): number {
  return roundUp(entries * 4, sectorLength)
}

/** Where a new block may begin so that its data, after the bitmap, begins at a multiple of `alignment`. */
export function blockPosition(free: number, bitmap: number, alignment: number): number {
  return roundUp(free + bitmap, alignment) - bitmap
}
