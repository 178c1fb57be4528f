import { crc32 } from '../binary/checksum.js'
import type { BlockSource } from '../block/types.js'
import { familyOf, powerOfTwo, storedUuid, superblockKind, type Kind, type Recognised } from './kinds.js'
import type { Superblock, SuperblockKind } from './kinds.js'
import { utf8Label } from './labels.js'
import { bytesAt } from './volume-reader.js'

const kibibyte = 1024
const mebibyte = 1048576

/** Filesystems of Linux and of clusters, by their superblocks. */
const superblocks: readonly SuperblockKind[] = [
  {
    // Linux, fs/jfs/jfs_superblock.h. Its size leaves out the log behind it.
    type: 'jfs',
    title: 'JFS',
    smallest: 16 * mebibyte,
    places: [{ position: 32 * kibibyte, mark: 'JFS1' }],
    length: 184,
    label: [152, 168],
    uuid: 136,
    blockSize: ({ u32 }) => u32(16),
    rest: ({ u16, u32 }) => {
      const [shift, factor, physicalShift] = [u16(20), u16(22), u16(28)]
      const isOne =
        u32(16) === powerOfTwo(shift) && u32(24) === powerOfTwo(physicalShift) && shift - physicalShift === factor
      return isOne ? {} : undefined
    },
  },
  {
    // Linux, fs/reiserfs/reiserfs.h; the places and marks of versions 3.5, 3.6, and with another journal.
    type: 'reiserfs',
    title: 'ReiserFS',
    smallest: 128 * kibibyte,
    places: [
      { position: 8 * kibibyte, mark: 'ReIsErFs', at: 52, version: '3.5' },
      { position: 64 * kibibyte, mark: 'ReIsEr2Fs', at: 52, version: '3.6' },
      { position: 64 * kibibyte, mark: 'ReIsEr3Fs', at: 52, version: 'JR' },
      { position: 64 * kibibyte, mark: 'ReIsErFs', at: 52, version: '3.5' },
      { position: 8 * kibibyte, mark: 'ReIsErFs', at: 20, version: '3.5' },
    ],
    length: 116,
    blockSize: ({ u16 }) => u16(44),
    size: ({ u16, u32 }) => u32(0) * u16(44),
    rest: ({ u16, u32, bytes, place }) => {
      const blockSize = u16(44)
      // A superblock inside the journal is an older one's.
      if (blockSize < 512 || Math.floor(place.position / (blockSize * 2)) > Math.floor(u32(12) / 2)) return undefined
      if (place.version === '3.5') return {}
      return { label: utf8Label(bytes.subarray(100, 116)), uuid: storedUuid(bytes, 84) }
    },
  },
  {
    type: 'reiser4',
    title: 'Reiser4',
    smallest: 128 * kibibyte,
    places: [{ position: 64 * kibibyte, mark: 'ReIsEr4', version: '4' }],
    length: 60,
    label: [36, 52],
    uuid: 20,
    blockSize: ({ bytes }) => bytes.readUInt8(19) * 256,
    rest: ({ bytes }) => (bytes.readUInt8(19) < 2 ? undefined : {}),
  },
  {
    // Linux, include/uapi/linux/cramfs_fs.h. The checksum is that of all of it, with its own field zero.
    type: 'cramfs',
    title: 'cramfs',
    places: [
      { position: 0, mark: 0x28cd3d45 },
      { position: 0, mark: 0x453dcd28, order: 'big-endian' },
    ],
    length: 64,
    label: [48, 64],
    blockSize: 4096,
    size: ({ u32 }) => u32(4),
    version: ({ u32 }) => (u32(8) % 2 === 1 ? '2' : '1'),
    rest: ({ u32, bytes, order }, volume) => {
      if (bytes.toString('latin1', 16, 32) !== 'Compressed ROMFS') return undefined
      const [size, isSummed] = [u32(4), u32(8) % 2 === 1]
      return {
        checksum: isSummed && size >= 64 ? cramfsSum(volume, size) === u32(32) : undefined,
        facts: [{ name: 'byteOrder', value: order }],
      }
    },
  },
  {
    // Linux, Documentation/filesystems/romfs.rst: the words of the first 512 bytes have the sum 0.
    type: 'romfs',
    title: 'romfs',
    places: [{ position: 0, mark: '-rom1fs-', order: 'big-endian' }],
    length: 32,
    label: [16, 32],
    blockSize: 1024,
    size: ({ u32 }) => u32(8),
    rest: ({ u32 }, volume) => ({ checksum: romfsSum(volume, u32(8)) === 0 }),
  },
  {
    // Linux, fs/ubifs/ubifs-media.h: the superblock node of a volume of UBI.
    type: 'ubifs',
    title: 'UBIFS',
    places: [{ position: 0, mark: 0x06101831 }],
    length: 4096,
    uuid: 108,
    blockSize: ({ u32 }) => u32(36),
    version: ({ u32 }) => `w${u32(80)}r${u32(124)}`,
    // Node type 6 is the superblock.
    rest: ({ u32, bytes }) =>
      bytes.readUInt8(20) === 6 ? { checksum: plainCrc(bytes.subarray(8), 0xffffffff) === u32(4) } : undefined,
  },
  {
    ...gfs([
      [1800, 1899],
      [1900, 1999],
    ]),
    type: 'gfs2',
    title: 'GFS2',
    version: () => '1',
    blockSize: ({ u32 }) => u32(36),
  },
  {
    ...gfs([
      [1309, 1309],
      [1401, 1401],
    ]),
    type: 'gfs',
    title: 'GFS',
  },
  {
    // Linux, fs/ocfs2/ocfs2_fs.h: in the third block, whatever the size of blocks.
    type: 'ocfs2',
    title: 'OCFS2',
    smallest: 14_000 * kibibyte,
    places: [1, 2, 4, 8].map((at) => ({ position: at * kibibyte, mark: 'OCFSV2' })),
    length: 352,
    label: [272, 336],
    uuid: 336,
    blockSize: ({ u32 }) => powerOfTwo(u32(248)),
    version: ({ u16 }) => `${u16(192)}.${u16(194)}`,
    size: ({ u32 }) => {
      const clusterSize = powerOfTwo(u32(252))
      return clusterSize === undefined ? undefined : u32(20) * clusterSize
    },
  },
  {
    type: 'ocfs',
    title: 'OCFS',
    smallest: 14_000 * kibibyte,
    places: [
      { position: 8 * kibibyte + 8, mark: 'OracleCFS' },
      { position: 8 * kibibyte, mark: 'OracleCFS' },
    ],
    length: 128,
  },
]

/** Linux, include/uapi/linux/gfs2_ondisk.h; GFS has the same head with other format numbers. */
function gfs(
  formats: readonly (readonly [least: number, most: number])[],
): Omit<SuperblockKind, 'type' | 'title'> & { rest: (superblock: Superblock) => Recognised | undefined } {
  return {
    smallest: 32 * mebibyte,
    places: [{ position: 64 * kibibyte, mark: 0x70191601, order: 'big-endian' }],
    length: 272,
    label: [160, 224],
    uuid: 256,
    rest: ({ u32 }) =>
      formats.every(([least, most], index) => u32(24 + 4 * index) >= least && u32(24 + 4 * index) <= most)
        ? {}
        : undefined,
  }
}

/** Linux, include/uapi/linux/nilfs2_ondisk.h: one superblock at 1024, one in the last 4 KiB; the newer one counts. */
const nilfs2: Kind = {
  type: 'nilfs2',
  title: 'NILFS2',
  kind: 'filesystem',
  smallest: mebibyte,
  look: (volume) => {
    const second = (Math.floor(volume.capacity / 512) - 8) * 512
    const [first, backup] = [nilfsSuperblock(volume, 1024), nilfsSuperblock(volume, second)]
    const newer =
      first === undefined || (backup !== undefined && first.readBigUInt64LE(56) < backup.readBigUInt64LE(56))
        ? backup
        : first
    if (newer === undefined) return undefined
    return {
      version: String(newer.readUInt32LE(0)),
      blockSize: newer.readUInt32LE(20) <= 6 ? 1024 * 2 ** newer.readUInt32LE(20) : undefined,
      size: Number(newer.readBigUInt64LE(32)),
      label: utf8Label(newer.subarray(168, 248)),
      uuid: storedUuid(newer, 152),
    }
  },
}

function nilfsSuperblock(volume: BlockSource, position: number): Buffer | undefined {
  const bytes = bytesAt(volume, position, 1024)
  if (bytes === undefined) return undefined
  const buffer = Buffer.from(bytes)
  const length = buffer.readUInt16LE(8)
  if (buffer.readUInt16LE(6) !== 0x3434 || length < 20 || length > 1024) return undefined
  const [seed, stored] = [buffer.readUInt32LE(12), buffer.readUInt32LE(16)]
  buffer.writeUInt32LE(0, 16)
  return plainCrc(buffer.subarray(0, length), seed) === stored ? buffer : undefined
}

/** CRC-32 that begins with a number of its own, and is not inverted at its end. */
function plainCrc(bytes: Uint8Array, seed: number): number {
  return 0xffffffff - crc32(bytes, 0xffffffff - seed)
}

/** Undefined where the image is cut short. Larger than 256 MiB (the format's limit) is none. */
function cramfsSum(volume: BlockSource, size: number): number | undefined {
  if (size > volume.capacity || size > 256 * mebibyte) return undefined
  const piece = 65536
  let sum = 0
  for (let at = 0; at < size; at += piece) {
    const bytes = new Uint8Array(Math.min(piece, size - at))
    volume.read(at, bytes)
    if (at === 0) bytes.fill(0, 32, 36)
    sum = crc32(bytes, sum)
  }
  return sum
}

/** The sum of the words in the first 512 bytes; undefined where the image is cut short. */
function romfsSum(volume: BlockSource, size: number): number | undefined {
  const bytes = bytesAt(volume, 0, Math.min(size, 512))
  if (bytes === undefined) return undefined
  const words = Buffer.from(bytes)
  let sum = 0
  for (let at = 0; at + 4 <= words.length; at += 4) sum = (sum + words.readUInt32BE(at)) % 2 ** 32
  return sum
}

/** The log of an XFS on a volume of its own (fs/xfs/libxfs/xfs_log_format.h): a record in its first 256 KiB. */
const xfsLog: Kind = {
  type: 'xfs_external_log',
  title: 'XFS external log',
  kind: 'container',
  smallest: 512 * kibibyte,
  look: (volume): Recognised | undefined => {
    // One read: a disk takes as long for each sector that is asked for by itself.
    const bytes = bytesAt(volume, 0, 256 * kibibyte)
    if (bytes === undefined) return undefined
    for (let position = 0; position < bytes.length; position += 512) {
      const sector = Buffer.from(bytes.buffer, bytes.byteOffset + position, 512)
      // An XFS, perhaps moved by some sectors: its own log lies in it.
      if (sector.toString('latin1', 0, 4) === 'XFSB') return undefined
      const [magic, version, length, format] = [0, 8, 12, 300].map((at) => sector.readUInt32BE(at))
      if (magic !== 0xfeedbabe || version === undefined || version < 1 || version > 3) continue
      if (length === undefined || length === 0 || length > 0x7fffffff) continue
      if (format === undefined || format < 1 || format > 3) continue
      const uuid = storedUuid(sector, 304)
      return { facts: uuid === undefined ? [] : [{ name: 'logUuid', label: 'log UUID', value: uuid }] }
    }
    return undefined
  },
}

/** Filesystems of Linux and of clusters that are named, and read whole. */
export const linuxKinds = familyOf('linux', [...superblocks.map(superblockKind), nilfs2, xfsLog])
