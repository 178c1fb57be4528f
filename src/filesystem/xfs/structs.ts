import { ascii, bytes, offset64, struct, u16, u32, u64, u8, uuid } from '../../binary/struct.js'

/** XFS Algorithms & Data Structures, "Superblocks". */
export const xfsSuperblock = struct('big', 264, {
  magic: ascii(0, 4),
  blockSize: u32(4),
  blocks: u64(8),
  realtimeBlocks: u64(16),
  uuid: uuid(32),
  logStart: u64(48),
  rootInode: u64(56),
  groupBlocks: u32(84),
  groups: u32(88),
  logBlocks: u32(96),
  version: u16(100),
  sectorSize: u16(102),
  inodeSize: u16(104),
  label: bytes(108, 12),
  logBlockSize: u8(120),
  logInodesPerBlock: u8(123),
  logGroupBlocks: u8(124),
  inProgress: u8(126),
  freeBlocks: u64(144),
  logFolderBlocks: u8(192),
  moreFeatures: u32(200, 'hex'),
  compatible: u32(208, 'hex'),
  readOnlyCompatible: u32(212, 'hex'),
  incompatible: u32(216, 'hex'),
  logIncompatible: u32(220, 'hex'),
  checksum: u32(224, 'hex'),
})
/** "AG Free Space Block". */
export const groupFreeSpace = struct('big', 64, {
  magic: ascii(0, 4),
  sequence: u32(8),
  length: u32(12),
  root: u32(16),
  levels: u32(28),
  freeBlocks: u32(52),
})
/** The head of a node of a tree within a group; version 5 has more, and a checksum. */
export const treeNode = struct('big', 16, { magic: ascii(0, 4), level: u16(4), records: u16(6) })
export const treeNodeSize = { 4: 16, 5: 56 }
export const treeNodeChecksum = 52
/** "Journaling Log": the head of a record. */
export const logRecord = struct('big', 324, {
  magic: u32(0, 'hex'),
  cycle: u32(4),
  version: u32(8),
  length: u32(12),
  operations: u32(40),
  size: u32(320),
})
export const logRecordMagic = 0xfeedbabe

/** "On-disk Inode": what versions 1 to 3 have in common. */
export const inodeCore = struct('big', 100, {
  magic: ascii(0, 2),
  mode: u16(2),
  version: u8(4),
  format: u8(5),
  oldLinks: u16(6),
  owner: u32(8),
  group: u32(12),
  links: u32(16),
  manyExtents: u64(24),
  accessed: u64(32, 'hex'),
  modified: u64(40, 'hex'),
  size: offset64(56, 'the size of an inode'),
  extents: u32(76),
  forkOffset: u8(82),
  flags: u16(90),
})
/** What version 3 adds. */
export const inodeMore = struct('big', 176, {
  flags: u64(120, 'hex'),
  created: u64(144, 'hex'),
  number: u64(152),
})
export const inodeChecksum = 100
/** "B+tree Extent List": a node below the root in the inode. */
export const extentNode = struct('big', 24, { magic: ascii(0, 4), level: u16(4), records: u16(6) })
export const extentNodeSize = { 4: 24, 5: 72 }
export const extentNodeChecksum = 64
/** "Directories": the head of a block of names, and of an entry in it. */
export const folderBlock = struct('big', 16, { magic: ascii(0, 4) })
export const folderBlockSize = { 4: 16, 5: 64 }
export const folderBlockChecksum = 4
/** Where names end and the index of a folder begins, in bytes of the folder. */
export const folderIndexStart = 32 * 1024 ** 3
/** "Symbolic Links": the head of each piece of a target in version 5. */
export const linkPiece = struct('big', 56, { magic: ascii(0, 4), offset: u32(4), length: u32(8) })
export const linkPieceChecksum = 12
