import { ascii, offset64, struct, u32 } from '../../binary/struct.js'

export const magic = 'Bochs Virtual HD Image'
export const version1 = 0x00010000
export const version2 = 0x00020000
/** Catalog entry of an extent that is not in the file. */
export const noExtent = 0xffffffff

const common = {
  magic: ascii(0, 32),
  type: ascii(32, 16),
  subtype: ascii(48, 16),
  version: u32(64, 'hex'),
  headerSize: u32(68),
  catalogEntries: u32(72),
  bitmapSize: u32(76),
  extentSize: u32(80),
}

/** The header, little-endian (Bochs, iodev/hdimage/hdimage.h); version 2 has a time before the size. */
export const header1 = struct('little', 92, { ...common, diskSize: offset64(84, 'disk size') })
export const header2 = struct('little', 96, { ...common, timestamp: u32(84), diskSize: offset64(88, 'disk size') })
