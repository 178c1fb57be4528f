import { ascii, offset64, struct, u32, u64 } from '../../binary/struct.js'

export const magic = 'sprs'
export const sectorLength = 512
/** A header or index node; the bands of its slots follow it. */
export const nodeLength = 4096

/** The first node of an Apple sparse image, big-endian (as apfs-fuse and mac_apt read it; Apple has no description). */
export const header = struct('big', 64, {
  signature: ascii(0, 4),
  version: u32(4),
  sectorsPerBand: u32(8),
  flags: u32(12, 'hex'),
  totalSectorsLow: u32(16),
  nextNode: offset64(20, 'next node'),
  totalSectors: u64(28),
})

/** The nodes behind the first. */
export const indexNode = struct('big', 56, {
  signature: ascii(0, 4),
  number: u32(4),
  flags: u32(8, 'hex'),
  nextNode: offset64(12, 'next node'),
})
