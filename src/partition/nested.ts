import { SliceSource } from '../block/slice.js'
import type { BlockSource } from '../block/types.js'
import { readBsd } from './bsd.js'
import type { Partition, TableIssue } from './types.js'

/** Slices of FreeBSD, OpenBSD and NetBSD, in which a label of their own divides further. */
const bsdTypes = ['0xa5', '0xa6', '0xa9']

/** Tables inside partitions of an MBR: told, since what they divide is no partition of this disk's table. */
export function nestedTables(source: BlockSource, partitions: readonly Partition[]): TableIssue[] {
  return partitions.flatMap(({ number, start, length, type }) => {
    if (!bsdTypes.includes(type.id) || start >= source.capacity) return []
    const label = readBsd(new SliceSource(source, start, Math.min(length, source.capacity - start)))
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
