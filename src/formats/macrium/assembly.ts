import { viewOf } from '../../binary/integers.js'
import { BytesSource } from '../../block/bytes-source.js'
import { Layout } from '../../block/layout.js'
import type { BlockSource, Note } from '../../block/types.js'
import { corrupt } from '../../errors.js'
import type { BackupSet } from './backup-set.js'
import type { BackedDescription } from './description.js'
import { metadataOf } from './layout.js'
import { blockContent } from './metadata.js'
import { BackedPartition } from './partition.js'
import { extendedRecord } from './structs.js'

/** A disk of the backup, put together. */
export interface Assembled {
  readonly source: BlockSource
  readonly partitions: readonly BackedPartition[]
  readonly notes: readonly Note[]
}

interface Piece {
  readonly start: number
  readonly source: BlockSource
}

const longestTrackZero = 1024 * 1024
const longestExtendedTable = 4 * 1024 * 1024

/** The first sectors, the boot records of logical partitions, the partitions. @throws ImageError corrupt. */
export function assemble(set: BackupSet, disk: BackedDescription): Assembled {
  const { store, description } = set.own
  const layout = metadataOf(set.own)[description.disks.indexOf(disk)]
  const { sectorSize, size } = disk
  const partitions = disk.partitions.map(
    (described) => new BackedPartition(set, { disk: disk.number, partition: described.number }, described, sectorSize),
  )
  const pieces: Piece[] = partitions.map((source) => ({ start: source.described.start, source }))
  const first = Math.min(size, ...pieces.map(({ start }) => start))
  if (layout?.trackZero === undefined)
    throw corrupt('E_META_MISSING', `${store.name}: the first sectors of disk ${disk.number} are missing`)
  const trackZero = blockContent(store, layout.trackZero, longestTrackZero)
  // What of it lies in a partition is in the partition too.
  pieces.push({ start: 0, source: bytesPiece(trackZero.subarray(0, first), sectorSize) })
  if (layout.extendedTable !== undefined)
    for (const { offset, sector } of bootRecords(blockContent(store, layout.extendedTable, longestExtendedTable)))
      if (offset >= trackZero.length) pieces.push({ start: offset, source: bytesPiece(sector, sectorSize) })
  return { source: laidOut(pieces, disk, store.name), partitions, notes: notesOf(disk) }
}

function bytesPiece(bytes: Uint8Array, sectorSize: 512 | 4096): BlockSource {
  return new BytesSource(bytes, 'the first sectors', sectorSize)
}

function* bootRecords(bytes: Uint8Array): Generator<{ readonly offset: number; readonly sector: Uint8Array }> {
  if (bytes.length < 4) return
  const count = Math.min(viewOf(bytes).getUint32(0, true), Math.floor((bytes.length - 4) / extendedRecord.size))
  for (let index = 0; index < count; index++) yield extendedRecord.read(bytes.subarray(4 + index * extendedRecord.size))
}

function laidOut(pieces: Piece[], { number, size, sectorSize }: BackedDescription, name: string): BlockSource {
  const layout = new Layout(sectorSize)
  for (const { start, source } of pieces.sort((one, other) => one.start - other.start)) {
    if (start < layout.end)
      throw corrupt('E_OVERLAP', `${name}: two partitions of disk ${number} overlap at byte ${start}`, {
        details: { offset: start },
      })
    if (start + source.capacity > size)
      throw corrupt('E_PART_RANGE', `${name}: a partition of disk ${number} leaves the disk at byte ${size}`)
    layout.add(start, source)
  }
  return layout.finish(size)
}

function notesOf({ number, table, partitions }: BackedDescription): Note[] {
  const what = partitions.length === 1 ? '1 partition' : `${partitions.length} partitions`
  return table === 'mbr'
    ? []
    : [
        {
          code: 'W_NOT_SAVED',
          message:
            `disk ${number}: the backup holds the first GPT and ${what}; the second GPT, at the end of the disk, is ` +
            'not in it, and reads as zero (vdisk partition fix --output makes a disk that has it)',
        },
      ]
}
