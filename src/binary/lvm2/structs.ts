import { crc32 } from '../checksum.js'
import { ascii, struct, u32, u64 } from '../struct.js'

/** LVM2, lib/format_text/layout.h and lib/label/label.h. */
export const label = struct('little', 32, {
  mark: ascii(0, 8),
  sector: u64(8),
  checksum: u32(16, 'hex'),
  offset: u32(20),
  type: ascii(24, 8),
})
export const physicalVolume = struct('little', 40, { uuid: ascii(0, 32), size: u64(32) })
export const location = struct('little', 16, { offset: u64(0), size: u64(8) })
/** struct mda_header, and the first place of a text in it. */
export const metadataArea = struct('little', 64, {
  checksum: u32(0, 'hex'),
  magic: ascii(4, 16),
  start: u64(24),
  size: u64(32),
  textOffset: u64(40),
  textSize: u64(48),
  textChecksum: u32(56, 'hex'),
  textFlags: u32(60),
})
/** The header is a sector; texts go round in what follows it. */
export const areaHeaderSize = 512
export const metadataMagic = ' LVM2 x[5A%r0N*>'

const seed = 0xf597a6cf

/** LVM's CRC-32 begins with a number of its own, and is not inverted at the end. */
export function lvmChecksum(bytes: Uint8Array): number {
  return 0xffffffff - crc32(bytes, 0xffffffff - seed)
}
