import { crc32 } from '../binary/checksum.js'
import { ascii, struct, u32, u64 } from '../binary/struct.js'
import type { BlockSource, Fact } from '../block/types.js'
import type { FilesystemFamily, FilesystemIssue } from './types.js'
import { bytesAt } from './volume-reader.js'

/** LVM2, lib/format_text/layout.h and lib/label/label.h. */
const label = struct('little', 32, {
  mark: ascii(0, 8),
  sector: u64(8),
  checksum: u32(16, 'hex'),
  offset: u32(20),
  type: ascii(24, 8),
})
const physicalVolume = struct('little', 40, { uuid: ascii(0, 32), size: u64(32) })
const location = struct('little', 16, { offset: u64(0), size: u64(8) })
const metadata = struct('little', 64, { magic: ascii(4, 16), start: u64(24), textOffset: u64(40), textSize: u64(48) })
const seed = 0xf597a6cf
const metadataMagic = ' LVM2 x[5A%r0N*>'

/** Physical volumes of LVM2: the label lies in one of the first four sectors. */
export const lvm2: FilesystemFamily = {
  id: 'lvm2',
  identify: (volume) => {
    for (let sector = 0; sector < 4; sector++) {
      const bytes = bytesAt(volume, sector * 512, 512)
      if (bytes === undefined) return []
      const values = label.read(bytes)
      if (
        values.mark !== 'LABELONE' ||
        values.type !== 'LVM2 001' ||
        values.sector !== BigInt(sector) ||
        values.offset > 512 - physicalVolume.size
      )
        continue
      const { uuid, size } = physicalVolume.read(bytes, values.offset)
      const issues: FilesystemIssue[] = checksumHolds(bytes, values.checksum)
        ? []
        : [{ code: 'E_FS_CHECKSUM', severity: 'error', message: 'the checksum of the LVM2 label is wrong' }]
      const group = groupName(volume, bytes, values.offset + physicalVolume.size)
      const facts: Fact[] = [
        ...(group === undefined ? [] : [{ name: 'volumeGroup', value: group }]),
        { name: 'labelSector', value: sector },
      ]
      const known = size > 0n && size <= BigInt(Number.MAX_SAFE_INTEGER)
      if (known && size > BigInt(volume.capacity))
        issues.push({
          code: 'W_FS_TRUNCATED',
          severity: 'error',
          message: `the physical volume has ${size} bytes, and the volume only ${volume.capacity}`,
        })
      return [
        {
          type: 'LVM2_member',
          title: 'LVM2',
          kind: 'container',
          version: 'LVM2 001',
          uuid: uuidText(uuid),
          state: 'unknown',
          facts,
          issues,
          ...(known ? { size: Number(size) } : {}),
        },
      ]
    }
    return []
  },
}

/** Its CRC-32 begins with a number of its own, and is not inverted at the end. */
function checksumHolds(sector: Uint8Array, expected: number): boolean {
  return 0xffffffff - crc32(sector.subarray(20), 0xffffffff - seed) === expected
}

function uuidText(text: string): string {
  return [0, 6, 10, 14, 18, 22, 26, 32]
    .slice(0, -1)
    .map((start, index, starts) => text.slice(start, starts[index + 1] ?? 32))
    .join('-')
}

/** The text of the metadata begins with the name of the volume group. */
function groupName(volume: BlockSource, sector: Uint8Array, start: number): string | undefined {
  let at = start
  // Two lists of places, each ended by zeros: data, then metadata.
  for (let lists = 0; lists < 2 && at + location.size <= sector.length; at += location.size) {
    const { offset, size } = location.read(sector, at)
    if (offset === 0n && size === 0n) {
      lists++
      continue
    }
    if (lists === 0) continue
    const head = bytesAt(volume, Number(offset), metadata.size)
    if (head === undefined) return undefined
    const { magic, textOffset, textSize } = metadata.read(head)
    if (magic !== metadataMagic || textSize === 0n) return undefined
    const text = bytesAt(volume, Number(offset + textOffset), Math.min(512, Number(textSize)))
    return text === undefined
      ? undefined
      : /^([A-Za-z0-9+_.-]{1,127}) \{/.exec(Buffer.from(text).toString('latin1'))?.[1]
  }
  return undefined
}
