import type { BlockSource } from '../block/types.js'
import { familyOf, marked, type Kind, type Recognised } from './kinds.js'
import { utf8Label } from './labels.js'
import { serialText } from './identification.js'
import { bytesAt } from './volume-reader.js'

const kibibyte = 1024

/** Fields in either byte order. */
interface Words {
  readonly u16: (at: number) => number
  readonly u32: (at: number) => number
}

function words(bytes: Buffer, little: boolean): Words {
  return {
    u16: (at) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)),
    u32: (at) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at)),
  }
}

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
    return [true, false].map((little) => minixIn(words(head, little), head)).find((found) => found !== undefined)
  },
}

function minixIn({ u16, u32 }: Words, head: Buffer): Recognised | undefined {
  const third = u16(24) === minix3Mark
  const version = minixMarks[u16(16)] ?? (third ? 3 : undefined)
  if (version === undefined) return undefined
  const isThird = version === 3
  const inodes = isThird ? u32(0) : u16(0)
  const zones = isThird || version === 2 ? u32(20) : u16(2)
  const [inodeMaps, zoneMaps, firstZone, shift] = (isThird ? [6, 8, 10, 12] : [4, 6, 8, 10]).map(u16)
  if (inodeMaps === undefined || zoneMaps === undefined || firstZone === undefined || shift !== 0) return undefined
  // State: valid, with errors, or neither.
  if (!isThird && u16(18) > 3) return undefined
  if (inodes === 0 || inodes === 0xffffffff || firstZone > zones) return undefined
  if (inodeMaps * minixBits < inodes + 1 || zoneMaps * minixBits < zones - firstZone + 1) return undefined
  const blockSize = isThird ? u16(28) : kibibyte
  return {
    version: String(version),
    blockSize,
    size: zones * blockSize,
    facts: [
      {
        name: 'byteOrder',
        value: head.readUInt16LE(isThird ? 24 : 16) === u16(isThird ? 24 : 16) ? 'little-endian' : 'big-endian',
      },
    ],
  }
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
      for (const little of [true, false]) {
        const { u32 } = words(head, little)
        const version = ufsMarks[u32(1372)]
        if (version === undefined) continue
        const blockSize = u32(52)
        const id = [u32(144), u32(148)].map((word) => word.toString(16).padStart(8, '0')).join('')
        const fragments =
          version === '1' ? u32(36) : Number(little ? head.readBigUInt64LE(1080) : head.readBigUInt64BE(1080))
        return {
          version,
          blockSize,
          size: fragments * blockSize,
          label: version === '2' ? utf8Label(head.subarray(680, 712)) : undefined,
          uuid: /^0+$/.test(id) ? undefined : id,
          facts: [{ name: 'byteOrder', value: little ? 'little-endian' : 'big-endian' }],
        }
      }
    }
    return undefined
  },
}

/** Linux, fs/freevxfs/vxfs.h: at 1 KiB (UnixWare), or in the other byte order at 8 KiB (HP-UX). */
const vxfs: Kind = {
  type: 'vxfs',
  title: 'VxFS',
  kind: 'filesystem',
  look: (volume) => {
    const little = marked(volume, kibibyte, 44, 0xa501fcf5)
    const head = little ?? marked(volume, 8 * kibibyte, 44, 0xf5fc01a5)
    if (head === undefined) return undefined
    const { u32 } = words(head, little !== undefined)
    return { version: String(u32(4)), blockSize: u32(32) }
  },
}

/** The boot filesystem of SCO UnixWare (Linux, include/uapi/linux/bfs_fs.h). */
const bfs: Kind = {
  type: 'bfs',
  title: 'BFS',
  kind: 'filesystem',
  look: (volume) => (marked(volume, 0, 16, 0x1badface) === undefined ? undefined : { blockSize: 512 }),
}

/** OS/2 (Linux, fs/hpfs/hpfs.h): a superblock, a spare one, and a boot sector that may have label and serial number. */
const hpfs: Kind = {
  type: 'hpfs',
  title: 'HPFS',
  kind: 'filesystem',
  look: (volume) => {
    const head = marked(volume, 0x2000, 16, 0xf995e849)
    if (head === undefined || marked(volume, 0x2200, 16, 0xf9911849) === undefined) return undefined
    const boot = marked(volume, 0, 512, 'HPFS', 54)
    const named = boot?.readUInt16LE(510) === 0xaa55 && boot.readUInt8(38) === 0x28 ? boot : undefined
    return {
      version: String(head.readUInt8(8)),
      blockSize: 512,
      label: named === undefined ? undefined : utf8Label(named.subarray(43, 54)),
      uuid: named === undefined ? undefined : serialText(named.readUInt32LE(39)),
    }
  },
}

/** BeOS and Haiku (src/add-ons/kernel/file_systems/bfs/bfs.h): its superblock lies at 0 or 512. */
const befs: Kind = {
  type: 'befs',
  title: 'BeFS',
  kind: 'filesystem',
  smallest: 1440 * kibibyte,
  look: (volume) => {
    for (const position of [0, 512]) {
      for (const little of [true, false]) {
        const found = befsAt(volume, position, little)
        if (found !== undefined) return found
      }
    }
    return undefined
  },
}

function befsAt(volume: BlockSource, position: number, little: boolean): Recognised | undefined {
  const head = marked(volume, position, 160, little ? '1SFB' : 'BFS1', 32)
  if (head === undefined) return undefined
  const { u32 } = words(head, little)
  const [order, blockSize, shift] = [u32(36), u32(40), u32(44)]
  if (order !== 0x42494745 || u32(68) !== 0xdd121031 || u32(112) !== 0x15b6830e) return undefined
  if (shift < 10 || shift > 13 || blockSize !== 2 ** shift) return undefined
  const blocks = Number(little ? head.readBigUInt64LE(48) : head.readBigUInt64BE(48))
  return {
    version: little ? 'little-endian' : 'big-endian',
    blockSize,
    size: blocks * blockSize,
    label: utf8Label(head.subarray(0, 32)),
    uuid: befsVolumeId(volume, head, { little, shift }),
  }
}

/** The number that the system gave the volume, which is an attribute in the inode of its root folder. */
function befsVolumeId(
  volume: BlockSource,
  head: Buffer,
  { little, shift }: { readonly little: boolean; readonly shift: number },
): string | undefined {
  const { u16, u32 } = words(head, little)
  const groupShift = u32(76)
  if (groupShift > 32) return undefined
  const block = u32(116) * 2 ** groupShift + u16(120)
  const inode = bytesAt(volume, block * 2 ** shift, 2 ** shift)
  if (inode === undefined) return undefined
  const bytes = Buffer.from(inode)
  const of = words(bytes, little)
  for (let at = 232; at + 8 + befsIdName.length + 3 + 8 <= bytes.length;) {
    const [name, data] = [of.u16(at + 4), of.u16(at + 6)]
    if (name === 0) return undefined
    const value = at + 8 + name + 3
    if (data === 8 && bytes.toString('latin1', at + 8, at + 8 + name) === befsIdName && value + 8 <= bytes.length)
      return (little ? bytes.readBigUInt64LE(value) : bytes.readBigUInt64BE(value)).toString(16).padStart(16, '0')
    at += 8 + name + 3 + data + 1
  }
  return undefined
}

const befsIdName = 'be:volume_id'

/** Filesystems of other systems that are named, and read whole. */
export const unixKinds = familyOf('unix', [ufs, hpfs, vxfs, befs, bfs, minix])
