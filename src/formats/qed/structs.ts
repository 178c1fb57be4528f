import { ascii, flags64, offset64, struct, u32, type StructValues } from '../../binary/struct.js'

export const magic = 'QED\0'
/** Feature bits (docs/specs/qed_spec in QEMU's source). */
export const feature = { backingFile: 1n, needCheck: 2n, backingIsRaw: 4n } as const

/** The header, little-endian. */
export const header = struct('little', 64, {
  magic: ascii(0, 4),
  clusterSize: u32(4),
  tableSize: u32(8),
  headerSize: u32(12),
  features: flags64(16),
  compatFeatures: flags64(24),
  autoclearFeatures: flags64(32),
  l1TableOffset: offset64(40, 'L1 table offset'),
  imageSize: offset64(48, 'image size'),
  backingFilenameOffset: u32(56),
  backingFilenameSize: u32(60),
})
export type HeaderValues = StructValues<typeof header>
