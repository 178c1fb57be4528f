import { ascii, flags64, struct, u16, u32, u64, u8 } from '../../../binary/struct.js'

/** `QFI\xFB`, the first four bytes of every QCOW file. */
export const magic = 0x514649fb

const headerFieldsV2 = {
  magic: u32(0, 'hex'),
  version: u32(4),
  backingFileOffset: u64(8),
  backingFileSize: u32(16),
  clusterBits: u32(20),
  size: u64(24),
  cryptMethod: u32(32),
  l1Size: u32(36),
  l1TableOffset: u64(40),
  refcountTableOffset: u64(48),
  refcountTableClusters: u32(56),
  nbSnapshots: u32(60),
  snapshotsOffset: u64(64),
}

const headerFieldsV3 = {
  ...headerFieldsV2,
  incompatibleFeatures: flags64(72),
  compatibleFeatures: flags64(80),
  autoclearFeatures: flags64(88),
  refcountOrder: u32(96),
  headerLength: u32(100),
}

/** The header of version 2: 72 bytes, extensions follow at once. */
export const headerV2 = struct('big', 72, headerFieldsV2)
/** The header of version 3 as it must at least be: 104 bytes. */
export const headerV3 = struct('big', 104, headerFieldsV3)
/** The header of version 3 with the compression type, which is there when header_length says more than 104. */
export const headerV3Compression = struct('big', 112, { ...headerFieldsV3, compressionType: u8(104) })

/** A header extension: this, `length` bytes, and padding to a multiple of eight. */
export const extensionHeader = struct('big', 8, { type: u32(0, 'hex'), length: u32(4) })

/** Types of header extensions ("Header extensions"). */
export const extensionTypes = {
  end: 0,
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  cryptoHeader: 0x0537be77,
  dataFile: 0x44415441,
} as const

/** One entry of the feature name table. `type`: 0 incompatible, 1 compatible, 2 autoclear. */
export const featureName = struct('big', 48, { type: u8(0), bit: u8(1), name: ascii(2, 46) })

/** The extension that says where the bitmaps are ("Bitmaps extension"). */
export const bitmapsExtension = struct('big', 24, { count: u32(0), directorySize: u64(8), directoryOffset: u64(16) })

/** A bitmap directory entry without its extra data and its name. */
export const bitmapEntry = struct('big', 24, {
  tableOffset: u64(0),
  tableSize: u32(8),
  flags: u32(12, 'hex'),
  type: u8(16),
  granularityBits: u8(17),
  nameSize: u16(18),
  extraSize: u32(20),
})

/** A snapshot table entry without its extra data, its id and its name. */
export const snapshotEntry = struct('big', 40, {
  l1TableOffset: u64(0),
  l1Size: u32(8),
  idSize: u16(12),
  nameSize: u16(14),
  dateSeconds: u32(16),
  dateNanoseconds: u32(20),
  vmClock: u64(24),
  vmStateSize: u32(32),
  extraSize: u32(36),
})

/** The crypto header pointer. */
export const cryptoPointer = struct('big', 16, { offset: u64(0), length: u64(8) })

export const incompatible = { dirty: 0, corrupt: 1, dataFile: 2, compressionType: 3, extendedL2: 4 } as const
export const compatible = { lazyRefcounts: 0 } as const
export const autoclear = { bitmaps: 0, rawDataFile: 1 } as const

/** The features this program knows, with the names that qemu writes into the feature name table. */
export const knownFeatures: readonly { readonly type: 0 | 1 | 2; readonly bit: number; readonly name: string }[] = [
  { type: 0, bit: incompatible.dirty, name: 'dirty bit' },
  { type: 0, bit: incompatible.corrupt, name: 'corrupt bit' },
  { type: 0, bit: incompatible.dataFile, name: 'external data file' },
  { type: 0, bit: incompatible.compressionType, name: 'compression type' },
  { type: 0, bit: incompatible.extendedL2, name: 'extended L2 entries' },
  { type: 1, bit: compatible.lazyRefcounts, name: 'lazy refcounts' },
  { type: 2, bit: autoclear.bitmaps, name: 'bitmaps' },
  { type: 2, bit: autoclear.rawDataFile, name: 'raw external data' },
]
