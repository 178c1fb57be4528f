import { struct, u16, u32 } from '../../binary/struct.js'

export const magic = 0xed26ff3a

/** File header, little-endian (AOSP, libsparse/sparse_format.h). */
export const header = struct('little', 28, {
  magic: u32(0, 'hex'),
  majorVersion: u16(4),
  minorVersion: u16(6),
  headerSize: u16(8),
  chunkHeaderSize: u16(10),
  blockSize: u32(12),
  totalBlocks: u32(16),
  totalChunks: u32(20),
  imageChecksum: u32(24, 'hex'),
})

export const chunkHeader = struct('little', 12, { type: u16(0), blocks: u32(4), totalSize: u32(8) })

export const chunkType = { raw: 0xcac1, fill: 0xcac2, dontCare: 0xcac3, crc32: 0xcac4 } as const
