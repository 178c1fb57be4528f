import { ascii, bytes, struct, u16, u32, u64, u8, uuid } from '../../binary/struct.js'

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
export const rootItem = struct('little', 239, { block: u64(176), level: u8(238) })
export const itemTypes = { root: 132, extent: 168, metadata: 169, chunk: 228 }
export const extentTree = 2n
