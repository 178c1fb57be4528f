import { ascii, offset64, struct, u32, u64, type StructValues } from '../../binary/struct.js'

/** Positions in the table are sectors; only 32 bits of the size count. */
export const oldMagic = 'WithoutFreeSpace'
/** Positions in the table are clusters. */
export const newMagic = 'WithouFreSpacExt'
/** The file that lists those of a bundle, and its root element. */
export const descriptorName = 'DiskDescriptor.xml'
export const rootName = 'Parallels_disk_image'
export const inUse = 0x746f6e59
export const sectorLength = 512

/** The header, little-endian (QEMU, docs/interop/parallels.txt). */
export const header = struct('little', 64, {
  magic: ascii(0, 16),
  version: u32(16),
  heads: u32(20),
  cylinders: u32(24),
  tracks: u32(28),
  batEntries: u32(32),
  sectors: u64(36),
  inUse: u32(44, 'hex'),
  dataOffset: u32(48),
  flags: u32(52, 'hex'),
  extensionOffset: offset64(56, 'extension offset'),
})
export type HeaderValues = StructValues<typeof header>

/** Format extension cluster. */
export const extensionMagic = 0xab234cef23dcea87n
export const extensionHeader = struct('little', 24, { magic: u64(0, 'hex') })
export const featureHeader = struct('little', 24, { magic: u64(0, 'hex'), flags: u64(8, 'hex'), dataSize: u32(16) })
export const dirtyBitmap = 0x20385fae252cb34an
