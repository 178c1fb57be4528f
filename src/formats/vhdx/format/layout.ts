import { ceilDivide, isPowerOfTwo, roundUp } from '../../../binary/integers.js'
import { maximumCapacity, mebibyte } from './structs.js'

/** Sectors that one sector bitmap block of 1 MiB covers: one chunk (MS-VHDX 2.5). */
export const sectorsPerChunk = 2 ** 23

/** The numbers that follow from a disk's size, block size and sector size (2.5). Lengths are bytes. */
export interface Geometry {
  readonly capacity: number
  readonly blockSize: number
  readonly sectorSize: 512 | 4096
  readonly differencing: boolean
  /** Payload blocks that share one sector bitmap block. */
  readonly chunkRatio: number
  readonly sectorsPerBlock: number
  readonly payloadBlocks: number
  readonly chunks: number
  /** Entries of the block allocation table, sector bitmap entries included. */
  readonly tableEntries: number
}

export function geometryOf(
  capacity: number,
  blockSize: number,
  sectorSize: 512 | 4096,
  differencing: boolean,
): Geometry {
  const chunkRatio = (sectorsPerChunk * sectorSize) / blockSize
  const payloadBlocks = ceilDivide(capacity, blockSize)
  const chunks = ceilDivide(payloadBlocks, chunkRatio)
  const tableEntries = differencing
    ? chunks * (chunkRatio + 1)
    : payloadBlocks === 0
      ? 0
      : payloadBlocks + Math.floor((payloadBlocks - 1) / chunkRatio)
  return {
    capacity,
    blockSize,
    sectorSize,
    differencing,
    chunkRatio,
    sectorsPerBlock: blockSize / sectorSize,
    payloadBlocks,
    chunks,
    tableEntries,
  }
}

/** The index in the block allocation table of payload block `block`. */
export function payloadIndex(geometry: Geometry, block: number): number {
  return block + Math.floor(block / geometry.chunkRatio)
}

/** The index in the block allocation table of the sector bitmap of chunk `chunk`. */
export function bitmapIndex(geometry: Geometry, chunk: number): number {
  return chunk * (geometry.chunkRatio + 1) + geometry.chunkRatio
}

/** Bytes of the BAT region: whole MiB, at least one. */
export function batLength(geometry: Geometry): number {
  return Math.max(mebibyte, roundUp(geometry.tableEntries * 8, mebibyte))
}

/** Block sizes of the specification: powers of two from 1 to 256 MiB (2.6.2.1). */
export function isBlockSize(value: number): boolean {
  return isPowerOfTwo(value) && value >= mebibyte && value <= 256 * mebibyte
}

/**
 * The block size for a new disk. A child: 2 MiB, as Windows makes them, so that small changes stay small. Else by
 * capacity as QEMU does,
 * reaching the 32 MiB of Windows where Windows disks usually are: small blocks keep small files small, large ones keep
 * the table small.
 */
export function defaultBlockSize(capacity: number, differencing: boolean): number {
  if (differencing) return 2 * mebibyte
  if (capacity > maximumCapacity / 2) return 64 * mebibyte
  if (capacity > 100 * 2 ** 30) return 32 * mebibyte
  if (capacity > 2 ** 30) return 16 * mebibyte
  let size = mebibyte
  while (size < capacity && size < 8 * mebibyte) size *= 2
  return size
}
