import { roundUp } from '../binary/integers.js'
import { ConcatenatedSource, patchedSource } from '../block/concatenated.js'
import type { BlockSource } from '../block/types.js'
import { ZeroSource } from '../block/zero.js'
import { refused } from '../errors.js'
import { gptEntries, gptWrites, usualEntryCount, usualEntrySize } from './gpt-write.js'
import { protectiveMbr } from './mbr.js'
import { mbrWrites } from './mbr-write.js'

/** A new disk around one partition. */
export interface TableWrapping {
  readonly scheme: 'gpt' | 'mbr'
  readonly sectorSize: 512 | 4096
  /** GUID, or number of an MBR type as text. */
  readonly type: string
  readonly label?: string
  readonly attributes?: bigint
  readonly active: boolean
  /** UUIDs; of the disk's an MBR takes the first eight digits. */
  readonly diskId: string
  readonly partitionId: string
}

/** Where partitions of new disks start, and what their capacity is a multiple of. Bytes. */
export const wrapStart = 1048576

/** Bytes of a disk for a partition of this length, with room for the backup of a GPT. */
export function wrappedCapacity(length: number): number {
  return roundUp(length, wrapStart) + 2 * wrapStart
}

/**
 * A disk with one partition that holds `content`, with a table around it. Nothing is copied.
 * @param capacity at least {@link wrappedCapacity}. @throws ImageError refused E_PARTITIONS_DO_NOT_FIT where an MBR
 * cannot say it.
 */
export function wrapPartition(content: BlockSource, wrapping: TableWrapping, capacity: number): BlockSource {
  const { scheme, sectorSize } = wrapping
  const length = roundUp(content.capacity, sectorSize)
  if (capacity < wrapStart + length)
    throw refused('E_PARTITIONS_DO_NOT_FIT', `a partition of ${length} bytes does not fit on a disk of ${capacity}`)
  const before = new ZeroSource(wrapStart, sectorSize)
  const disk = new ConcatenatedSource(
    [before, content, new ZeroSource(capacity - wrapStart - content.capacity, sectorSize)],
    sectorSize,
  )
  const writes =
    scheme === 'gpt'
      ? gpt(wrapping, length, capacity)
      : mbrWrites({
          sectorSize,
          diskSignature: Number.parseInt(wrapping.diskId.slice(0, 8), 16),
          partitions: [
            {
              number: 1,
              role: 'primary',
              type: Number(wrapping.type),
              start: wrapStart,
              length,
              active: wrapping.active,
            },
          ],
        })
  return patchedSource(disk, writes.flat(), { capacity, sectorSize })
}

function gpt(
  { sectorSize, type, label, attributes, diskId, partitionId }: TableWrapping,
  length: number,
  capacity: number,
): ReturnType<typeof gptWrites> {
  const entries = gptEntries([
    {
      number: 1,
      type,
      unique: partitionId,
      firstLba: wrapStart / sectorSize,
      lastLba: (wrapStart + length) / sectorSize - 1,
      name: label,
      attributes,
    },
  ])
  return gptWrites({
    sectorSize,
    capacity,
    diskGuid: diskId,
    entries,
    entryCount: usualEntryCount,
    entrySize: usualEntrySize,
    mbr: protectiveMbr(capacity, sectorSize),
  })
}
