import { ascii, bytes, offset64, struct, u16, u32, u8 } from '../../binary/struct.js'

/** Structures of Macrium Reflect X (github.com/macrium/mrimgx_file_layout, FILE_LAYOUT.md), packed. */

export const footerMark = 'MACRIUM_FILE'
/** The last bytes of a file. */
export const footer = struct('little', 20, {
  firstBlock: offset64(0, 'the position of the first metadata block'),
  mark: ascii(8, 12),
})

/** Before each block of metadata. The MD5 is that of the bytes that follow, as they are stored. */
export const blockHeader = struct('little', 32, {
  name: ascii(0, 8),
  length: u32(8),
  digest: bytes(12, 16),
  flags: u8(28),
})
export const blockFlags = { last: 1, compressed: 2, encrypted: 4 } as const
export const blockNames = {
  description: '$JSON   ',
  trackZero: '$TRACK0 ',
  extendedTable: '$EPT    ',
  index: '$INDEX  ',
} as const

/** Where a block of a partition lies. The MD5 is that of its content. */
export const element = struct('little', 30, {
  position: offset64(0, 'the position of a block'),
  digest: bytes(8, 16),
  length: u32(24),
  file: u16(28),
})
/** Behind an element of an index that holds only what changed: the number of the block. */
export const deltaElementLength = element.size + 4

/** A boot record of an extended partition. */
export const extendedRecord = struct('little', 522, {
  sector: bytes(0, 512),
  offset: offset64(512, 'the offset of a boot record'),
  partition: u16(520),
})
