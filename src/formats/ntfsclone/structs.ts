import { bytes, offset64, struct, u32, u8 } from '../../binary/struct.js'

export const magic = '\0ntfsclone-image'

/** The header (ntfsprogs/ntfsclone.c, struct image_hdr), packed. */
export const header = struct('little', 50, {
  magic: bytes(0, 16),
  majorVersion: u8(16),
  minorVersion: u8(17),
  clusterSize: u32(18),
  deviceSize: offset64(22, 'the size of the device'),
  clusters: offset64(30, 'the count of clusters'),
  inUse: offset64(38, 'the count of clusters in use'),
  dataOffset: u32(46),
})

/** What a command byte says: clusters that are not stored, and one that is. */
export const commandByte = { gap: 0, cluster: 1 } as const
/** A gap is followed by the count of its clusters, 64 bits. */
export const gapLength = 9
