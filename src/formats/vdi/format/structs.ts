import { ascii, bytes, guid, offset64, struct, u32, type StructValues } from '../../../binary/struct.js'

/** Sectors of a VDI are always 512 bytes. */
export const sectorLength = 512
export const signature = 0xbeda107f
/** Where the signature stands; the text before it is for people only. */
export const signaturePosition = 64
/** The layout of 2004 and 2005, which VirtualBox calls version 0. */
export const version0 = 0x00000002
/** 1.1, the only version that is written; of 1.x the minor number changes nothing. */
export const version11 = 0x00010001
/** A header of this many bytes ends with the parent's modification UUID; one of {@link plusLength} has an LCHS too. */
export const shortLength = 0x180
export const plusLength = 0x190
/** Where the part of the header begins that its length counts. */
export const lengthFrom = 72

/** Map entries: no block here; a block of zeros. All others are block numbers in the file. */
export const free = 0xffffffff
export const zeroBlock = 0xfffffffe

export const imageType = { dynamic: 1, fixed: 2, undo: 3, differencing: 4 } as const
/** New blocks are filled with zeros: the one flag there is. */
export const flagZeroExpand = 1

/** Pre-header and header, version 1.1, from the start of the file. */
export const header = struct('little', lengthFrom + plusLength, {
  text: ascii(0, 64),
  signature: u32(64, 'hex'),
  version: u32(68, 'hex'),
  headerSize: u32(72),
  type: u32(76),
  flags: u32(80, 'hex'),
  comment: bytes(84, 256),
  mapOffset: u32(340),
  dataOffset: u32(344),
  cylinders: u32(348),
  heads: u32(352),
  sectors: u32(356),
  sectorSize: u32(360),
  unused: u32(364),
  diskSize: offset64(368, 'disk size'),
  blockSize: u32(376),
  blockExtra: u32(380),
  blocks: u32(384),
  blocksAllocated: u32(388),
  imageUuid: guid(392),
  modificationUuid: guid(408),
  linkUuid: guid(424),
  parentModificationUuid: guid(440),
  lchsCylinders: u32(456),
  lchsHeads: u32(460),
  lchsSectors: u32(464),
  lchsSectorSize: u32(468),
})
export type HeaderValues = StructValues<typeof header>

/** Pre-header and header of version 0; the map follows at once. */
export const header0 = struct('little', 420, {
  text: ascii(0, 64),
  signature: u32(64, 'hex'),
  version: u32(68, 'hex'),
  type: u32(72),
  flags: u32(76, 'hex'),
  comment: bytes(80, 256),
  cylinders: u32(336),
  heads: u32(340),
  sectors: u32(344),
  sectorSize: u32(348),
  diskSize: offset64(352, 'disk size'),
  blockSize: u32(360),
  blocks: u32(364),
  blocksAllocated: u32(368),
  imageUuid: guid(372),
  modificationUuid: guid(388),
  linkUuid: guid(404),
})
