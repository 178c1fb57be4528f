import { ascii, bytes, flags32, guid, nilUuid, struct, u16, u32, u64, utf16 } from '../../../binary/struct.js'
import type { FieldRow, StructValues } from '../../../binary/struct.js'
import { printable } from '../../../errors.js'

/** One MiB: regions, the log and blocks lie at its multiples (MS-VHDX 2.1). */
export const mebibyte = 1024 * 1024
/** Sector of the log, and the unit in which metadata is logged (2.3). */
export const logSectorSize = 4096
/** Where the two headers begin (2.2). */
export const headerPositions = [64 * 1024, 128 * 1024] as const
/** Where the two region tables begin (2.2). */
export const regionTablePositions = [192 * 1024, 256 * 1024] as const
/** Bytes of a region table, and of the table at the start of the metadata region. */
export const tableSize = 64 * 1024
/** Most entries of a region table or metadata table (2.2.3, 2.6.1). */
export const maximumTableEntries = 2047
/** Greatest virtual disk: 64 TiB (2.6.2.2). */
export const maximumCapacity = 64 * 2 ** 40

/** File type identifier (2.2.1). */
export const fileIdentifier = struct('little', 520, { signature: ascii(0, 8), creator: utf16(8, 512, 'little') })
export const fileSignature = 'vhdxfile'

/** Header (2.2.2). The checksum is CRC-32C over these 4096 bytes with the field zero. */
export const header = struct('little', 4096, {
  signature: ascii(0, 4),
  checksum: u32(4, 'hex'),
  sequenceNumber: u64(8),
  fileWriteGuid: guid(16),
  dataWriteGuid: guid(32),
  logGuid: guid(48),
  logVersion: u16(64),
  version: u16(66),
  logLength: u32(68),
  logOffset: u64(72),
})
export type Header = StructValues<typeof header>
export const headerSignature = 'head'

/** Region table header (2.2.3.1). The checksum is CRC-32C over the table's 64 KiB with the field zero. */
export const regionTableHeader = struct('little', 16, {
  signature: ascii(0, 4),
  checksum: u32(4, 'hex'),
  entryCount: u32(8),
  reserved: u32(12),
})
export const regionSignature = 'regi'
/** Region table entry (2.2.3.2). */
export const regionEntry = struct('little', 32, {
  guid: guid(0),
  fileOffset: u64(16),
  length: u32(24),
  required: flags32(28),
})

/** Metadata table header (2.6.1.1). */
export const metadataTableHeader = struct('little', 32, {
  signature: ascii(0, 8),
  reserved: u16(8),
  entryCount: u16(10),
})
export const metadataSignature = 'metadata'
/** Metadata table entry (2.6.1.2). `offset` counts from the start of the region. */
export const metadataEntry = struct('little', 32, {
  itemId: guid(0),
  offset: u32(16),
  length: u32(20),
  flags: flags32(24),
  reserved: u32(28),
})

/** File parameters (2.6.2.1). */
export const fileParameters = struct('little', 8, { blockSize: u32(0), flags: flags32(4) })
/** Virtual disk size (2.6.2.2). */
export const virtualDiskSize = struct('little', 8, { size: u64(0) })
/** Virtual disk id, SCSI page 83 (2.6.2.3). */
export const virtualDiskId = struct('little', 16, { id: guid(0) })
/** Logical or physical sector size (2.6.2.4, 2.6.2.5). */
export const sectorSizeItem = struct('little', 4, { sectorSize: u32(0) })

/** Parent locator header (2.6.2.6.1). */
export const locatorHeader = struct('little', 20, { locatorType: guid(0), reserved: u16(16), keyValueCount: u16(18) })
/** Parent locator entry (2.6.2.6.2). Offsets count from the start of the item; lengths are bytes. */
export const locatorEntry = struct('little', 12, {
  keyOffset: u32(0),
  valueOffset: u32(4),
  keyLength: u16(8),
  valueLength: u16(10),
})

/** Log entry header (2.3.1.1). The checksum is CRC-32C over `entryLength` bytes with the field zero. */
export const logEntryHeader = struct('little', 64, {
  signature: ascii(0, 4),
  checksum: u32(4, 'hex'),
  entryLength: u32(8),
  tail: u32(12),
  sequenceNumber: u64(16),
  descriptorCount: u32(24),
  reserved: u32(28),
  logGuid: guid(32),
  flushedFileOffset: u64(48),
  lastFileOffset: u64(56),
})
export const logEntrySignature = 'loge'
/** Zero descriptor (2.3.1.2). */
export const zeroDescriptor = struct('little', 32, {
  signature: ascii(0, 4),
  reserved: u32(4),
  zeroLength: u64(8),
  fileOffset: u64(16),
  sequenceNumber: u64(24),
})
/** Data descriptor (2.3.1.3): the first 8 and last 4 bytes of the sector are kept here. */
export const dataDescriptor = struct('little', 32, {
  signature: ascii(0, 4),
  trailingBytes: bytes(4, 4),
  leadingBytes: bytes(8, 8),
  fileOffset: u64(16),
  sequenceNumber: u64(24),
})
/** Data sector (2.3.1.4). */
export const dataSector = struct('little', 4096, {
  signature: ascii(0, 4),
  sequenceHigh: u32(4),
  data: bytes(8, 4084),
  sequenceLow: u32(4092),
})

/** Regions this reader knows (2.2.3.2). */
export const regionGuids = {
  bat: '2dc27766-f623-4200-9d64-115e9bfd4a08',
  metadata: '8b7ca206-4790-4b9a-b8fe-575f050f886e',
} as const

/** Metadata items this reader knows (2.6.2). */
export const itemGuids = {
  fileParameters: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
  virtualDiskSize: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
  virtualDiskId: 'beca12ab-b2e6-4523-93ef-c309e000c746',
  logicalSectorSize: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
  physicalSectorSize: 'cda348c7-445d-4471-9cc9-e9885251c556',
  parentLocator: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
} as const

/** The parent locator type whose parent is a VHDX (2.6.2.6.1). */
export const vhdxLocatorType = 'b04aefb7-d19e-4a81-b789-25b8e9445913'
export { nilUuid }

/**
 * Field rows under a prefix, so that the rows of several entries stay apart; text from the image is made safe to print.
 */
export function prefixed(prefix: string, rows: readonly FieldRow[]): FieldRow[] {
  return rows.map((row) => ({
    ...row,
    name: prefix === '' ? row.name : `${prefix}.${row.name}`,
    value: typeof row.value === 'string' ? printable(row.value) : row.value,
  }))
}
