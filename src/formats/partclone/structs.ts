import { ascii, offset64, struct, u16, u32, u8, type Endian, type Struct } from '../../binary/struct.js'

export const magic = 'partclone-image'
export const versions = { one: '0001', two: '0002' } as const

/** Byte 34 of version 2 as a little-endian machine writes it (0xC0DE); a big-endian one writes it the other way. */
export const littleMark = 0xde

const fieldsOfTwo = {
  magic: ascii(0, 16),
  program: ascii(16, 14),
  version: ascii(30, 4),
  byteOrder: u16(34),
  filesystem: ascii(36, 16),
  deviceSize: offset64(52, 'the size of the device'),
  totalBlocks: offset64(60, 'the count of blocks'),
  usedBySuperBlock: offset64(68, 'the count of used blocks'),
  usedBlocks: offset64(76, 'the count of stored blocks'),
  blockSize: u32(84),
  featureSize: u32(88),
  imageVersion: u16(92),
  cpuBits: u16(94),
  checksumMode: u16(96),
  checksumSize: u16(98),
  blocksPerChecksum: u32(100),
  reseed: u8(104),
  bitmapMode: u8(105),
  checksum: u32(106, 'hex'),
}

/** Version 2 (partclone 0.3.0 and later), packed, in the byte order of the machine that wrote it. */
export function headerTwo(order: Endian): Struct<typeof fieldsOfTwo> {
  return struct(order, 110, fieldsOfTwo)
}

/** Version 1: a C structure, with its padding. */
export const headerOne = struct('little', 64, {
  magic: ascii(0, 15),
  filesystem: ascii(15, 15),
  version: ascii(30, 4),
  blockSize: u32(36),
  deviceSize: offset64(40, 'the size of the device'),
  totalBlocks: offset64(48, 'the count of blocks'),
  usedBlocks: offset64(56, 'the count of used blocks'),
})

/** Where the bytes of the bitmap begin in version 1: behind 4096 bytes of options that nothing uses. */
export const bitmapOfOne = 4160

/** What follows a bitmap of a byte a block. */
export const bitmapMark = 'BiTmAgIc'

/** How the stored blocks are listed. */
export const bitmapMode = { none: 0, bits: 1, bytes: 8 } as const

export const checksumMode = { none: 0, crc32: 0x20, xxh64: 0x30, xxh128: 0x31 } as const
