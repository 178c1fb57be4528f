import { readGroup, type LogicalSegment, type LogicalVolume, type VolumeGroup } from '../../binary/lvm2/group.js'
import {
  areaHeaderSize,
  label,
  location,
  lvmChecksum,
  metadataArea,
  metadataMagic,
  physicalVolume,
} from '../../binary/lvm2/structs.js'
import { BytesSource } from '../../block/bytes-source.js'
import { Layout } from '../../block/layout.js'
import { SliceSource } from '../../block/slice.js'
import { StripeShare } from '../../block/striped.js'
import type { BlockSource } from '../../block/types.js'
import { isImageError, printable } from '../../errors.js'
import type { PhysicalVolume } from './disks.js'
import type { BackupFolder } from './folder.js'

const sectorSize = 512
/** Where LVM puts its metadata: behind the sectors in which a label may be. */
const areaStart = 4096
const longestHead = 64 * 1024 * 1024

/** Content of a logical volume that is on a physical one, and where there it begins. Bytes. */
export interface PlacedRun {
  readonly volume: string
  readonly start: number
  readonly length: number
  readonly source: BlockSource
}

/** A physical volume that is put together. */
export interface MadePhysicalVolume {
  readonly source: BlockSource
  readonly runs: readonly PlacedRun[]
  /**
   * Logical volumes that the backup does not hold, or that cannot be placed, and why; `isElsewhere`: what lies on the
   * physical volume are volumes of its own (of a thin one: those of its pool).
   */
  readonly missing: readonly { readonly name: string; readonly why: string; readonly isElsewhere?: boolean }[]
}

/** The group that a partition belongs to, where the folder has its description; the text without what stands before. */
export function groupOf(
  folder: BackupFolder,
  { group: name }: PhysicalVolume,
): { readonly group: VolumeGroup; readonly text: string } | undefined {
  const text = folder.text(`lvm_${name}.conf`)
  if (text === undefined) return undefined
  try {
    const group = readGroup(text)
    const start = text.search(new RegExp(`^${group.name.replace(/[.+]/g, '\\$&')}\\s*\\{`, 'm'))
    if (group.name !== name || start < 0) return undefined
    // On the disk, the group stands first: it is known by that.
    return { group, text: `${text.slice(start).trimEnd()}\n${text.slice(0, start)}` }
  } catch (error) {
    if (!isImageError(error)) throw error
    return undefined
  }
}

/**
 * The physical volume of a partition: its label and metadata are made anew from the group's description, and each
 * logical volume is laid where it was. Undefined where the description does not fit the partition.
 * @param size bytes of the partition. @param contentOf opens a logical volume that the backup holds.
 */
export function makePhysicalVolume(
  { group, text }: { readonly group: VolumeGroup; readonly text: string },
  { uuid }: PhysicalVolume,
  size: number,
  contentOf: (volume: LogicalVolume) => BlockSource | undefined,
): MadePhysicalVolume | undefined {
  const found = [...group.physical].find(([, physical]) => physical.uuid === uuid)
  if (found === undefined) return undefined
  const [key, { start, extents }] = found
  const { extentSize } = group
  if (start > longestHead || start + extents * extentSize > size) return undefined
  const head = metadata(uuid, text, start, size)
  if (head === undefined) return undefined
  const missing: { name: string; why: string; isElsewhere?: boolean }[] = []
  const runs: PlacedRun[] = []
  for (const volume of group.volumes) {
    const here = volume.segments.filter(({ stripes }) => stripes.some(({ physical }) => physical === key))
    const isElsewhere = volume.segments.every(({ stripes }) => stripes.length === 0)
    if (volume.unread !== undefined && (here.length > 0 || (isElsewhere && volume.isVisible))) {
      missing.push({ name: volume.name, why: `is ${printable(volume.unread)}, which is not put together`, isElsewhere })
      continue
    }
    if (here.length === 0) continue
    if (!here.every((segment) => isEven(segment, extentSize))) return undefined
    const content = contentOf(volume)
    if (content === undefined) {
      if (volume.isVisible) missing.push({ name: volume.name, why: 'is not in the backup' })
      continue
    }
    for (const segment of here) {
      const length = segment.count * extentSize
      const { stripes, stripeSize } = segment
      const whole = new SliceSource(content, segment.start * extentSize, length)
      for (const [index, { physical, extent }] of stripes.entries()) {
        if (physical !== key) continue
        const source =
          stripes.length === 1 ? whole : new StripeShare(whole, stripeSize * sectorSize, stripes.length, index)
        runs.push({ volume: volume.name, start: start + extent * extentSize, length: source.capacity, source })
      }
    }
  }
  const source = laidOut(head, runs, size)
  return source === undefined ? undefined : { source, runs, missing }
}

/** Whether its stripes fill it. */
function isEven({ count, stripes, stripeSize }: LogicalSegment, extentSize: number): boolean {
  const share = (count * extentSize) / stripes.length
  return stripes.length === 1 || (stripeSize > 0 && share % (stripeSize * sectorSize) === 0)
}

/** Undefined where two volumes have one place, or one lies outside. */
function laidOut(head: Uint8Array, runs: PlacedRun[], size: number): BlockSource | undefined {
  const layout = new Layout(sectorSize)
  layout.add(0, new BytesSource(head, 'the metadata of LVM', sectorSize))
  for (const { start, length, source } of runs.sort((one, other) => one.start - other.start)) {
    if (start < layout.end || start + length > size) return undefined
    layout.add(start, source)
  }
  return layout.finish(size)
}

/** What stands before the first extent: the label in the second sector, and one area with the text. */
function metadata(uuid: string, text: string, start: number, size: number): Uint8Array | undefined {
  const content = Buffer.from(`${text}\0`, 'latin1')
  const room = start - areaStart
  if (areaHeaderSize + content.length > room) return undefined
  const head = new Uint8Array(start)
  const mark = head.subarray(sectorSize, 2 * sectorSize)
  mark.set(label.write({ mark: 'LABELONE', sector: 1n, checksum: 0, offset: label.size, type: 'LVM2 001' }))
  mark.set(physicalVolume.write({ uuid: uuid.replaceAll('-', ''), size: BigInt(size) }), label.size)
  const places = [
    { offset: BigInt(start), size: 0n },
    { offset: 0n, size: 0n },
    { offset: BigInt(areaStart), size: BigInt(room) },
    { offset: 0n, size: 0n },
  ]
  for (const [index, place] of places.entries())
    mark.set(location.write(place), label.size + physicalVolume.size + index * location.size)
  new DataView(head.buffer).setUint32(sectorSize + 16, lvmChecksum(mark.subarray(20)), true)
  const area = head.subarray(areaStart, areaStart + areaHeaderSize)
  area.set(
    metadataArea.write({
      checksum: 0,
      magic: metadataMagic,
      start: BigInt(areaStart),
      size: BigInt(room),
      textOffset: BigInt(areaHeaderSize),
      textSize: BigInt(content.length),
      textChecksum: lvmChecksum(content),
      textFlags: 0,
    }),
  )
  // The version of the area's header.
  new DataView(head.buffer).setUint32(areaStart + 20, 1, true)
  new DataView(head.buffer).setUint32(areaStart, lvmChecksum(area.subarray(4)), true)
  head.set(content, areaStart + areaHeaderSize)
  return head
}
