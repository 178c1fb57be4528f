import { struct, u16, u32, u64, u8 } from '../../binary/struct.js'

/** `QFI\xFB`. */
export const magic = 0x514649fb

/** The header of QCOW version 1 (qemu block/qcow.c, QCowHeader): 48 bytes, no extensions. */
export const header = struct('big', 48, {
  magic: u32(0, 'hex'),
  version: u32(4),
  backingFileOffset: u64(8),
  backingFileSize: u32(16),
  modificationTime: u32(20),
  size: u64(24),
  clusterBits: u8(32),
  l2Bits: u8(33),
  padding: u16(34),
  cryptMethod: u32(36),
  l1TableOffset: u64(40),
})
