import { ascii, offset64, struct, u16, u32, u64, u8 } from '../../binary/struct.js'

/** ECMA-167, 3/7.2: what every descriptor begins with. */
export const descriptorTag = struct('little', 16, {
  id: u16(0),
  checksum: u16(8),
  checksumLength: u16(10),
  block: u32(12),
})
/** 3/10.6: where files begin, and the partitions' maps. */
export const logicalVolume = struct('little', 446, {
  blockSize: u32(212),
  fileSetLength: u32(248),
  fileSet: u32(252),
  maps: u32(268),
  mapType: u8(440),
})
/** Where the maps of partitions stand in it. */
export const firstMap = 440
/** What every map of a partition begins with. */
export const mapHead = struct('little', 2, { type: u8(0), length: u8(1) })
/** A map that is not the plain one, with its name (UDF 2.60, 2.2.8 to 2.2.10). */
export const namedMap = struct('little', 28, { name: ascii(5, 23) })
/** 4/14.1. */
export const fileSet = struct('little', 416, { rootBlock: u32(404) })
/** What the two kinds of file entries share; from `unique` on, the extended one has everything further on. */
const entryFields = (unique: number) => ({
  type: u8(27),
  flags: u16(34),
  owner: u32(36),
  group: u32(40),
  permissions: u32(44),
  links: u16(48),
  size: offset64(56, 'the size of a file'),
  unique: u64(unique),
  attributesLength: u32(unique + 8),
  extentsLength: u32(unique + 12),
})
/** 4/14.9. */
export const fileEntry = struct('little', 176, entryFields(160))
export const fileTimes = { accessed: 72, modified: 84 }
/** 4/14.17. */
export const extendedFileEntry = struct('little', 216, entryFields(200))
export const extendedTimes = { accessed: 80, modified: 92 }
/** 4/14.4: a name; what follows is described by its lengths. */
export const fileIdentifier = struct('little', 38, {
  flags: u8(18),
  nameLength: u8(19),
  block: u32(24),
  useLength: u16(36),
})
/** 4/14.5: a block of further extents. */
export const furtherExtents = struct('little', 24, { length: u32(20) })
export const tags = { fileSet: 256, identifier: 257, furtherExtents: 258, file: 261, extendedFile: 266 }
