import { ascii, bytes, struct, u32, u64, type StructValues } from '../../binary/struct.js'

export const sectorLength = 512

/** The trailer "koly" at the end of the file, big-endian. */
export const trailer = struct('big', 512, {
  signature: ascii(0, 4),
  version: u32(4),
  headerSize: u32(8),
  flags: u32(12, 'hex'),
  runningDataForkOffset: u64(16),
  dataForkOffset: u64(24),
  dataForkLength: u64(32),
  resourceForkOffset: u64(40),
  resourceForkLength: u64(48),
  segmentNumber: u32(56),
  segmentCount: u32(60),
  segmentId: bytes(64, 16),
  dataChecksumType: u32(80),
  dataChecksumBits: u32(84),
  dataChecksum: u32(88, 'hex'),
  plistOffset: u64(216),
  plistLength: u64(224),
  masterChecksumType: u32(352),
  masterChecksumBits: u32(356),
  masterChecksum: u32(360, 'hex'),
  imageVariant: u32(488),
  sectorCount: u64(492),
})
export type TrailerValues = StructValues<typeof trailer>

/** The table of a part of the disk, "mish"; entries follow it. */
export const tableHeader = struct('big', 204, {
  signature: ascii(0, 4),
  version: u32(4),
  firstSector: u64(8),
  sectorCount: u64(16),
  dataOffset: u64(24),
  checksumType: u32(64),
  checksumBits: u32(68),
  checksum: u32(72, 'hex'),
  chunkCount: u32(200),
})

export const chunkEntry = struct('big', 40, {
  type: u32(0, 'hex'),
  firstSector: u64(8),
  sectorCount: u64(16),
  offset: u64(24),
  length: u64(32),
})

export const chunkType = {
  zero: 0,
  raw: 1,
  ignore: 2,
  comment: 0x7ffffffe,
  adc: 0x80000004,
  zlib: 0x80000005,
  bzip2: 0x80000006,
  lzfse: 0x80000007,
  lzma: 0x80000008,
  end: 0xffffffff,
} as const

/** The codec (src/codec) of each type that is compressed. */
export const codecOf: ReadonlyMap<number, string> = new Map([
  [chunkType.adc, 'adc'],
  [chunkType.zlib, 'zlib'],
  [chunkType.bzip2, 'bzip2-unit'],
  [chunkType.lzfse, 'lzfse'],
  [chunkType.lzma, 'xz-unit'],
])

/** The only type of checksum that is compared: CRC-32. */
export const checksumCrc32 = 2
