/**
 * The structures of registry hives (M. Suhanov, "Windows registry file format specification"). All integers are
 * little-endian; offsets of cells count from the end of the base block.
 */
import { ascii, struct, u16, u32, u64 } from '../binary/struct.js'

export const baseBlockLength = 4096
/** No cell has this offset: there is none. */
export const noCell = 0xffffffff

/** The base block of a primary file, and of a log. */
export const baseBlock = struct('little', 512, {
  signature: ascii(0, 4),
  primarySequence: u32(4),
  secondarySequence: u32(8),
  written: u64(12),
  major: u32(20),
  minor: u32(24),
  fileType: u32(28),
  fileFormat: u32(32),
  rootCell: u32(36),
  binsSize: u32(40),
  clustering: u32(44),
  checksum: u32(508, 'hex'),
})

/** What a file is, by the base block. */
export const fileTypes = { primary: 0, oldLog: 1, oldestLog: 2, newLog: 6 } as const

export const binHeader = struct('little', 32, {
  signature: ascii(0, 4),
  offset: u32(4),
  size: u32(8),
  written: u64(20),
})

/** A key, up to its name. */
export const keyNode = struct('little', 76, {
  signature: ascii(0, 2),
  flags: u16(2),
  written: u64(4),
  parent: u32(16),
  subkeyCount: u32(20),
  subkeyList: u32(28),
  valueCount: u32(36),
  valueList: u32(40),
  security: u32(44),
  className: u32(48),
  nameLength: u16(72),
  classLength: u16(74),
})

/** A value, up to its name. */
export const keyValue = struct('little', 20, {
  signature: ascii(0, 2),
  nameLength: u16(2),
  dataSize: u32(4),
  dataOffset: u32(8),
  type: u32(12),
  flags: u16(16),
})

/** A security descriptor that several keys share, up to the descriptor. */
export const keySecurity = struct('little', 20, {
  signature: ascii(0, 2),
  next: u32(4),
  previous: u32(8),
  references: u32(12),
  length: u32(16),
})

/** Data longer than one cell holds. */
export const bigData = struct('little', 8, { signature: ascii(0, 2), count: u16(2), list: u32(4) })
/** Bytes of each segment of big data but the last. */
export const segmentLength = 16344

/** An entry of a log in the new format, up to its references to pages. */
export const logEntry = struct('little', 40, {
  signature: ascii(0, 4),
  size: u32(4),
  flags: u32(8),
  sequence: u32(12),
  binsSize: u32(16),
  pages: u32(20),
  contentHash: u64(24, 'hex'),
  headHash: u64(32, 'hex'),
})
