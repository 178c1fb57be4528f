import { isZero } from '../binary/zero.js'
import type { BlockSource } from '../block/types.js'
import { familyOf, marked, type Kind, type Recognised } from './kinds.js'
import { bytesAt } from './volume-reader.js'

/** All but DDF are written by the firmware of BIOS-RAID controllers into the last sectors of whole disks. */
const sector = 512

/** Recognises a kind by what `look` makes of the sectors that begin `back` sectors before the end. */
function atEnd(
  type: string,
  title: string,
  smallest: number,
  places: readonly number[],
  look: (bytes: Buffer, volume: BlockSource) => Pick<Recognised, 'version' | 'uuid' | 'checksum'> | undefined,
): Kind {
  return {
    type,
    title,
    kind: 'container',
    smallest,
    look: (volume) => {
      const sectors = Math.floor(volume.capacity / sector)
      for (const back of places) {
        const position = (sectors - back) * sector
        const bytes = bytesAt(volume, position, sector)
        const found = bytes === undefined ? undefined : look(Buffer.from(bytes), volume)
        // What lies behind belongs to it too.
        if (found !== undefined) return { ...found, marks: [{ offset: position, length: volume.capacity - position }] }
      }
      return undefined
    },
  }
}

const startsWith = (bytes: Buffer, mark: string): boolean => bytes.toString('latin1', 0, mark.length) === mark

/** The sum of 16-bit words, little-endian, up to `end`. */
function sumOfWords(bytes: Buffer, end: number): number {
  let sum = 0
  for (let at = 0; at < end; at += 2) sum = (sum + bytes.readUInt16LE(at)) % 65536
  return sum
}

function sumOfDoubleWords(bytes: Buffer, end: number): number {
  let sum = 0
  for (let at = 0; at < end; at += 4) sum = (sum + bytes.readUInt32LE(at)) % 2 ** 32
  return sum
}

const intelMark = 'Intel Raid ISM Cfg Sig. '

const kinds: readonly Kind[] = [
  // SNIA Common RAID DDF, 5.5: an anchor in the last sector, which leads to the primary header.
  atEnd('ddf_raid_member', 'DDF RAID', 0x30000, [1, 257], (bytes, volume) => {
    if (bytes.readUInt32BE(0) !== 0xde11de11) return undefined
    const primary = Number(bytes.readBigUInt64BE(96)) * sector
    if (primary > 0 && marked(volume, primary, 4, 0x11de11de) === undefined) return undefined
    return {
      version: bytes.toString('latin1', 32, 40),
      uuid: bytes.toString('latin1', 8, 32).replace(/[\0 ]+$/, ''),
    }
  }),
  atEnd('isw_raid_member', 'Intel RAID', 0x10000, [2], (bytes) =>
    startsWith(bytes, intelMark)
      ? { version: bytes.toString('latin1', intelMark.length, intelMark.length + 8).replace(/\0.*$/s, '') }
      : undefined,
  ),
  atEnd('lsi_mega_raid_member', 'LSI MegaRAID', 0x10000, [1], (bytes) =>
    startsWith(bytes, '$XIDE$') ? {} : undefined,
  ),
  atEnd('via_raid_member', 'VIA RAID', 0x10000, [1], (bytes) => {
    if (bytes.readUInt16LE(0) !== 0xaa55 || bytes.readUInt8(2) > 2 || isZero(bytes.subarray(2, 50))) return undefined
    let sum = 0
    for (const byte of bytes.subarray(0, 50)) sum = (sum + byte) % 256
    return sum === bytes.readUInt8(50) ? { version: String(bytes.readUInt8(2)) } : undefined
  }),
  atEnd('silicon_medley_raid_member', 'Silicon Image RAID', 0x10000, [1], (bytes) => {
    if (bytes.readUInt32LE(0x60) !== 0x2f000000 || bytes.readUInt8(0x116) >= 8) return undefined
    if ((sumOfWords(bytes, 0x13e) + bytes.readUInt16LE(0x13e)) % 65536 !== 0) return undefined
    return { version: `${bytes.readUInt16LE(0x10a)}.${bytes.readUInt16LE(0x108)}` }
  }),
  atEnd('nvidia_raid_member', 'NVIDIA RAID', 0x10000, [2], (bytes) =>
    startsWith(bytes, 'NVIDIA  ') && bytes.readUInt32LE(8) === 30
      ? { version: String(bytes.readUInt16LE(16)), checksum: sumOfDoubleWords(bytes, 120) === 0 }
      : undefined,
  ),
  atEnd(
    'promise_fasttrack_raid_member',
    'Promise FastTrak RAID',
    0x40000,
    [63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087],
    (bytes) => (startsWith(bytes, 'Promise Technology, Inc.') ? {} : undefined),
  ),
  atEnd('hpt45x_raid_member', 'HighPoint 45x RAID', 0x10000, [11], (bytes) =>
    [0x5a7816f3, 0x5a7816fd].includes(bytes.readUInt32LE(0)) ? {} : undefined,
  ),
  {
    type: 'hpt37x_raid_member',
    title: 'HighPoint 37x RAID',
    kind: 'container',
    look: (volume) =>
      [0x5a7816f0, 0x5a7816fd].some((mark) => marked(volume, 4608, sector, mark, 32) !== undefined)
        ? { marks: [{ offset: 4608, length: sector }] }
        : undefined,
  },
  atEnd('adaptec_raid_member', 'Adaptec RAID', 0x10000, [1], (bytes) =>
    bytes.readUInt32BE(0) === 0x37fc4d1e && bytes.readUInt32BE(256) === 0x4450544d
      ? { version: String(bytes.readUInt8(63)) }
      : undefined,
  ),
  atEnd('jmicron_raid_member', 'JMicron RAID', 0x10000, [1], (bytes) => {
    if (!startsWith(bytes, 'JM') || bytes.readUInt8(0x30) > 5 || sumOfWords(bytes, 128) > 1) return undefined
    return { version: `${bytes.readUInt8(3)}.${bytes.readUInt8(2)}` }
  }),
]

/** Members of arrays of BIOS-RAID controllers. */
export const biosRaid = familyOf('bios-raid', kinds)
