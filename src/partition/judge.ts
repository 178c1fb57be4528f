import { shortRange } from './text.js'
import type { Partition, TableIssue } from './types.js'

/** Bytes: what partitions should start at multiples of. Sectors of 4096 bytes are what today's disks have inside. */
const physicalSector = 4096

/**
 * What is odd with partitions seen together and against their disk: past its end, overlapping, misaligned. Containers
 * hold their logical partitions.
 */
export function judgePartitions(
  partitions: readonly Partition[],
  capacity: number,
  checkAlignment: boolean,
): TableIssue[] {
  const issues: TableIssue[] = []
  for (const { number, start, length } of partitions) {
    if (start + length > capacity) {
      issues.push({
        code: 'W_PART_PAST_END',
        severity: 'error',
        partition: number,
        message:
          `partition ${number}, ${shortRange(start, length)}, ends ${start + length - capacity} bytes ` +
          `past the end of the disk (${capacity} bytes): the disk is cut short, or the table belongs to another`,
      })
    }
    if (checkAlignment && start % physicalSector !== 0) {
      issues.push({
        code: 'W_MISALIGNED',
        severity: 'note',
        partition: number,
        message:
          `partition ${number} starts at byte ${start}, no multiple of ${physicalSector}: slow on disks ` +
          'with 4096-byte physical sectors',
      })
    }
  }
  const data = partitions
    .filter(({ role, length }) => role !== 'extended' && length > 0)
    .sort((a, b) => a.start - b.start)
  let last: Partition | undefined
  for (const partition of data) {
    if (last !== undefined && partition.start < last.start + last.length) {
      issues.push({
        code: 'W_OVERLAP',
        severity: 'error',
        partition: partition.number,
        message:
          `partitions ${last.number} and ${partition.number} overlap: ` +
          `${shortRange(last.start, last.length)} and ${shortRange(partition.start, partition.length)}`,
      })
    }
    if (last === undefined || partition.start + partition.length > last.start + last.length) last = partition
  }
  return issues
}
