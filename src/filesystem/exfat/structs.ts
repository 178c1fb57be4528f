import { ascii, bytes, struct, u16, u32, u64, u8 } from '../../binary/struct.js'

/** The main boot sector (Microsoft exFAT specification, section 3.1). */
export const exfatBootSector = struct('little', 512, {
  jump: bytes(0, 3),
  name: ascii(3, 8),
  partitionOffset: u64(64),
  sectors: u64(72),
  fatOffset: u32(80),
  fatLength: u32(84),
  heapOffset: u32(88),
  clusters: u32(92),
  rootCluster: u32(96),
  serial: u32(100),
  minorRevision: u8(104),
  majorRevision: u8(105),
  volumeFlags: u16(106),
  sectorShift: u8(108),
  clusterShift: u8(109),
  fats: u8(110),
  percentInUse: u8(112),
  signature: u16(510),
})

/** Folder entries (section 7). */
export const exfatBitmapEntry = struct('little', 32, { type: u8(0), flags: u8(1), cluster: u32(20), length: u64(24) })
export const exfatLabelEntry = struct('little', 32, { type: u8(0), characters: u8(1) })
export const exfatFileEntry = struct('little', 32, {
  type: u8(0),
  secondaries: u8(1),
  checksum: u16(2),
  attributes: u16(4),
  created: u32(8),
  modified: u32(12),
  accessed: u32(16),
  createdHundredths: u8(20),
  modifiedHundredths: u8(21),
  createdZone: u8(22),
  modifiedZone: u8(23),
  accessedZone: u8(24),
})
export const exfatStreamEntry = struct('little', 32, {
  type: u8(0),
  flags: u8(1),
  nameLength: u8(3),
  nameHash: u16(4),
  validLength: u64(8),
  cluster: u32(20),
  length: u64(24),
})
