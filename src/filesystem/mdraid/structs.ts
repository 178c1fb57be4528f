import { ascii, struct, u32, u64, uuid } from '../../binary/struct.js'

export const magic = 0xa92b4efc
/** Linux, include/uapi/linux/raid/md_p.h, struct mdp_superblock_1. */
export const version1 = struct('little', 256, {
  magic: u32(0, 'hex'),
  major: u32(4),
  features: u32(8),
  uuid: uuid(16),
  name: ascii(32, 32),
  created: u64(64),
  level: u32(72),
  chunk: u32(88),
  disks: u32(92),
  dataOffset: u64(128),
  dataSize: u64(136),
  superOffset: u64(144),
  number: u32(160),
  device: uuid(168),
  events: u64(200),
  checksum: u32(216, 'hex'),
  maximumDevices: u32(220),
})
/** The same file, struct mdp_superblock_s (mdp_super_t). */
export const version0 = struct('little', 4096, {
  magic: u32(0, 'hex'),
  major: u32(4),
  minor: u32(8),
  patch: u32(12),
  uuid0: u32(20),
  created: u32(24),
  level: u32(28),
  size: u32(32),
  disks: u32(40),
  uuid1: u32(52),
  uuid2: u32(56),
  uuid3: u32(60),
  events: u64(156),
  /** Of the device itself (mdp_disk_t this_disk). */
  role: u32(3980),
  state: u32(3984, 'hex'),
})
