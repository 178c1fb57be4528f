import { ascii, bytes, flags32, struct, u16, u32, u64, u8, type StructValues } from '../../../binary/struct.js'

/** The unit of all places in a VMDK, in bytes. */
export const sectorLength = 512

/** `KDMV`, and what open-vmdk writes as long as an image is not finished. */
export const sparseMagic = 'KDMV'
export const unfinishedMagic = 'kdmv'
export const cowdMagic = 'COWD'

/** `gdOffset` of a header whose footer has the real one. */
export const gdAtEnd = 0xffffffffffffffffn

/** Flags of a hosted sparse extent. */
export const flag = {
  newlineTest: 0x1n,
  redundantTable: 0x2n,
  zeroedGrain: 0x4n,
  compressed: 0x10000n,
  markers: 0x20000n,
}
export const knownFlags = 0x30007n
/** Unknown flags from here on change what the data means; below they may be ignored. */
export const incompatibleFlags = 0xffff0000n

/** Header of a hosted sparse extent (Virtual Disk Format 5.0, "Hosted Sparse Extent Header"). Places in sectors. */
export const sparseHeader = struct('little', 512, {
  magic: ascii(0, 4),
  version: u32(4),
  flags: flags32(8),
  capacity: u64(12),
  grainSize: u64(20),
  descriptorOffset: u64(28),
  descriptorSize: u64(36),
  gtesPerGt: u32(44),
  rgdOffset: u64(48, 'hex'),
  gdOffset: u64(56, 'hex'),
  overhead: u64(64),
  uncleanShutdown: u8(72),
  newlines: bytes(73, 4),
  compression: u16(77),
})
export type SparseHeaderValues = StructValues<typeof sparseHeader>

/** What a transfer as text changes: LF, blank, CR LF. */
export const newlineBytes = Uint8Array.of(0x0a, 0x20, 0x0d, 0x0a)

/** Where {@link sparseHeader} has them, in bytes: for changes of those fields alone. */
export const capacityAt = 12
export const rgdAt = 48
export const gdAt = 56
export const uncleanAt = 72

/** A marker of a stream-optimised extent. Data of a grain begins at {@link grainDataAt}. */
export const marker = struct('little', 16, { value: u64(0), size: u32(8), type: u32(12) })
export const grainDataAt = 12
/** Types of markers; `progress` is in exports of recent vSphere and documented nowhere. */
export const markerType = { endOfStream: 0, grainTable: 1, grainDirectory: 2, footer: 3, progress: 4 }

/** ESX Server sparse extent (COWD). Places in sectors. */
export const cowdHeader = struct('little', 2048, {
  magic: ascii(0, 4),
  version: u32(4),
  flags: flags32(8),
  sectors: u32(12),
  grainSize: u32(16),
  gdOffset: u32(20),
  gdEntries: u32(24),
  freeSector: u32(28),
  parentFileName: ascii(32, 1024),
  parentGeneration: u32(1056),
  generation: u32(1060),
  name: ascii(1064, 60),
  description: ascii(1124, 512),
  savedGeneration: u32(1636),
  uncleanShutdown: u32(1648),
})
/** Entries of a grain table of a COWD. */
export const cowdTableEntries = 4096

export const seSparseMagic = 0xcafebaben
export const seSparseVersion = 0x200000001n
export const seSparseVolatileMagic = 0xcafecafen

/** The constant header of an SE sparse extent. Places and sizes in sectors. */
export const seSparseHeader = struct('little', 512, {
  magic: u64(0, 'hex'),
  version: u64(8, 'hex'),
  capacity: u64(16),
  grainSize: u64(24),
  gtSize: u64(32),
  flags: u64(40, 'hex'),
  reserved1: u64(48),
  reserved2: u64(56),
  reserved3: u64(64),
  reserved4: u64(72),
  volatileHeaderOffset: u64(80),
  volatileHeaderSize: u64(88),
  journalHeaderOffset: u64(96),
  journalHeaderSize: u64(104),
  journalOffset: u64(112),
  journalSize: u64(120),
  gdOffset: u64(128),
  gdSize: u64(136),
  gtsOffset: u64(144),
  gtsSize: u64(152),
  freeBitmapOffset: u64(160),
  freeBitmapSize: u64(168),
  backmapOffset: u64(176),
  backmapSize: u64(184),
  grainsOffset: u64(192),
  grainsSize: u64(200),
})

/** What changes of an SE sparse extent. */
export const seSparseVolatile = struct('little', 512, {
  magic: u64(0, 'hex'),
  freeGtNumber: u64(8),
  nextTransaction: u64(16),
  replayJournal: u64(24),
})
