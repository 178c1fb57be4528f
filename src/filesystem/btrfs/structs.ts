import { ascii, bytes, offset64, struct, u16, u32, u64, u8, uuid } from '../../binary/struct.js'

/** Where the superblock and its copies lie. */
export const superblockPositions = [0x10000, 0x4000000, 0x4000000000]
export const superblockSize = 4096

/** Linux, include/uapi/linux/btrfs_tree.h, struct btrfs_super_block. */
export const btrfsSuperblock = struct('little', superblockSize, {
  fsid: uuid(32),
  position: u64(48),
  magic: ascii(64, 8),
  generation: u64(72),
  root: u64(80),
  chunkRoot: u64(88),
  logRoot: u64(96),
  totalBytes: u64(112),
  bytesUsed: u64(120),
  devices: u64(136),
  sectorSize: u32(144),
  nodeSize: u32(148),
  systemChunksLength: u32(160),
  compatible: u64(172, 'hex'),
  readOnlyCompatible: u64(180, 'hex'),
  incompatible: u64(188, 'hex'),
  checksumType: u16(196),
  rootLevel: u8(198),
  chunkRootLevel: u8(199),
  deviceId: u64(201),
  deviceBytes: u64(209),
  deviceUuid: uuid(267),
  label: bytes(299, 256),
})
export const systemChunksStart = 811
/** struct btrfs_header: what every node of a tree begins with. */
export const nodeHeader = struct('little', 101, { position: u64(48), items: u32(96), level: u8(100) })
/** struct btrfs_disk_key, and what follows it in a leaf and in an inner node. */
export const treeKey = struct('little', 17, { object: u64(0), type: u8(8), offset: u64(9) })
export const leafItem = struct('little', 25, {
  object: u64(0),
  type: u8(8),
  offset: u64(9),
  dataOffset: u32(17),
  dataSize: u32(21),
})
export const keyPointer = struct('little', 33, { object: u64(0), type: u8(8), offset: u64(9), block: u64(17) })
/** struct btrfs_chunk; its stripes follow. */
export const chunkItem = struct('little', 48, { length: u64(0), type: u64(24, 'hex'), stripes: u16(44) })
export const chunkStripe = struct('little', 32, { device: u64(0), offset: u64(8) })
/** struct btrfs_root_item. */
export const rootItem = struct('little', 239, { folder: u64(168), block: u64(176), level: u8(238) })
export const itemTypes = {
  inode: 1,
  inodeReference: 12,
  folderName: 84,
  folderIndex: 96,
  fileExtent: 108,
  dataChecksum: 128,
  root: 132,
  rootBackReference: 144,
  rootReference: 156,
  extent: 168,
  metadata: 169,
  chunk: 228,
}
export const topSubvolume = 5n
/** In the tree of roots: the folder whose entry `default` leads to the subvolume that is mounted by itself. */
export const rootFolder = 6n
/** The folder that a subvolume begins with. */
export const firstFolder = 256n
export const checksumTree = 7n
/** The object of all checksums of data: -10. */
export const checksumObject = 2n ** 64n - 10n
/** struct btrfs_inode_item. */
export const inodeItem = struct('little', 160, {
  size: offset64(16, 'the size of an inode'),
  links: u32(40),
  owner: u32(44),
  group: u32(48),
  mode: u32(52),
  flags: u64(64, 'hex'),
  accessed: u64(112),
  accessedPart: u32(120),
  modified: u64(136),
  modifiedPart: u32(144),
  created: u64(148),
  createdPart: u32(156),
})
/** struct btrfs_dir_item; the name follows. */
export const folderItem = struct('little', 30, { object: u64(0), type: u8(8), nameLength: u16(27), kind: u8(29) })
/** struct btrfs_inode_ref; the name follows. */
export const inodeReference = struct('little', 10, { nameLength: u16(8) })
/** struct btrfs_root_ref; the name follows. */
export const rootReference = struct('little', 18, { folder: u64(0), nameLength: u16(16) })
/** struct btrfs_file_extent_item: the head, behind which inline content begins, and the rest. */
export const fileExtentHead = struct('little', 21, {
  plainLength: u64(8),
  compression: u8(16),
  encryption: u8(17),
  encoding: u16(18),
  type: u8(20),
})
export const fileExtent = struct('little', 53, {
  block: u64(21),
  storedLength: u64(29),
  offset: u64(37),
  length: u64(45),
})
export const extentTree = 2n
