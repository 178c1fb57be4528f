import { ascii, struct, u16, u32, u64, u8 } from '../../binary/struct.js'

/** The boot sector. */
export const ntfsBootSector = struct('little', 512, {
  name: ascii(3, 8),
  bytesPerSector: u16(11),
  sectorsPerCluster: u8(13),
  reservedSectors: u16(14),
  hiddenSectors: u32(28),
  sectors: u64(40),
  mftCluster: u64(48),
  mirrorCluster: u64(56),
  clustersPerRecord: u8(64),
  clustersPerIndexBlock: u8(68),
  serial: u64(72, 'hex'),
  signature: u16(510),
})

/** The head of a record of the master file table. */
export const fileRecord = struct('little', 48, {
  magic: ascii(0, 4),
  fixupOffset: u16(4),
  fixupCount: u16(6),
  sequence: u16(16),
  links: u16(18),
  firstAttribute: u16(20),
  flags: u16(22),
  bytesInUse: u32(24),
  baseRecord: u64(32),
})

/** The head of every attribute, and what follows for those inside the record and those outside. */
export const attributeHead = struct('little', 16, {
  type: u32(0),
  length: u32(4),
  nonResident: u8(8),
  nameLength: u8(9),
  nameOffset: u16(10),
  flags: u16(12),
  id: u16(14),
})
export const residentHead = struct('little', 24, { valueLength: u32(16), valueOffset: u16(20) })
export const nonResidentHead = struct('little', 64, {
  startVcn: u64(16),
  endVcn: u64(24),
  runsOffset: u16(32),
  compressionUnit: u16(34),
  allocatedSize: u64(40),
  realSize: u64(48),
  initializedSize: u64(56),
})

/** An entry of $ATTRIBUTE_LIST: where an attribute lies when a file has more than one record. */
export const attributeListEntry = struct('little', 26, {
  type: u32(0),
  length: u16(4),
  nameLength: u8(6),
  nameOffset: u8(7),
  startVcn: u64(8),
  record: u64(16),
  id: u16(24),
})

export const standardInformation = struct('little', 36, {
  created: u64(0),
  modified: u64(8),
  accessed: u64(24),
  attributes: u32(32, 'hex'),
})
/** $FILE_NAME, up to the name's characters. */
export const fileName = struct('little', 66, { parent: u64(0), nameLength: u8(64), namespace: u8(65) })
export const volumeInformation = struct('little', 12, { major: u8(8), minor: u8(9), flags: u16(10) })

/** $INDEX_ROOT with the head of its node. */
export const indexRoot = struct('little', 32, {
  attributeType: u32(0),
  blockSize: u32(8),
  entriesOffset: u32(16),
  entriesLength: u32(20),
})
/** A block of $INDEX_ALLOCATION with the head of its node, which begins at byte 24. */
export const indexBlock = struct('little', 40, {
  magic: ascii(0, 4),
  fixupOffset: u16(4),
  fixupCount: u16(6),
  vcn: u64(16),
  entriesOffset: u32(24),
  entriesLength: u32(28),
})
export const indexEntry = struct('little', 16, { record: u64(0), length: u16(8), keyLength: u16(10), flags: u16(12) })

/** The head of a reparse point, and of the two kinds that link to another path. */
export const reparseHead = struct('little', 8, { tag: u32(0, 'hex'), length: u16(4) })
export const junction = struct('little', 16, {
  substituteOffset: u16(8),
  substituteLength: u16(10),
  printOffset: u16(12),
  printLength: u16(14),
})
export const symbolicLink = struct('little', 20, {
  substituteOffset: u16(8),
  substituteLength: u16(10),
  printOffset: u16(12),
  printLength: u16(14),
  flags: u32(16),
})

/** A restart page of $LogFile, and its restart area. */
export const restartPage = struct('little', 30, { magic: ascii(0, 4), areaOffset: u16(24) })
export const restartArea = struct('little', 16, { lsn: u64(0), clientsInUse: u16(12), flags: u16(14) })
