import { bytes, offset64, struct, u16, u32, u64, u8, uuid } from '../../binary/struct.js'

/** Linux, fs/erofs/erofs_fs.h, struct erofs_super_block. */
export const superblock = struct('little', 128, {
  magic: u32(0, 'hex'),
  checksum: u32(4, 'hex'),
  compatible: u32(8),
  blockShift: u8(12),
  rootInode: u16(14),
  inodes: u64(16),
  built: u64(24),
  builtPart: u32(32),
  blocks: u32(36),
  metaBlock: u32(40),
  uuid: uuid(48),
  label: bytes(64, 16),
  incompatible: u32(80),
  packedInode: u64(96),
})
/** struct erofs_inode_compact. */
export const compactInode = struct('little', 32, {
  format: u16(0),
  attributes: u16(2),
  mode: u16(4),
  links: u16(6),
  size: u32(8),
  place: u32(16),
  owner: u16(24),
  group: u16(26),
})
/** struct erofs_inode_extended. */
export const extendedInode = struct('little', 64, {
  format: u16(0),
  attributes: u16(2),
  mode: u16(4),
  size: offset64(8, 'the size of an inode'),
  place: u32(16),
  owner: u32(24),
  group: u32(28),
  modified: u64(32),
  modifiedPart: u32(40),
  links: u32(44),
})
export const inodeUnit = 32
/** struct erofs_dirent. */
export const folderEntry = struct('little', 12, { number: u64(0), nameOffset: u16(8) })
