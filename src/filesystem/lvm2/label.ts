import type { BlockSource } from '../../block/types.js'
import { bytesAt } from '../volume-reader.js'
import {
  areaHeaderSize,
  label,
  location,
  lvmChecksum,
  metadataArea,
  metadataMagic,
  physicalVolume,
} from '../../binary/lvm2/structs.js'

/** Texts are some kilobytes; with thousands of volumes some megabytes. */
const longestText = 16 * 1024 * 1024
const mostAreas = 8

/** The mark of a physical volume. */
export interface PhysicalVolumeLabel {
  /** With hyphens, as the metadata has it. */
  readonly uuid: string
  /** Bytes; undefined where it cannot be. */
  readonly size: bigint
  readonly sector: number
  readonly isWhole: boolean
  /** The text that describes the group, from the first of its places that is whole. */
  readonly text: string | undefined
}

/** The label of a physical volume lies in one of its first four sectors. */
export function readLabel(volume: BlockSource): PhysicalVolumeLabel | undefined {
  for (let sector = 0; sector < 4; sector++) {
    const bytes = bytesAt(volume, sector * 512, 512)
    if (bytes === undefined) return undefined
    const values = label.read(bytes)
    if (
      values.mark !== 'LABELONE' ||
      values.type !== 'LVM2 001' ||
      values.sector !== BigInt(sector) ||
      values.offset > 512 - physicalVolume.size
    )
      continue
    const { uuid, size } = physicalVolume.read(bytes, values.offset)
    return {
      uuid: uuidText(uuid),
      size,
      sector,
      isWhole: lvmChecksum(bytes.subarray(20)) === values.checksum,
      text: areaText(volume, bytes, values.offset + physicalVolume.size),
    }
  }
  return undefined
}

function uuidText(text: string): string {
  return [0, 6, 10, 14, 18, 22, 26, 32]
    .slice(0, -1)
    .map((start, index, starts) => text.slice(start, starts[index + 1] ?? 32))
    .join('-')
}

/** Two lists of places follow the label, each ended by zeros: data, then metadata. */
function areaText(volume: BlockSource, sector: Uint8Array, start: number): string | undefined {
  let lists = 0
  for (let at = start, areas = 0; lists < 2 && areas < mostAreas && at + location.size <= sector.length;) {
    const { offset, size } = location.read(sector, at)
    at += location.size
    if (offset === 0n && size === 0n) {
      lists++
      continue
    }
    if (lists === 0) continue
    areas++
    const text = textIn(volume, Number(offset))
    if (text !== undefined) return text
  }
  return undefined
}

/** The text of one area, which may begin again behind the header where the area ends. */
function textIn(volume: BlockSource, area: number): string | undefined {
  const sector = bytesAt(volume, area, areaHeaderSize)
  if (sector === undefined) return undefined
  const { magic, start, size, textOffset, textSize, textChecksum, textFlags, checksum } = metadataArea.read(sector)
  const length = Number(textSize)
  const room = Number(size)
  const from = Number(textOffset)
  if (magic !== metadataMagic || start !== BigInt(area) || lvmChecksum(sector.subarray(4)) !== checksum)
    return undefined
  if (textFlags !== 0 || length === 0 || length > longestText || length > room - areaHeaderSize) return undefined
  if (from < areaHeaderSize || from >= room) return undefined
  const first = Math.min(length, room - from)
  const head = bytesAt(volume, area + from, first)
  const rest = bytesAt(volume, area + areaHeaderSize, length - first)
  if (head === undefined || rest === undefined) return undefined
  const text = Buffer.concat([head, rest])
  return lvmChecksum(text) === textChecksum ? text.toString('latin1').replace(/\0+$/, '') : undefined
}
