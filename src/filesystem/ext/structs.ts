import { bytes, flags32, struct, u16, u32, u8, uuid } from '../../binary/struct.js'

/** Where the superblock lies in the volume, whatever the block size. */
export const superblockPosition = 1024

/** The superblock of ext2, ext3 and ext4 (Linux, fs/ext4/ext4.h, struct ext4_super_block). */
export const extSuperblock = struct('little', 1024, {
  inodes: u32(0),
  blocksLow: u32(4),
  freeBlocksLow: u32(12),
  freeInodes: u32(16),
  firstDataBlock: u32(20),
  logBlockSize: u32(24),
  logClusterSize: u32(28),
  blocksPerGroup: u32(32),
  clustersPerGroup: u32(36),
  inodesPerGroup: u32(40),
  mountTime: u32(44),
  writeTime: u32(48),
  mountCount: u16(52),
  magic: u16(56),
  state: u16(58),
  minorRevision: u16(62),
  lastCheck: u32(64),
  revision: u32(76),
  inodeSize: u16(88),
  compatible: flags32(92),
  incompatible: flags32(96),
  readOnlyCompatible: flags32(100),
  uuid: uuid(104),
  uuidBytes: bytes(104, 16),
  label: bytes(120, 16),
  lastMounted: bytes(136, 64),
  reservedDescriptorBlocks: u16(206),
  journalUuid: uuid(208),
  descriptorSize: u16(254),
  firstMetaGroup: u32(260),
  created: u32(264),
  blocksHigh: u32(0x150),
  freeBlocksHigh: u32(0x158),
  checksumType: u8(0x175),
  backupGroup0: u32(0x24c),
  backupGroup1: u32(0x250),
  checksumSeed: u32(0x270),
  checksum: u32(0x3fc, 'hex'),
})

/** A group descriptor (struct ext4_group_desc). The high halves count only where descriptors have 64 bytes. */
export const extDescriptor = struct('little', 32, {
  blockBitmapLow: u32(0),
  inodeBitmapLow: u32(4),
  inodeTableLow: u32(8),
  freeBlocksLow: u16(12),
  flags: u16(18),
  blockBitmapChecksumLow: u16(24),
  checksum: u16(30),
})
export const extDescriptorHigh = struct('little', 64, {
  blockBitmapHigh: u32(0x20),
  inodeBitmapHigh: u32(0x24),
  inodeTableHigh: u32(0x28),
  freeBlocksHigh: u16(0x2c),
  blockBitmapChecksumHigh: u16(0x38),
})

/** An inode (struct ext4_inode): the 128 bytes that every one has. */
export const extInode = struct('little', 128, {
  mode: u16(0),
  ownerLow: u16(2),
  sizeLow: u32(4),
  accessed: u32(8),
  modified: u32(16),
  groupLow: u16(24),
  links: u16(26),
  sectorsLow: u32(28),
  flags: flags32(32),
  block: bytes(40, 60),
  generation: u32(100),
  attributeBlockLow: u32(104),
  sizeHigh: u32(108),
  sectorsHigh: u16(116),
  attributeBlockHigh: u16(118),
  ownerHigh: u16(120),
  groupHigh: u16(122),
  checksumLow: u16(124),
})
/** The fields behind them, of which an inode has as many as `extraSize` (bytes from 128 on) says. */
export const extInodeExtra = struct('little', 152, {
  extraSize: u16(128),
  checksumHigh: u16(130),
  modifiedExtra: u32(136),
  accessedExtra: u32(140),
  created: u32(144),
  createdExtra: u32(148),
})

/** The head of a node of an extent tree (struct ext4_extent_header); entries of twelve bytes follow. */
export const extentHeader = struct('little', 12, { magic: u16(0), entries: u16(2), maximum: u16(4), depth: u16(6) })
export const extentLeaf = struct('little', 12, { block: u32(0), length: u16(4), startHigh: u16(6), startLow: u32(8) })
export const extentIndex = struct('little', 12, { block: u32(0), leafLow: u32(4), leafHigh: u16(8) })
