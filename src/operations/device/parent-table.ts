import type { BlockSource } from '../../block/types.js'
import { readPartitionTable, within } from '../../partition/index.js'
import { overlapNotes, tableOverlap, withTable } from '../partition/table-overlap.js'
import type { DeviceTarget } from './argument.js'
import type { DeviceContent } from './content.js'

/** The partition that is to be written, as a range of its disk. Undefined where a whole disk is the target. */
function rangeOf({
  disk,
  partition,
}: DeviceTarget): { readonly number: number; readonly start: number; readonly length: number } | undefined {
  if (partition === undefined || disk.size === 0) return undefined
  return { number: partition.number, start: partition.start, length: partition.size }
}

/**
 * What of a disk's partition table lies inside the partition that is to be written, for people.
 * @throws ImageError where the disk cannot be read.
 */
export function tableInside(target: DeviceTarget): readonly string[] {
  const part = rangeOf(target)
  if (part === undefined) return []
  return target.readDisk((disk) =>
    within(readPartitionTable(disk).occupied, part)
      .filter(({ partition }) => partition !== part.number)
      .map(({ title }) => title),
  )
}

/** The content of a partition with what it does not use of the sectors that the disk's partition table has inside. */
export function besideTable(source: BlockSource, content: DeviceContent, target: DeviceTarget): DeviceContent {
  const part = rangeOf(target)
  if (part === undefined) return content
  return target.readDisk((disk) => {
    const overlap = tableOverlap(disk, readPartitionTable(disk), part, source)
    if (overlap.kept.length + overlap.lost.length === 0) return content
    return {
      ...content,
      source: withTable(disk, part, content.source, overlap),
      notes: [...content.notes, ...overlapNotes(overlap, part)],
    }
  })
}
