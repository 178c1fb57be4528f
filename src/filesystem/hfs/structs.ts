import { ascii, bytes, struct, u16, u32, u64, u8 } from '../../binary/struct.js'

/** Where the volume header lies, and how far before the end its copy. */
export const headerPosition = 1024

/** Apple Technical Note TN1150, "Volume Header". */
export const volumeHeader = struct('big', 512, {
  signature: u16(0),
  version: u16(2),
  attributes: u32(4),
  lastMounted: u32(8),
  created: u32(16),
  modified: u32(20),
  files: u32(32),
  folders: u32(36),
  blockSize: u32(40),
  blocks: u32(44),
  freeBlocks: u32(48),
  identifier: bytes(104, 8),
  allocationFile: bytes(112, 80),
  extentsFile: bytes(192, 80),
  catalogFile: bytes(272, 80),
})
/** "Fork Data Structure": eight runs of blocks follow the head. */
export const forkData = struct('big', 16, { size: u64(0), blocks: u32(12) })
export const forkExtent = struct('big', 8, { start: u32(0), count: u32(4) })
/** "B-Trees": the head of the first node. */
export const treeHeader = struct('big', 34, { firstLeaf: u32(24), nodeSize: u16(32) })
/** The same with what a search needs. */
export const treeRoot = struct('big', 40, { root: u32(16), nodeSize: u16(32), nodes: u32(36) })
/** What every node of a tree begins with. */
export const treeNode = struct('big', 14, { next: u32(0), kind: u8(8), records: u16(10) })
/** "Catalog File": the data of a folder and of a file; both have the same up to the Finder's. */
export const catalogRecord = struct('big', 70, {
  type: u16(0),
  number: u32(8),
  created: u32(12),
  modified: u32(16),
  accessed: u32(24),
  owner: u32(32),
  group: u32(36),
  ownerFlags: u8(41),
  mode: u16(42),
  special: u32(44),
  fileType: ascii(48, 4),
  creator: ascii(52, 4),
})
export const catalogFileFork = 88
export const catalogFileSize = 248
/** "Extents Overflow File": the key of eight runs. */
export const extentKey = struct('big', 12, { fork: u8(2), number: u32(4), start: u32(8) })
/** A leaf, and the key of its first record. */
export const leafNode = struct('big', 22, {
  kind: u8(8),
  records: u16(10),
  keyLength: u16(14),
  parent: u32(16),
  nameLength: u16(20),
})

/** Inside Macintosh: Files, "Master Directory Blocks": HFS, which may hold HFS+ as its one file. */
export const masterBlock = struct('big', 162, {
  signature: u16(0),
  attributes: u16(10),
  blocks: u16(18),
  blockSize: u32(20),
  firstBlock: u16(28),
  freeBlocks: u16(34),
  labelLength: u8(36),
  label: bytes(37, 27),
  identifier: bytes(116, 8),
  embedded: u16(124),
  embeddedStart: u16(126),
  embeddedCount: u16(128),
})
export const signatures = { plus: 0x482b, extended: 0x4858, hfs: 0x4244 }
