import { ascii, bytes, struct, u16, u32, u64, uuid } from '../../binary/struct.js'

/** VMA archives of Proxmox VE (vma_spec.txt): big-endian, but for the sizes in the blob buffer. */

export const clusterLength = 65536
export const vmaBlockLength = 4096
export const blocksOfCluster = clusterLength / vmaBlockLength
export const extentClusters = 59
export const mostDevices = 256

export const header = struct('big', 4096, {
  magic: ascii(0, 4),
  version: u32(4),
  uuid: uuid(8),
  created: u64(24),
  md5: bytes(32, 16),
  blobOffset: u32(48),
  blobSize: u32(52),
  headerSize: u32(56),
})
/** Places of names and contents of configurations in the blob buffer: 256 words each. */
export const configNames = 2044
export const configData = 3068
/** Devices: 256 of 32 bytes, of which the first is unused. */
export const devices = 4096
export const deviceLength = 32
export const blobStart = 12288

export const extentHeader = struct('big', 512, {
  magic: ascii(0, 4),
  blockCount: u16(6),
  uuid: uuid(8),
  md5: bytes(24, 16),
})
/** 59 words: a mask of 16 bits, 8 bits of nothing, the device, the cluster. */
export const blockInfo = 40
