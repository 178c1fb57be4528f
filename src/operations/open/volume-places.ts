import type { ByteRange } from '../../block/file-range.js'
import { BytesSource } from '../../block/bytes-source.js'
import { PaddedSource } from '../../block/padded.js'
import { readPartitionTable } from '../../partition/index.js'

/** Bytes at the start and at the end of a volume in which its superblocks, and copies of them, lie. */
const startLength = 1048576
const endLength = 262144
/** Of a disk of many partitions less is kept. */
const manyPartitions = 32
const shortLength = 262144

/**
 * Where the filesystems of a disk have what says which they are: the starts and ends of its partitions, by the table
 * at its start. @param head the first mebibyte.
 */
export function placesOfVolumes(head: Uint8Array, size: number | undefined): ByteRange[] {
  const start = new BytesSource(head, 'the disk')
  // The end of the disk is not there yet, and may be unknown: a table counts as far as its first copy says.
  const disk =
    size !== undefined && size > head.length ? new PaddedSource(start, size) : new PaddedSource(start, 2 ** 52)
  const { partitions } = readPartitionTable(disk)
  const length = partitions.length > manyPartitions ? shortLength : startLength
  return partitions.flatMap((partition) => {
    const end = partition.start + partition.length
    return [
      { start: partition.start, end: Math.min(partition.start + length, end) },
      { start: Math.max(partition.start + length, end - endLength), end },
    ]
  })
}
