import { ascii, bytes, offset64, struct, u16, u32 } from '../../binary/struct.js'

/** Structures of a full flash update (Microsoft, "FFU image format"), packed. */

export const securityMark = 'SignedImage '
export const securityHeader = struct('little', 32, {
  headerSize: u32(0),
  signature: ascii(4, 12),
  chunkSizeInKilobytes: u32(16),
  hashAlgorithm: u32(20, 'hex'),
  catalogSize: u32(24),
  hashTableSize: u32(28),
})
/** Windows' ids of hash algorithms (ALG_ID). */
export const hashAlgorithms: Readonly<Record<number, { readonly name: string; readonly length: number }>> = {
  0x8004: { name: 'sha1', length: 20 },
  0x800c: { name: 'sha256', length: 32 },
}

export const imageMark = 'ImageFlash  '
export const imageHeader = struct('little', 24, {
  headerSize: u32(0),
  signature: ascii(4, 12),
  manifestLength: u32(16),
  chunkSizeInKilobytes: u32(20),
})

export const storeHeader = struct('little', 248, {
  updateType: u32(0),
  majorVersion: u16(4),
  minorVersion: u16(6),
  fullFlashMajorVersion: u16(8),
  fullFlashMinorVersion: u16(10),
  platformIds: bytes(12, 192),
  blockSize: u32(204),
  writeDescriptorCount: u32(208),
  writeDescriptorLength: u32(212),
  validateDescriptorCount: u32(216),
  validateDescriptorLength: u32(220),
  initialTableIndex: u32(224),
  initialTableCount: u32(228),
  flashOnlyTableIndex: u32(232),
  flashOnlyTableCount: u32(236),
  finalTableIndex: u32(240),
  finalTableCount: u32(244),
})
/** What follows it in version 2; then the device path, in UTF-16. */
export const storeHeaderRest = struct('little', 14, {
  stores: u16(0),
  storeIndex: u16(2),
  payloadSize: offset64(4, 'the size of the payload'),
  devicePathLength: u16(12),
})

/** Where a block is counted from. */
export const accessMethod = { begin: 0, end: 2 } as const
