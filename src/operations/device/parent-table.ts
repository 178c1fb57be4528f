import type { BlockSource } from '../../block/types.js'
import { DiskStore } from '../../device/disk-store.js'
import { DeviceSource } from '../../device/source.js'
import type { FoundDevice } from '../../device/types.js'
import { readPartitionTable, within } from '../../partition/index.js'
import { overlapNotes, tableOverlap, withTable } from '../partition/table-overlap.js'
import type { DeviceContent } from './content.js'

/** Reads the whole disk on which a target partition lies. Undefined where a whole disk is the target. */
function withDisk<Result>(
  { disk, partition }: FoundDevice,
  read: (
    source: BlockSource,
    part: { readonly number: number; readonly start: number; readonly length: number },
  ) => Result,
): Result | undefined {
  if (partition === undefined || disk.size === 0) return undefined
  using source = new DeviceSource(DiskStore.open(disk.path, { size: disk.size, sectorSize: disk.logicalSectorSize }))
  return read(source, { number: partition.number, start: partition.start, length: partition.size })
}

/**
 * What of a disk's partition table lies inside the partition that is to be written, for people.
 * @throws ImageError where the disk cannot be read.
 */
export function tableInside(found: FoundDevice): readonly string[] {
  return (
    withDisk(found, (disk, part) =>
      within(readPartitionTable(disk).occupied, part)
        .filter(({ partition }) => partition !== part.number)
        .map(({ title }) => title),
    ) ?? []
  )
}

/** The content of a partition with what it does not use of the sectors that the disk's partition table has inside. */
export function besideTable(source: BlockSource, content: DeviceContent, found: FoundDevice): DeviceContent {
  return (
    withDisk(found, (disk, part) => {
      const overlap = tableOverlap(disk, readPartitionTable(disk), part, source)
      if (overlap.kept.length + overlap.lost.length === 0) return content
      return {
        ...content,
        source: withTable(disk, part, content.source, overlap),
        notes: [...content.notes, ...overlapNotes(overlap, part)],
      }
    }) ?? content
  )
}
