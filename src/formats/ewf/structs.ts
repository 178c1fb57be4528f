import { ascii, bytes, guid, struct, u16, u32, u64, u8 } from '../../binary/struct.js'

/** EWF version 1 (.E01, .e01, .s01): little-endian throughout. Names as in libewf's description of the format. */

export const signature1 = 'EVF\x09\x0d\x0a\xff\0'
export const signature2 = 'EVF2\x0d\x0a\x81\0'

export const fileHeader1 = struct('little', 13, {
  signature: bytes(0, 8),
  fieldsStart: u8(8),
  segmentNumber: u16(9),
  fieldsEnd: u16(11),
})

/** Adler-32 of the bytes before it: 72. */
export const sectionHeader1 = struct('little', 76, {
  type: ascii(0, 16),
  nextOffset: u64(16),
  size: u64(24),
  checksum: u32(72, 'hex'),
})

/** Content of `volume`, `disk` and `data` as EnCase writes them; Adler-32 of 1048 bytes. */
export const volume1 = struct('little', 1052, {
  mediaType: u8(0),
  chunkCount: u32(4),
  sectorsPerChunk: u32(8),
  bytesPerSector: u32(12),
  sectorCount: u64(16),
  cylinders: u32(24),
  heads: u32(28),
  sectors: u32(32),
  mediaFlags: u8(36),
  compressionLevel: u8(52),
  errorGranularity: u32(56),
  setIdentifier: guid(64),
  checksum: u32(1048, 'hex'),
})

/** The same of EWF (ASR Data) and SMART: Adler-32 of 90 bytes. */
export const volumeSmart = struct('little', 94, {
  chunkCount: u32(4),
  sectorsPerChunk: u32(8),
  bytesPerSector: u32(12),
  sectorCount: u32(16),
  signature: ascii(85, 5),
  checksum: u32(90, 'hex'),
})

/** Adler-32 of 20 bytes. */
export const tableHeader1 = struct('little', 24, {
  entryCount: u32(0),
  baseOffset: u64(8),
  checksum: u32(20, 'hex'),
})

/** Adler-32 of what is before it: 8 bytes of the old form, 508 of EnCase 3 and later. */
export const errorHeader1 = struct('little', 520, { entryCount: u32(0), checksum: u32(516, 'hex') })

/** EWF version 2 (.Ex01). */
export const fileHeader2 = struct('little', 32, {
  signature: bytes(0, 8),
  major: u8(8),
  minor: u8(9),
  compression: u16(10),
  segmentNumber: u32(12),
  setIdentifier: guid(16),
})

/** Stands behind the data it describes; Adler-32 of 60 bytes. */
export const sectionDescriptor2 = struct('little', 64, {
  type: u32(0),
  flags: u32(4, 'hex'),
  previousOffset: u64(8),
  dataSize: u64(16),
  descriptorSize: u32(24),
  paddingSize: u32(28),
  integrityHash: bytes(32, 16),
  checksum: u32(60, 'hex'),
})

/** Adler-32 of 16 bytes; 12 bytes of padding follow. */
export const tableHeader2 = struct('little', 32, {
  firstChunk: u64(0),
  entryCount: u32(8),
  checksum: u32(16, 'hex'),
})

/** Adler-32 of 16 bytes; 12 bytes of padding follow. */
export const errorHeader2 = struct('little', 32, { entryCount: u32(0), checksum: u32(16, 'hex') })

/** What the sections of version 2 are called in version 1, or would be. */
export const sectionTypes2: ReadonlyMap<number, string> = new Map([
  [1, 'device'],
  [2, 'case'],
  [3, 'sectors'],
  [4, 'table'],
  [5, 'error2'],
  [6, 'session'],
  [8, 'md5'],
  [9, 'sha1'],
  [0xb, 'keys'],
  [0xd, 'next'],
  [0xf, 'done'],
])
