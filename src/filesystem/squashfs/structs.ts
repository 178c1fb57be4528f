import { ascii, offset64, struct, u16, u32, u64 } from '../../binary/struct.js'

/** Linux, fs/squashfs/squashfs_fs.h, version 4. */
export const superblock = struct('little', 96, {
  magic: ascii(0, 4),
  inodes: u32(4),
  modified: u32(8),
  blockSize: u32(12),
  fragments: u32(16),
  compression: u16(20),
  flags: u16(24),
  ids: u16(26),
  major: u16(28),
  minor: u16(30),
  root: u64(32),
  used: u64(40),
  idTable: u64(48),
  inodeTable: u64(64),
  folderTable: u64(72),
  fragmentTable: u64(80),
})
/** What all inodes begin with. */
export const inodeHead = struct('little', 16, {
  type: u16(0),
  mode: u16(2),
  owner: u16(4),
  group: u16(6),
  modified: u32(8),
  number: u32(12),
})
export const folderInode = struct('little', 16, { start: u32(0), links: u32(4), size: u16(8), offset: u16(10) })
export const longFolderInode = struct('little', 24, { links: u32(0), size: u32(4), start: u32(8), offset: u16(18) })
export const fileInode = struct('little', 16, { start: u32(0), fragment: u32(4), offset: u32(8), size: u32(12) })
export const longFileInode = struct('little', 40, {
  start: offset64(0, 'the place of a file'),
  size: offset64(8, 'the size of a file'),
  links: u32(24),
  fragment: u32(28),
  offset: u32(32),
})
export const linkInode = struct('little', 8, { links: u32(0), size: u32(4) })
/** Devices, pipes and sockets. */
export const otherInode = struct('little', 4, { links: u32(0) })
export const folderHead = struct('little', 12, { count: u32(0), start: u32(4) })
export const folderEntry = struct('little', 8, { offset: u16(0), size: u16(6) })
export const fragmentEntry = struct('little', 16, { start: offset64(0, 'the place of a fragment'), size: u32(8) })
