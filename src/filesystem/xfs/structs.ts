import { ascii, bytes, struct, u16, u32, u64, u8, uuid } from '../../binary/struct.js'

/** XFS Algorithms & Data Structures, "Superblocks". */
export const xfsSuperblock = struct('big', 264, {
  magic: ascii(0, 4),
  blockSize: u32(4),
  blocks: u64(8),
  realtimeBlocks: u64(16),
  uuid: uuid(32),
  logStart: u64(48),
  groupBlocks: u32(84),
  groups: u32(88),
  logBlocks: u32(96),
  version: u16(100),
  sectorSize: u16(102),
  inodeSize: u16(104),
  label: bytes(108, 12),
  logBlockSize: u8(120),
  logGroupBlocks: u8(124),
  inProgress: u8(126),
  freeBlocks: u64(144),
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
