import { onesComplementSum } from '../../../binary/checksum.js'
import {
  ascii,
  bytes,
  flags32,
  struct,
  u16,
  u32,
  u64,
  u8,
  utf16,
  uuid,
  type StructValues,
} from '../../../binary/struct.js'

/** Sectors of a VHD are always 512 bytes; positions in its tables count in them. */
export const sectorLength = 512

export const footerCookie = 'conectix'
export const dynamicCookie = 'cxsparse'
/** `data_offset` of a structure that is followed by none. */
export const noOffset = 0xffffffffffffffffn
/** The only version there is of the file and of the dynamic header: 1.0. */
export const version1 = 0x00010000
/** BAT entry of a block that is not in the file. */
export const unallocated = 0xffffffff

export const diskType = { none: 0, fixed: 2, dynamic: 3, differencing: 4 } as const

/** Hard disk footer (VHD specification 1.0, "Hard Disk Footer Format"). */
export const footer = struct('big', 512, {
  cookie: ascii(0, 8),
  features: flags32(8),
  fileFormatVersion: u32(12, 'hex'),
  dataOffset: u64(16, 'hex'),
  timeStamp: u32(24),
  creatorApplication: ascii(28, 4),
  creatorVersion: u32(32, 'hex'),
  creatorHostOs: ascii(36, 4),
  originalSize: u64(40),
  currentSize: u64(48),
  cylinders: u16(56),
  heads: u8(58),
  sectorsPerTrack: u8(59),
  diskType: u32(60),
  checksum: u32(64, 'hex'),
  uniqueId: uuid(68),
  savedState: u8(84),
})
export type FooterValues = StructValues<typeof footer>

/**
 * Dynamic disk header ("Dynamic Disk Header Format"). The eight parent locator entries are read with {@link
 * locatorEntry}.
 */
export const dynamicHeader = struct('big', 1024, {
  cookie: ascii(0, 8),
  dataOffset: u64(8, 'hex'),
  tableOffset: u64(16),
  headerVersion: u32(24, 'hex'),
  maxTableEntries: u32(28),
  blockSize: u32(32),
  checksum: u32(36, 'hex'),
  parentUniqueId: uuid(40),
  parentTimeStamp: u32(56),
  parentUnicodeName: utf16(64, 512, 'big'),
  parentLocators: bytes(576, 192),
})
export type DynamicHeaderValues = StructValues<typeof dynamicHeader>

/** Where the eight parent locator entries begin in the dynamic header. */
export const locatorsAt = 576
export const locatorCount = 8

/** Parent locator entry ("Parent Locator Entries"). */
export const locatorEntry = struct('big', 24, {
  platformCode: ascii(0, 4),
  platformDataSpace: u32(4),
  platformDataLength: u32(8),
  platformDataOffset: u64(16),
})

/** The checksum a footer's bytes should carry: its own field counts as zero. */
export function footerChecksum(raw: Uint8Array): number {
  return onesComplementSum(footer.without('checksum', raw))
}

/** The checksum a dynamic header's bytes should carry. */
export function dynamicHeaderChecksum(raw: Uint8Array): number {
  return onesComplementSum(dynamicHeader.without('checksum', raw))
}

/** The footer's bytes with the right checksum. */
export function sealedFooter(values: Omit<FooterValues, 'checksum'>): Uint8Array {
  return footer.write({ ...values, checksum: footerChecksum(footer.write({ ...values, checksum: 0 })) })
}

/** The dynamic header's bytes with the right checksum. */
export function sealedDynamicHeader(values: Omit<DynamicHeaderValues, 'checksum'>): Uint8Array {
  return dynamicHeader.write({
    ...values,
    checksum: dynamicHeaderChecksum(dynamicHeader.write({ ...values, checksum: 0 })),
  })
}
