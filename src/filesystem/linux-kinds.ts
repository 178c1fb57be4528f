import { crc32 } from '../binary/checksum.js'
import type { BlockSource } from '../block/types.js'
import { familyOf, marked, powerOfTwo, storedUuid, type Kind, type Recognised } from './kinds.js'
import { utf8Label } from './labels.js'
import { bytesAt } from './volume-reader.js'

const kibibyte = 1024
const mebibyte = 1048576

/** Linux, fs/jfs/jfs_superblock.h. Its size leaves out the log behind it. */
const jfs: Kind = {
  type: 'jfs',
  title: 'JFS',
  kind: 'filesystem',
  smallest: 16 * mebibyte,
  look: (volume) => {
    const bytes = marked(volume, 32 * kibibyte, 184, 'JFS1')
    if (bytes === undefined) return undefined
    const [size, shift, factor, physical, physicalShift] = [
      bytes.readUInt32LE(16),
      bytes.readUInt16LE(20),
      bytes.readUInt16LE(22),
      bytes.readUInt32LE(24),
      bytes.readUInt16LE(28),
    ]
    if (size !== powerOfTwo(shift) || physical !== powerOfTwo(physicalShift) || shift - physicalShift !== factor)
      return undefined
    return {
      label: utf8Label(bytes.subarray(152, 168)),
      uuid: storedUuid(bytes, 136),
      blockSize: size,
    }
  },
}

/** Linux, fs/reiserfs/reiserfs.h; the places and marks of versions 3.5, 3.6, and with another journal. */
const reiserPlaces: readonly (readonly [position: number, mark: string, at: number, version: string])[] = [
  [8 * kibibyte, 'ReIsErFs', 52, '3.5'],
  [64 * kibibyte, 'ReIsEr2Fs', 52, '3.6'],
  [64 * kibibyte, 'ReIsEr3Fs', 52, 'JR'],
  [64 * kibibyte, 'ReIsErFs', 52, '3.5'],
  [8 * kibibyte, 'ReIsErFs', 20, '3.5'],
]
const reiserfs: Kind = {
  type: 'reiserfs',
  title: 'ReiserFS',
  kind: 'filesystem',
  smallest: 128 * kibibyte,
  look: (volume) => {
    for (const [position, mark, at, version] of reiserPlaces) {
      const bytes = marked(volume, position, 116, mark, at)
      const blockSize = bytes?.readUInt16LE(44) ?? 0
      // A superblock inside the journal is an older one's.
      if (
        bytes === undefined ||
        blockSize < 512 ||
        Math.floor(position / (blockSize * 2)) > Math.floor(bytes.readUInt32LE(12) / 2)
      )
        continue
      const named = version !== '3.5'
      return {
        version,
        blockSize,
        size: bytes.readUInt32LE(0) * blockSize,
        label: named ? utf8Label(bytes.subarray(100, 116)) : undefined,
        uuid: named ? storedUuid(bytes, 84) : undefined,
      }
    }
    return undefined
  },
}

const reiser4: Kind = {
  type: 'reiser4',
  title: 'Reiser4',
  kind: 'filesystem',
  smallest: 128 * kibibyte,
  look: (volume) => {
    const bytes = marked(volume, 64 * kibibyte, 60, 'ReIsEr4')
    const blockSize = (bytes?.readUInt8(19) ?? 0) * 256
    if (bytes === undefined || blockSize < 512) return undefined
    return {
      version: '4',
      blockSize,
      label: utf8Label(bytes.subarray(36, 52)),
      uuid: storedUuid(bytes, 20),
    }
  },
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

/** Linux, include/uapi/linux/cramfs_fs.h. The checksum is that of all of it, with its own field zero. */
const cramfs: Kind = {
  type: 'cramfs',
  title: 'cramfs',
  kind: 'filesystem',
  look: (volume) => {
    const little = marked(volume, 0, 64, 0x28cd3d45)
    const bytes = little ?? marked(volume, 0, 64, 0x453dcd28)
    if (bytes === undefined || bytes.toString('latin1', 16, 32) !== 'Compressed ROMFS') return undefined
    const word = (at: number): number => (little === undefined ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at))
    const version = word(8) % 2 === 1 ? 2 : 1
    const size = word(4)
    return {
      version: String(version),
      size,
      blockSize: 4096,
      checksum: version === 2 && size >= 64 ? cramfsSum(volume, size) === word(32) : undefined,
      label: utf8Label(bytes.subarray(48, 64)),
      facts: [{ name: 'byteOrder', value: little === undefined ? 'big-endian' : 'little-endian' }],
    }
  },
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

/** Linux, Documentation/filesystems/romfs.rst: the words of the first 512 bytes have the sum 0. */
const romfs: Kind = {
  type: 'romfs',
  title: 'romfs',
  kind: 'filesystem',
  look: (volume) => {
    const bytes = marked(volume, 0, 32, '-rom1fs-')
    if (bytes === undefined) return undefined
    const size = bytes.readUInt32BE(8)
    const summed = bytesAt(volume, 0, Math.min(size, 512))
    let sum = 0
    const view = summed === undefined ? undefined : Buffer.from(summed)
    for (let at = 0; view !== undefined && at + 4 <= view.length; at += 4) sum = (sum + view.readUInt32BE(at)) % 2 ** 32
    return {
      size,
      blockSize: 1024,
      checksum: view !== undefined && sum === 0,
      label: utf8Label(bytes.subarray(16, 32)),
    }
  },
}

/** Linux, fs/ubifs/ubifs-media.h: the superblock node of a volume of UBI. */
const ubifs: Kind = {
  type: 'ubifs',
  title: 'UBIFS',
  kind: 'filesystem',
  look: (volume) => {
    const bytes = marked(volume, 0, 4096, 0x06101831)
    // Node type 6 is the superblock.
    if (bytes?.readUInt8(20) !== 6) return undefined
    return {
      version: `w${bytes.readUInt32LE(80)}r${bytes.readUInt32LE(124)}`,
      blockSize: bytes.readUInt32LE(36),
      uuid: storedUuid(bytes, 108),
      checksum: plainCrc(bytes.subarray(8), 0xffffffff) === bytes.readUInt32LE(4),
    }
  },
}

/** Linux, include/uapi/linux/gfs2_ondisk.h; GFS has the same head with other format numbers. */
function gfs(type: 'gfs' | 'gfs2', formats: readonly (readonly [least: number, most: number])[]): Kind {
  return {
    type,
    title: type.toUpperCase(),
    kind: 'filesystem',
    smallest: 32 * mebibyte,
    look: (volume) => {
      const bytes = marked(volume, 64 * kibibyte, 272, 0x70191601)
      if (bytes === undefined) return undefined
      const numbers = [bytes.readUInt32BE(24), bytes.readUInt32BE(28)]
      if (formats.some(([least, most], index) => (numbers[index] ?? 0) < least || (numbers[index] ?? 0) > most))
        return undefined
      return {
        version: type === 'gfs2' ? '1' : undefined,
        blockSize: type === 'gfs2' ? bytes.readUInt32BE(36) : undefined,
        label: utf8Label(bytes.subarray(160, 224)),
        uuid: storedUuid(bytes, 256),
      }
    },
  }
}

/** Linux, fs/ocfs2/ocfs2_fs.h: in the third block, whatever the size of blocks. */
const ocfs2: Kind = {
  type: 'ocfs2',
  title: 'OCFS2',
  kind: 'filesystem',
  smallest: 14_000 * kibibyte,
  look: (volume) => {
    const bytes = [1, 2, 4, 8].map((at) => marked(volume, at * kibibyte, 352, 'OCFSV2')).find((head) => head)
    if (bytes === undefined) return undefined
    const clusterSize = powerOfTwo(bytes.readUInt32LE(252))
    return {
      version: `${bytes.readUInt16LE(192)}.${bytes.readUInt16LE(194)}`,
      blockSize: powerOfTwo(bytes.readUInt32LE(248)),
      size: clusterSize === undefined ? undefined : bytes.readUInt32LE(20) * clusterSize,
      label: utf8Label(bytes.subarray(272, 336)),
      uuid: storedUuid(bytes, 336),
    }
  },
}

const ocfs: Kind = {
  type: 'ocfs',
  title: 'OCFS',
  kind: 'filesystem',
  smallest: 14_000 * kibibyte,
  look: (volume) => {
    const head = marked(volume, 8 * kibibyte + 8, 128, 'OracleCFS') ?? marked(volume, 8 * kibibyte, 128, 'OracleCFS')
    return head === undefined ? undefined : {}
  },
}

/** The log of an XFS on a volume of its own (fs/xfs/libxfs/xfs_log_format.h): a record in its first 256 KiB. */
const xfsLog: Kind = {
  type: 'xfs_external_log',
  title: 'XFS external log',
  kind: 'container',
  smallest: 512 * kibibyte,
  look: (volume): Recognised | undefined => {
    for (let position = 0; position < 256 * kibibyte; position += 512) {
      const bytes = bytesAt(volume, position, 512)
      if (bytes === undefined) return undefined
      const sector = Buffer.from(bytes)
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
export const linuxKinds = familyOf('linux', [
  jfs,
  reiserfs,
  reiser4,
  nilfs2,
  cramfs,
  romfs,
  ubifs,
  gfs('gfs2', [
    [1800, 1899],
    [1900, 1999],
  ]),
  gfs('gfs', [
    [1309, 1309],
    [1401, 1401],
  ]),
  ocfs2,
  ocfs,
  xfsLog,
])
