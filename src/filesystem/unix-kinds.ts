import { hex32 } from '../binary/hex.js'
import type { BlockSource } from '../block/types.js'
import { familyOf, fieldsOf, marked, superblockKind, type ByteOrder, type Fields, type Kind } from './kinds.js'
import type { MarkPlace, Recognised, Superblock, SuperblockKind } from './kinds.js'
import { utf8Label } from './labels.js'
import { serialText } from './identification.js'
import { bytesAt } from './volume-reader.js'

const kibibyte = 1024
const byteOrders: readonly ByteOrder[] = ['little-endian', 'big-endian']

/** Linux, include/linux/minix_fs.h: marks of versions 1 and 2 with names of 14 and 30 bytes; version 3. */
const minixMarks: Readonly<Record<number, 1 | 2>> = { 0x137f: 1, 0x138f: 1, 0x2468: 2, 0x2478: 2 }
const minix3Mark = 0x4d5a
const minixBits = 8 * kibibyte

const minix: Kind = {
  type: 'minix',
  title: 'Minix',
  kind: 'filesystem',
  look: (volume) => {
    const bytes = bytesAt(volume, kibibyte, 64)
    if (bytes === undefined) return undefined
    const head = Buffer.from(bytes)
    // The superblocks of ext and EROFS lie there too, and may have such bytes in them.
    if (head.readUInt16LE(56) === 0xef53 || head.readUInt32LE(0) === 0xe0f5e1e2) return undefined
    return byteOrders.map((order) => minixIn(fieldsOf(head, order), head)).find((found) => found !== undefined)
  },
}

function minixIn(fields: Fields, head: Buffer): Recognised | undefined {
  const { u16, u32 } = fields
  const version = minixMarks[u16(16)] ?? (u16(24) === minix3Mark ? 3 : undefined)
  if (version === undefined || !isMinix(fields, version)) return undefined
  const blockSize = version === 3 ? u16(28) : kibibyte
  const mark = version === 3 ? 24 : 16
  return {
    version: String(version),
    blockSize,
    size: (version === 1 ? u16(2) : u32(20)) * blockSize,
    facts: [{ name: 'byteOrder', value: head.readUInt16LE(mark) === u16(mark) ? 'little-endian' : 'big-endian' }],
  }
}

/** Whether the superblock's numbers can be. */
function isMinix({ u16, u32 }: Fields, version: 1 | 2 | 3): boolean {
  const inodes = version === 3 ? u32(0) : u16(0)
  const zones = version === 1 ? u16(2) : u32(20)
  const first = version === 3 ? 6 : 4
  const [inodeMaps, zoneMaps, firstZone, shift] = [u16(first), u16(first + 2), u16(first + 4), u16(first + 6)]
  // State: valid, with errors, or neither.
  const stateHolds = version === 3 || u16(18) <= 3
  return (
    shift === 0 &&
    stateHolds &&
    inodes !== 0 &&
    inodes !== 0xffffffff &&
    firstZone <= zones &&
    inodeMaps * minixBits >= inodes + 1 &&
    zoneMaps * minixBits >= zones - firstZone + 1
  )
}

/** FreeBSD, sys/ufs/ffs/fs.h; the marks of UFS2, UFS1 and of its Sun and UnixWare relatives. */
const ufsMarks: Readonly<Record<number, '1' | '2'>> = {
  0x19540119: '2',
  0x00011954: '1',
  0x00195612: '1',
  0x00095014: '1',
  0x00612195: '1',
  0x05231994: '1',
}

const ufs: Kind = {
  type: 'ufs',
  title: 'UFS',
  kind: 'filesystem',
  look: (volume) => {
    for (const place of [0, 8, 64, 256]) {
      const bytes = bytesAt(volume, place * kibibyte, 1376)
      if (bytes === undefined) return undefined
      const head = Buffer.from(bytes)
      for (const order of byteOrders) {
        const { u32, u64 } = fieldsOf(head, order)
        const version = ufsMarks[u32(1372)]
        if (version === undefined) continue
        const blockSize = u32(52)
        const id = [u32(144), u32(148)].map((word) => hex32(word)).join('')
        const fragments = version === '1' ? u32(36) : Number(u64(1080))
        return {
          version,
          blockSize,
          size: fragments * blockSize,
          label: version === '2' ? utf8Label(head.subarray(680, 712)) : undefined,
          uuid: /^0+$/.test(id) ? undefined : id,
          facts: [{ name: 'byteOrder', value: order }],
        }
      }
    }
    return undefined
  },
}

/** By their superblocks. */
const superblocks: readonly SuperblockKind[] = [
  {
    // OS/2 (Linux, fs/hpfs/hpfs.h): a superblock, a spare one, and a boot sector that may have label and serial number.
    type: 'hpfs',
    title: 'HPFS',
    places: [{ position: 0x2000, mark: 0xf995e849 }],
    length: 16,
    blockSize: 512,
    version: ({ bytes }) => String(bytes.readUInt8(8)),
    rest: (_, volume) => {
      if (marked(volume, 0x2200, 16, 0xf9911849) === undefined) return undefined
      const boot = marked(volume, 0, 512, 'HPFS', 54)
      if (boot?.readUInt16LE(510) !== 0xaa55 || boot.readUInt8(38) !== 0x28) return {}
      return { label: utf8Label(boot.subarray(43, 54)), uuid: serialText(boot.readUInt32LE(39)) }
    },
  },
  {
    // Linux, fs/freevxfs/vxfs.h: at 1 KiB (UnixWare), or in the other byte order at 8 KiB (HP-UX).
    type: 'vxfs',
    title: 'VxFS',
    places: [
      { position: kibibyte, mark: 0xa501fcf5 },
      { position: 8 * kibibyte, mark: 0xf5fc01a5, order: 'big-endian' },
    ],
    length: 44,
    blockSize: ({ u32 }) => u32(32),
    version: ({ u32 }) => String(u32(4)),
  },
  {
    // BeOS and Haiku (src/add-ons/kernel/file_systems/bfs/bfs.h): its superblock lies at 0 or 512.
    type: 'befs',
    title: 'BeFS',
    smallest: 1440 * kibibyte,
    places: [0, 512].flatMap((position): MarkPlace[] => [
      { position, mark: '1SFB', at: 32 },
      { position, mark: 'BFS1', at: 32, order: 'big-endian' },
    ]),
    length: 160,
    label: [0, 32],
    blockSize: ({ u32 }) => u32(40),
    version: ({ order }) => order,
    size: ({ u32, u64 }) => Number(u64(48)) * u32(40),
    rest: (superblock, volume) => {
      const { u32 } = superblock
      const shift = u32(44)
      if (u32(36) !== 0x42494745 || u32(68) !== 0xdd121031 || u32(112) !== 0x15b6830e) return undefined
      if (shift < 10 || shift > 13 || u32(40) !== 2 ** shift) return undefined
      return { uuid: befsVolumeId(volume, superblock) }
    },
  },
  {
    // The boot filesystem of SCO UnixWare (Linux, include/uapi/linux/bfs_fs.h).
    type: 'bfs',
    title: 'BFS',
    places: [{ position: 0, mark: 0x1badface }],
    length: 16,
    blockSize: 512,
  },
]

/** The number that the system gave the volume, which is an attribute in the inode of its root folder. */
function befsVolumeId(volume: BlockSource, { u16, u32, order }: Superblock): string | undefined {
  const [shift, groupShift] = [u32(44), u32(76)]
  if (groupShift > 32) return undefined
  const block = u32(116) * 2 ** groupShift + u16(120)
  const inode = bytesAt(volume, block * 2 ** shift, 2 ** shift)
  if (inode === undefined) return undefined
  const bytes = Buffer.from(inode)
  const of = fieldsOf(bytes, order)
  for (let at = 232; at + 8 + befsIdName.length + 3 + 8 <= bytes.length;) {
    const [name, data] = [of.u16(at + 4), of.u16(at + 6)]
    if (name === 0) return undefined
    const value = at + 8 + name + 3
    if (data === 8 && bytes.toString('latin1', at + 8, at + 8 + name) === befsIdName && value + 8 <= bytes.length)
      return of.u64(value).toString(16).padStart(16, '0')
    at += 8 + name + 3 + data + 1
  }
  return undefined
}

const befsIdName = 'be:volume_id'

/** Filesystems of other systems that are named, and read whole. */
export const unixKinds = familyOf('unix', [ufs, ...superblocks.map(superblockKind), minix])
