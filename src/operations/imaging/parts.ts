import type { NamedDevice } from '../device/argument.js'
import type { DigestPart } from '../transfer/disk-digests.js'
import { MaskedSource } from '../../block/masked.js'
import { RunMap } from '../../block/run-map.js'
import type { BlockSource, Note } from '../../block/types.js'
import { usage } from '../../errors.js'
import { selectPartition, type Partition, type PartitionTable } from '../../partition/index.js'

/**
 * A disk of which some partitions only are kept: the others read as zero. The table, and what lies outside of
 * partitions, is kept.
 * @param numbers of the partitions to keep. @throws ImageError usage E_NO_PARTITION, E_EXTENDED_PARTITION,
 * E_NO_PARTITIONS.
 */
export function keepParts(
  disk: BlockSource,
  table: PartitionTable,
  numbers: readonly number[],
  name: string,
): { readonly source: BlockSource; readonly notes: readonly Note[] } {
  if (table.partitions.length === 0)
    throw usage('E_NO_PARTITIONS', `${name} has no partitions of which some could be chosen`)
  const kept = numbers.map((number) => selectPartition(table, { number }, name))
  // An extended partition is a container: what it holds are the logical ones.
  const left = table.partitions.filter((partition) => partition.role !== 'extended' && !kept.includes(partition))
  return {
    source: new MaskedSource(disk, without(disk.capacity, left, [...kept, ...tableRuns(table, left)])),
    notes:
      left.length === 0
        ? []
        : [
            {
              code: 'W_PARTS',
              message:
                `${left.length === 1 ? 'partition' : 'partitions'} ` +
                (`${left.map(({ number }) => number).join(', ')} ${left.length === 1 ? 'is' : 'are'} left out, ` +
                  (`as asked: ${left.length === 1 ? 'it reads' : 'they read'} as zero, and the table still ` +
                    `names ${left.length === 1 ? 'it' : 'them'}`)),
            },
          ],
  }
}

/** What the table of the whole disk occupies; a label inside a partition that is left out goes with it. */
function tableRuns({ occupied }: PartitionTable, left: readonly Partition[]): readonly Range[] {
  return occupied.filter(({ partition }) => partition === undefined || !left.some(({ number }) => number === partition))
}

type Range = Pick<Partition, 'start' | 'length'>

/** All of a disk but some partitions; what they share with those that are kept is kept. */
function without(capacity: number, left: readonly Range[], kept: readonly Range[]): RunMap {
  const edges = new Set([0, capacity])
  for (const { start, length } of [...left, ...kept])
    for (const edge of [start, start + length]) if (edge > 0 && edge < capacity) edges.add(edge)
  const runs = new RunMap()
  const sorted = [...edges].sort((a, b) => a - b)
  for (const [index, start] of sorted.entries()) {
    const end = sorted[index + 1]
    if (end === undefined) break
    const inside = (parts: readonly Range[]): boolean =>
      parts.some((part) => part.start <= start && end <= part.start + part.length)
    if (inside(kept) || !inside(left)) runs.add(start, end - start)
  }
  return runs
}

/** The partitions whose digests are recorded: those of the table, where a disk is imaged. */
export function digestedParts({ kind, table }: NamedDevice, capacity: number): DigestPart[] {
  if (kind === 'partition') return []
  return (table?.partitions ?? [])
    .filter(({ role, start, length }) => role !== 'extended' && start + length <= capacity)
    .map(({ number, start, length }) => ({ number, start, length }))
}
