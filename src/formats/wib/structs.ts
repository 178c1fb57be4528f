import { bytes, guid, struct, u16, u32, u64, u8 } from '../../binary/struct.js'

/** Partition tables (UEFI 2.10, 5), as far as the virtual disks of a Windows Image Backup need them. */

export const mbr = struct('little', 512, {
  code: bytes(0, 440),
  diskSignature: u32(440, 'hex'),
  signature: u16(510),
})
export const mbrEntries = 446
export const backedMbrEntry = struct('little', 16, { status: u8(0), type: u8(4), first: u32(8), count: u32(12) })

/** CRC-32 of the first 92 bytes with the field zero. */
export const backedGptHeader = struct('little', 92, {
  signature: bytes(0, 8),
  revision: u32(8, 'hex'),
  headerSize: u32(12),
  checksum: u32(16, 'hex'),
  own: u64(24),
  other: u64(32),
  firstUsable: u64(40),
  lastUsable: u64(48),
  diskId: guid(56),
  entriesAt: u64(72),
  entryCount: u32(80),
  entrySize: u32(84),
  entriesChecksum: u32(88, 'hex'),
})
export const backedGptEntry = struct('little', 128, {
  type: guid(0),
  id: guid(16),
  first: u64(32),
  last: u64(40),
  attributes: u64(48, 'hex'),
  name: bytes(56, 72),
})
export const gptEntryCount = 128

export const types = {
  protective: 0xee,
  system: 0xef,
  recovery: 0x27,
  gptSystem: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  gptRecovery: 'de94bba4-06d1-4d40-a16a-bfd50179d6ac',
  gptData: 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7',
} as const
