import { crc32 } from '../binary/checksum.js'
import type { BlockSource } from '../block/types.js'
import { familyOf, marked, storedUuid, type Kind, type Recognised } from './kinds.js'
import { utf8Label } from './labels.js'

/** DRBD, drbd_int.h: internal metadata in the last 4 KiB; marks of 8.3, 8.4 (not closed) and 9. */
const drbdMarks: readonly (readonly [mark: number, version: string])[] = [
  [0x6b027483, 'v08'],
  [0x6c027483, 'v08'],
  [0x6d027483, 'v09'],
]
/** Bytes that a bit of the bitmap stands for, and where that is written: the same in both versions. */
const drbdBlock = 4096

const drbd: Kind = {
  type: 'drbd',
  title: 'DRBD',
  kind: 'container',
  smallest: 0x10000,
  look: (volume) => {
    const position = volume.capacity - 4096
    for (const [mark, version] of drbdMarks) {
      const bytes = marked(volume, position, 4096, mark, 60)
      if (bytes?.readUInt32BE(80) !== drbdBlock) continue
      const at = version === 'v08' ? 40 : 48
      return {
        version,
        uuid: bytes.readBigUInt64BE(at).toString(16),
        marks: [{ offset: position, length: 4096 }],
      }
    }
    return undefined
  },
}

/** Linux, drivers/mtd/ubi/ubi-media.h: the head of the first erase block. */
const ubi: Kind = {
  type: 'ubi',
  title: 'UBI',
  kind: 'container',
  look: (volume) => {
    const bytes = marked(volume, 0, 64, 'UBI#')
    if (bytes === undefined) return undefined
    return {
      version: String(bytes.readUInt8(4)),
      uuid: String(bytes.readUInt32BE(24)),
      checksum: 0xffffffff - crc32(bytes.subarray(0, 60)) === bytes.readUInt32BE(60),
    }
  },
}

/** A kind of which the mark and a place for the UUID or label is all that is read. */
function simple(
  type: string,
  title: string,
  mark: string,
  position: number,
  rest: (bytes: Buffer) => Recognised = () => ({}),
): Kind {
  return {
    type,
    title,
    kind: 'container',
    look: (volume: BlockSource) => {
      const bytes = marked(volume, position, 512, mark)
      return bytes === undefined ? undefined : { ...rest(bytes) }
    },
  }
}

/** What holds other block devices, or is a part of one, and is read whole. */
export const blockKinds = familyOf('block', [
  drbd,
  ubi,
  simple('vdo', 'VDO', 'dmvdo001', 0, (bytes) => ({ uuid: storedUuid(bytes, 40) })),
  simple('stratis', 'Stratis', '!Stra0tis\x86\xff\x02^\x41rh', 516, (bytes) => ({
    uuid: bytes.toString('latin1', 60, 92).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
  })),
  simple('ceph_bluestore', 'Ceph BlueStore', 'bluestore block device', 0, (bytes) => ({
    uuid: /^[0-9a-f-]{36}$/.exec(bytes.toString('latin1', 23, 59))?.[0],
  })),
  simple('oracleasm', 'Oracle ASM', 'ORCLDISK', 32, (bytes) => ({ label: utf8Label(bytes.subarray(8, 32)) })),
  simple('DM_snapshot_cow', 'device-mapper snapshot', 'SnAp', 0, (bytes) => ({
    version: String(bytes.readUInt32LE(8)),
  })),
  simple('DM_verity_hash', 'dm-verity hashes', 'verity\0\0', 0, (bytes) => ({
    version: String(bytes.readUInt32LE(8)),
    uuid: storedUuid(bytes, 16),
  })),
  simple('DM_integrity', 'dm-integrity', 'integrt\0', 0, (bytes) => ({ version: String(bytes.readUInt8(8)) })),
])
