import { patchedSource } from '../../block/concatenated.js'
import type { BlockSource, Note } from '../../block/types.js'
import { isImageError, refused } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import { within, type PartitionTable, type TableRun } from '../../partition/index.js'

/** A part of a disk that gets another content. Bytes of the disk. */
interface Part {
  readonly number: number
  readonly start: number
  readonly length: number
}

/** What the table of a disk occupies inside a partition that gets another content. Bytes of the partition. */
export interface TableOverlap {
  /** Stays as it is: the content does not need these bytes, or they are the same. */
  readonly kept: readonly TableRun[]
  /** The content has something else here, and uses it. */
  readonly lost: readonly TableRun[]
}

/**
 * Compares what a partition is to hold with what the table of its disk occupies there: extended boot records of other
 * partitions, the backup of a GPT … What the content does not reach, and what its own filesystem calls free, can stay.
 */
export function tableOverlap(
  disk: BlockSource,
  table: Pick<PartitionTable, 'occupied'>,
  part: Part,
  content: BlockSource,
): TableOverlap {
  const kept: TableRun[] = []
  const lost: TableRun[] = []
  // A label that divides the partition further is its own content.
  const runs = within(table.occupied, part).filter(({ partition }) => partition !== part.number)
  for (const run of runs) {
    const start = Math.max(run.start, part.start) - part.start
    const end = Math.min(run.start + run.length, part.start + part.length) - part.start
    const inPart = { ...run, start, length: end - start }
    if (isFree(content, start, end) || isSame(disk, part, content, inPart)) kept.push(inPart)
    else lost.push(inPart)
  }
  return { kept, lost }
}

/** Whether a content leaves a range alone: it ends before, or its one filesystem has nothing there. */
function isFree(content: BlockSource, start: number, end: number): boolean {
  if (start >= content.capacity) return true
  const [filesystem, ...others] = identifyFilesystems(content)
  if (filesystem?.usedRuns === undefined || others.length > 0) return false
  try {
    for (const { offset, length } of filesystem.usedRuns()) if (offset < end && start < offset + length) return false
    return true
  } catch (error) {
    // A filesystem that was not left in order, or is damaged, does not say what is free.
    if (!isImageError(error) || error.code === 'E_READ') throw error
    return false
  }
}

function isSame(disk: BlockSource, part: Part, content: BlockSource, { start, length }: TableRun): boolean {
  const there = new Uint8Array(length)
  disk.read(part.start + start, there)
  const wanted = new Uint8Array(length)
  content.read(start, wanted.subarray(0, Math.min(length, content.capacity - start)))
  return Buffer.from(there.buffer).equals(wanted)
}

/**
 * @param name of the disk. @throws ImageError refused E_TABLE_IN_PARTITION where the table would be destroyed, unless
 * `allowed`.
 */
export function guardTable({ lost }: TableOverlap, { number }: Part, name: string, allowed: boolean): void {
  if (lost.length === 0 || allowed) return
  throw refused(
    'E_TABLE_IN_PARTITION',
    `${lost.map(({ title }) => title).join('; ')} of ${name} lies inside partition ${number}, where the new content ` +
      'has something else: writing it would destroy the partition table',
    {
      hint:
        'Copy the other partitions to a disk of another layout first. With --allow-table-loss the partition is ' +
        'written as it is, and what the table has there is lost.',
      details: { partition: number, offset: lost[0]?.start },
    },
  )
}

/** What of a disk's table lies inside one of its partitions and belongs to others, for people. */
export function tableTitles({ occupied }: Pick<PartitionTable, 'occupied'>, part: Part): string[] {
  return within(occupied, part)
    .filter(({ partition }) => partition !== part.number)
    .map(({ title }) => title)
}

/**
 * For a partition that a filesystem, or an NBD client, is to write to as it likes.
 * @throws ImageError refused E_TABLE_IN_PARTITION where a part of the table lies in it.
 */
export function guardWriting(titles: readonly string[], what: string): void {
  if (titles.length === 0) return
  throw refused(
    'E_TABLE_IN_PARTITION',
    `${titles.join('; ')} lies inside ${what}: a filesystem that is written to may overwrite it, ` +
      `and other partitions ` +
      'are lost then',
    { hint: 'Read it only, or throw changes away. --allow-table-loss writes to it nevertheless.' },
  )
}

/** The content of a partition of `length` bytes: zeros behind the end of `content`, and what is kept of the table. */
export function withTable(
  disk: BlockSource,
  { start, length }: Part,
  content: BlockSource,
  { kept }: TableOverlap,
): BlockSource {
  const patches = kept.map((run) => {
    const bytes = new Uint8Array(run.length)
    disk.read(start + run.start, bytes)
    return { position: run.start, bytes }
  })
  return patchedSource(content, patches, { capacity: length, sectorSize: content.sectorSize })
}

/** What the user should know about a partition that is taken out with a part of its disk's table in it. */
export function takenNotes({ occupied }: Pick<PartitionTable, 'occupied'>, part: Part): Note[] {
  const runs = within(occupied, part).filter(({ partition }) => partition !== part.number)
  if (runs.length === 0) return []
  return [
    {
      code: 'W_TABLE_IN_PARTITION',
      message:
        `partition ${part.number} contains a part of the disk's partition table, which is copied with it: ` +
        runs.map(({ title }) => title).join('; '),
    },
  ]
}

/** What the user should know about a partition table that lies where content goes. */
export function overlapNotes({ kept, lost }: TableOverlap, { number }: Part): Note[] {
  const titles = (runs: readonly TableRun[]): string => runs.map(({ title }) => title).join('; ')
  return [
    ...(kept.length === 0
      ? []
      : [
          {
            code: 'W_TABLE_KEPT',
            message: `${titles(kept)} lies inside partition ${number}, and stays: the new content does not use it`,
          },
        ]),
    ...(lost.length === 0
      ? []
      : [{ code: 'W_TABLE_LOST', message: `overwritten inside partition ${number}: ${titles(lost)}` }]),
  ]
}
