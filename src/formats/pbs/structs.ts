import { bytes, offset64, struct, u32, uuid } from '../../binary/struct.js'

/** Files of Proxmox Backup Server (proxmox-backup, pbs-datastore), little-endian. */

export const fixedIndexMark = '\x2f\x7f\x41\xed\x91\xfd\x0f\xcd'
export const dynamicIndexMark = '\x1c\x91\x4e\xa5\x19\xba\xb3\xcd'

/** An index of chunks of one size; then 32 bytes for each chunk. */
export const indexHeader = struct('little', 4096, {
  magic: bytes(0, 8),
  uuid: uuid(8),
  created: offset64(24, 'the time of the backup'),
  indexDigest: bytes(32, 32),
  size: offset64(64, 'the size of the disk'),
  chunkSize: offset64(72, 'the size of a chunk'),
})
export const chunkDigestLength = 32

/** Before the content of a chunk or of a small file. The CRC-32 is that of what follows. */
export const blobHeader = struct('little', 12, { magic: bytes(0, 8), checksum: u32(8, 'hex') })
export const blobKinds: Readonly<Record<string, 'plain' | 'zstd' | 'encrypted'>> = {
  '42ab3807be8370a1': 'plain',
  '31b958426fb6a37f': 'zstd',
  '7b6785be222d4cf0': 'encrypted',
  e6591bbf0bbfd80b: 'encrypted',
}
