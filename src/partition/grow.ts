import { roundDown } from '../binary/integers.js'
import type { BlockSource } from '../block/types.js'
import { gptEntry, readGpt } from './gpt.js'
import { gptWrites, layoutOf, usableSectors } from './gpt-write.js'
import { lostPartitions } from './mbr.js'
import { mbrWrites } from './mbr-write.js'
import type { Partition, PartitionTable, TableWrite } from './types.js'

/** What partitions end at a multiple of, in bytes. */
const alignment = 1048576
/** An MBR counts sectors in 32 bits. */
const mbrSectors = 0xffffffff

/** The last partition of a disk made larger. Bytes. */
export interface PartitionGrowth {
  readonly number: number
  readonly start: number
  readonly before: number
  readonly after: number
  /** In the order of writing, with a flush after each group. */
  readonly writes: readonly (readonly TableWrite[])[]
}

/** The partition that lies last on its disk; undefined when there is none, or another one overlaps it. */
export function lastPartition({ partitions }: PartitionTable): Partition | undefined {
  const data = partitions
    .filter(({ role, length }) => role !== 'extended' && length > 0)
    .sort((one, other) => one.start - other.start)
  const last = data.at(-1)
  return last === undefined || data.some((other) => other !== last && other.start + other.length > last.start)
    ? undefined
    : last
}

/**
 * Lets the last partition, and the extended one it lies in, reach to the end of the disk. Its content stays as it is.
 * @param table that of `source`, free of errors. @returns why it cannot grow, or what is to be written.
 */
export function planGrowth(source: BlockSource, table: PartitionTable): PartitionGrowth | { readonly why: string } {
  if (table.scheme !== 'gpt' && table.scheme !== 'mbr')
    return {
      why:
        table.scheme === 'none'
          ? 'the disk has no partition table'
          : 'only partitions of GPT and MBR tables are enlarged',
    }
  if (table.hybrid.length > 0) return { why: 'the disk has a hybrid MBR' }
  const last = lastPartition(table)
  if (last === undefined)
    return { why: table.partitions.length === 0 ? 'the disk has no partition' : 'partitions overlap' }
  return table.scheme === 'gpt' ? growGpt(source, table, last) : growMbr(source, table, last)
}

function growGpt(
  source: BlockSource,
  { sectorSize }: PartitionTable,
  { number, start, length }: Partition,
): ReturnType<typeof planGrowth> {
  const gpt = readGpt(source, sectorSize)
  if (gpt === undefined) return { why: 'the GPT is damaged' }
  const mbr = new Uint8Array(512)
  source.read(0, mbr)
  const layout = layoutOf(gpt.used, sectorSize, source.capacity, mbr)
  const end = roundDown((usableSectors(layout).last + 1) * sectorSize, alignment)
  if (end <= start + length) return { why: `partition ${number} reaches to the end already` }
  const entries = Uint8Array.from(layout.entries)
  const at = (number - 1) * layout.entrySize
  const entry = gptEntry.read(entries, at)
  entries.set(
    gptEntry.write({ ...entry, lastLba: BigInt(end / sectorSize - 1) }, entries.subarray(at, at + layout.entrySize)),
    at,
  )
  return { number, start, before: length, after: end - start, writes: gptWrites({ ...layout, entries }) }
}

function growMbr(
  source: BlockSource,
  { sectorSize, partitions, diskId, capacity, issues }: PartitionTable,
  last: Partition,
): ReturnType<typeof planGrowth> {
  const { number, start, length } = last
  const lost = lostPartitions(issues)
  if (lost !== undefined) return { why: `logical partitions would be lost: ${lost.message}` }
  const container = partitions.find(
    ({ role, start: from, length: bytes }) => role === 'extended' && start >= from && start < from + bytes,
  )
  if (partitions.some((other) => other.role === 'extended' && other !== container && other.start > start))
    return { why: `the extended partition lies behind partition ${number}` }
  const first = container?.start ?? start
  const end = Math.min(roundDown(capacity, alignment), first + mbrSectors * sectorSize, start + mbrSectors * sectorSize)
  if (end <= start + length)
    return { why: `partition ${number} reaches to the end already, or to that of what an MBR can say` }
  const before = new Uint8Array(512)
  source.read(0, before)
  const grown = (partition: Partition): number =>
    partition === last || partition === container ? end - partition.start : partition.length
  const writes = mbrWrites({
    sectorSize,
    before,
    diskSignature: Number.parseInt(diskId ?? '0', 16),
    partitions: partitions.map((partition) => ({
      number: partition.number,
      role: partition.role,
      type: Number(partition.type.id),
      start: partition.start,
      length: grown(partition),
      active: partition.flags.includes('active'),
    })),
  })
  return { number, start, before: length, after: end - start, writes }
}
