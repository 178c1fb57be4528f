import { ascii, bytes, struct, u16, u32, u8 } from '../../binary/struct.js'

/**
 * The BIOS parameter block, as far as FAT12, FAT16 and FAT32 share it (Microsoft FAT specification 1.03, "Boot Sector
 * and BPB").
 */
export const fatBootSector = struct('little', 512, {
  jump: bytes(0, 3),
  oemName: ascii(3, 8),
  bytesPerSector: u16(11),
  sectorsPerCluster: u8(13),
  reservedSectors: u16(14),
  fats: u8(16),
  rootEntries: u16(17),
  sectors16: u16(19),
  media: u8(21),
  fatSectors16: u16(22),
  hiddenSectors: u32(28),
  sectors32: u32(32),
  signature: u16(510),
})

/** What follows for FAT12 and FAT16. */
export const fat16Extension = struct('little', 512, {
  state: u8(37),
  bootSignature: u8(38),
  serial: u32(39),
  label: bytes(43, 11),
  type: ascii(54, 8),
})

/** What follows for FAT32. */
export const fat32Extension = struct('little', 512, {
  fatSectors: u32(36),
  mirroring: u16(40),
  rootCluster: u32(44),
  infoSector: u16(48),
  backupBootSector: u16(50),
  state: u8(65),
  bootSignature: u8(66),
  serial: u32(67),
  label: bytes(71, 11),
  type: ascii(82, 8),
})

/** The FSInfo sector of FAT32. */
export const fatInfoSector = struct('little', 512, {
  leadSignature: u32(0),
  structSignature: u32(484),
  freeClusters: u32(488),
})

export const infoMarks = { lead: 0x41615252, struct: 0x61417272 } as const

/** A short entry of a folder. */
export const fatEntryStruct = struct('little', 32, {
  name: bytes(0, 11),
  attributes: u8(11),
  caseFlags: u8(12),
  createdHundredths: u8(13),
  createdTime: u16(14),
  createdDate: u16(16),
  accessedDate: u16(18),
  clusterHigh: u16(20),
  modifiedTime: u16(22),
  modifiedDate: u16(24),
  clusterLow: u16(26),
  size: u32(28),
})
