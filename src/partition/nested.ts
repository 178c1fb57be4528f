import type { BlockSource } from '../block/types.js'
import { nestedLabel } from './occupied.js'
import type { Partition, TableIssue } from './types.js'

/** Tables inside partitions of an MBR: reported only, since what they divide is no partition of this disk's table. */
export function nestedTables(source: BlockSource, partitions: readonly Partition[]): TableIssue[] {
  return partitions.flatMap((partition) => {
    const { number } = partition
    const label = nestedLabel(source, partition)
    if (label === undefined) return []
    const letters = label.partitions.map(({ label: letter = '' }) => letter).join(', ')
    return [
      {
        code: 'W_NESTED_TABLE',
        severity: 'note',
        partition: number,
        message: `partition ${number} is divided further by a BSD label (${letters})`,
      },
    ]
  })
}
