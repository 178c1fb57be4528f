import { roundDown } from '../binary/integers.js'
import type { PartitionTable } from './types.js'

/** A range of the disk that belongs to no partition and could. Bytes. */
export interface Gap {
  readonly start: number
  readonly length: number
  /** Number of the extended partition that it lies in: room for logical partitions. */
  readonly inside?: number
}

/** An MBR counts sectors in 32 bits. */
const mbrSectors = 0x1_0000_0000

/** Where the partitions of a table may lie. Bytes; `end` is exclusive. */
export function usableRange({ scheme, sectorSize, capacity, usable }: PartitionTable): {
  readonly start: number
  readonly end: number
} {
  const whole = roundDown(capacity, sectorSize)
  if (usable !== undefined) return { start: usable.start, end: Math.min(usable.end, whole) }
  return scheme === 'mbr'
    ? { start: sectorSize, end: Math.min(whole, mbrSectors * sectorSize) }
    : { start: 0, end: whole }
}

/**
 * What neither a partition nor a table takes, ascending. A disk without a table has no gaps: all of it may be in use.
 */
export function gapsOf(table: PartitionTable): Gap[] {
  const { scheme, partitions } = table
  if (scheme === 'none' || scheme === 'apm') return []
  const { start, end } = usableRange(table)
  const containers = partitions.filter(({ role }) => role === 'extended')
  // The borders of containers are borders of gaps too: room inside is for logical partitions only.
  const edges = containers.flatMap((container) => [container.start, container.start + container.length])
  const data = partitions.filter(({ role, length }) => role !== 'extended' && length > 0)
  const taken = [...data, ...table.occupied.filter((run) => run.partition === undefined)].sort(
    (a, b) => a.start - b.start,
  )
  const gaps: Gap[] = []
  const add = (from: number, to: number): void => {
    const borders = [from, ...edges.filter((edge) => edge > from && edge < to).sort((a, b) => a - b), to]
    for (const [index, border] of borders.entries()) {
      const next = borders[index + 1]
      if (next === undefined || next - border < table.sectorSize) continue
      const container = containers.find((each) => border >= each.start && border < each.start + each.length)
      gaps.push({
        start: border,
        length: next - border,
        inside: container?.number,
      })
    }
  }
  let at = start
  for (const partition of taken) {
    if (partition.start > at) add(at, Math.min(partition.start, end))
    at = Math.max(at, partition.start + partition.length)
    if (at >= end) return gaps
  }
  if (at < end) add(at, end)
  return gaps
}
