import { roundUp } from '../../binary/integers.js'
import { patchedSource } from '../../block/concatenated.js'
import type { BlockSource, Note } from '../../block/types.js'
import { isImageError, refused } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import {
  planMend,
  readGpt,
  readPartitionTable,
  type IdChange,
  type Mend,
  type PartitionTable,
  type TableWrite,
} from '../../partition/index.js'
import { firstContent } from '../change/content-search.js'
import { grownContent, type DeviceShape, type GrownPartition } from './growth.js'
import { movedNotes, slackNotes, slackOf } from '../partition/notes.js'

export interface ContentOptions {
  /** Gives the disk and its partitions new ids: a UUID for a name (`disk`, `partition 2`). */
  readonly newId?: (name: string) => string
  /** Enlarges what lies last to the end of the target. */
  readonly grow?: boolean
  readonly signal?: AbortSignal
}

/** What a target is to hold. Bytes. */
export interface DeviceContent {
  /** The target as it is to read, all of it. */
  readonly source: BlockSource
  /** Where what is written ends; behind it the target keeps what it has, but for its last mebibyte. */
  readonly end: number
  /** The table of `source`. */
  readonly table: PartitionTable
  readonly mends: readonly Mend[]
  readonly ids: readonly IdChange[]
  /** Bytes at the source's end that have no place, and where content begins in them. */
  readonly cut?: { readonly length: number; readonly content?: number }
  readonly grown?: GrownPartition
  readonly notes: readonly Note[]
}

/** Whether what is used of a disk ends before a smaller capacity does. */
export type Fitting =
  | { readonly fits: true }
  | {
      readonly fits: false
      readonly why: string
      /** What to do about it, where shrinking partitions does not help. */
      readonly hint?: string
    }

/** What helps where partitions are too large. */
export const shrinkFirst =
  'Shrink the last partition and its filesystem first, or take a larger target. No flag overrides this.'

/**
 * Looks whether a disk can be cut to a capacity without touching its partitions, or the filesystem that takes all of
 * it.
 */
export function judgeFit(source: BlockSource, capacity: number): Fitting {
  const table = readPartitionTable(source)
  const { scheme, partitions } = table
  // The partition of a hybrid CD is the CD, from the sector of the table on: neither can be shrunk or moved.
  const hint = partitions.some(({ start }) => start === 0)
    ? 'A partition begins with the first sector, as on a hybrid CD: such an image cannot be shrunk. Take a target of ' +
      `at least ${source.capacity} bytes. No flag overrides this.`
    : undefined
  const no = (why: string): Fitting => ({ fits: false, why, hint })
  const member = identifyFilesystems(source).find(
    ({ kind, marks = [] }) => kind === 'container' && marks.some(({ offset, length }) => offset + length > capacity),
  )
  if (member !== undefined)
    return {
      fits: false,
      why: `it is a member of ${member.title}, whose mark lies at its end`,
      hint: `Take a target of ${source.capacity} bytes. No flag overrides this.`,
    }
  if (scheme === 'none') {
    const found = identifyFilesystems(source)
    const [filesystem] = found
    if (filesystem?.size === undefined || found.length > 1)
      return no('it has no partition table, and where its content ends is not known')
    return filesystem.size <= capacity ? { fits: true } : no(`its ${filesystem.title} has ${filesystem.size} bytes`)
  }
  if (scheme !== 'gpt' && scheme !== 'mbr')
    return no(`where the content ends is not known of a disk with a table of the kind ${scheme.toUpperCase()}`)
  const past = partitions.find(({ start, length }) => start + length > capacity)
  if (past !== undefined) return no(`partition ${past.number} ends at byte ${past.start + past.length}`)
  if (scheme === 'mbr') return { fits: true }
  try {
    planMend(patchedSource(source, [], { capacity, sectorSize: source.sectorSize }))
    return { fits: true }
  } catch (error) {
    if (!isImageError(error)) throw error
    return no(error.message)
  }
}

/**
 * Works out what a target is to hold so that it is a sound disk at its own size: the backup of a GPT at its end, ids,
 * the last partition
 * enlarged; of a smaller target what has a place on it, which {@link judgeFit} must have allowed.
 * @throws ImageError refused E_PARTITIONS_DO_NOT_FIT; usage E_NO_TABLE; corrupt E_GPT_CORRUPT; aborted E_ABORTED.
 */
export async function deviceContent(
  source: BlockSource,
  shape: DeviceShape,
  options: ContentOptions = {},
): Promise<DeviceContent> {
  const { capacity, sectorSize } = shape
  const end = Math.min(roundUp(source.capacity, sectorSize), capacity)
  const notes: Note[] = []
  const cut = source.capacity > capacity ? await cutOff(source, capacity, notes, options.signal) : undefined
  const adapted = adaptedTable(source, shape, options, notes)
  const laid = (writes: readonly TableWrite[]): BlockSource =>
    patchedSource(source, writes, { capacity, sectorSize: source.sectorSize })
  const table = readPartitionTable(laid(adapted.writes))
  const { writes, grown } =
    options.grow === true
      ? grownContent(laid(adapted.writes), table, { shape, before: source.capacity, notes })
      : { writes: [] }
  const content = laid([...adapted.writes, ...writes])
  if (shape.partition !== undefined) {
    notes.push(...movedNotes(source, { start: shape.partition.start, sectorSize, number: shape.partition.number }))
    if (grown === undefined) notes.push(...slackNotes(slackOf(source, { length: capacity }), shape.partition.number))
  }
  return {
    source: content,
    end,
    table: writes.length === 0 ? table : readPartitionTable(content),
    mends: adapted.mends,
    ids: adapted.ids,
    notes,
    cut,
    grown,
  }
}

interface Adapted {
  readonly writes: readonly TableWrite[]
  readonly mends: readonly Mend[]
  readonly ids: readonly IdChange[]
}
const untouched: Adapted = { writes: [], mends: [], ids: [] }

/** A disk that keeps its size keeps its table as it is, byte for byte. */
function adaptedTable(
  source: BlockSource,
  { capacity, partition }: DeviceShape,
  { newId, grow }: ContentOptions,
  notes: Note[],
): Adapted {
  const before = readPartitionTable(source)
  if (
    partition !== undefined ||
    (newId === undefined && (before.scheme !== 'gpt' || (capacity === source.capacity && grow !== true)))
  )
    return untouched
  const disk = patchedSource(source, [], { capacity, sectorSize: source.sectorSize })
  try {
    const { writes, mends, ids } = planMend(disk, newId === undefined ? {} : { newId })
    return { writes: [...staleBackup(source, before, capacity), ...writes.flat()], mends, ids }
  } catch (error) {
    // A table that cannot be mended is written as it is, like everything else; what was asked for must be possible.
    if (!isImageError(error) || newId !== undefined || capacity < source.capacity) throw error
    notes.push({
      code: 'W_TABLE_AS_IT_IS',
      message: `the partition table was not fitted to the size of the target: ${error.message}`,
    })
    return untouched
  }
}

/** The backup of a GPT where the disk ended before: other tools may take it for real. */
function staleBackup(
  source: BlockSource,
  { scheme, sectorSize, partitions }: PartitionTable,
  capacity: number,
): TableWrite[] {
  const copy = scheme === 'gpt' && capacity > source.capacity ? readGpt(source, sectorSize)?.backup.copy : undefined
  if (copy === undefined) return []
  const places = [
    { position: copy.lba * sectorSize, length: sectorSize },
    { position: Number(copy.header.entriesLba) * sectorSize, length: roundUp(copy.entries.length, sectorSize) },
  ]
  return places
    .filter(
      ({ position, length }) =>
        !partitions.some((other) => position < other.start + other.length && position + length > other.start),
    )
    .map(({ position, length }) => ({ position, bytes: new Uint8Array(length) }))
}

async function cutOff(
  source: BlockSource,
  capacity: number,
  notes: Note[],
  signal: AbortSignal | undefined,
): Promise<{ readonly length: number; readonly content?: number }> {
  const fitting = judgeFit(source, capacity)
  if (!fitting.fits)
    throw refused('E_DOES_NOT_FIT', `${source.capacity} bytes do not fit on ${capacity}: ${fitting.why}`, {
      hint: fitting.hint ?? shrinkFirst,
    })
  const length = source.capacity - capacity
  const { scheme, sectorSize } = readPartitionTable(source)
  const backup = scheme === 'gpt' ? readGpt(source, sectorSize)?.backup.copy : undefined
  // The backup of the GPT is made anew: it is no content.
  const wiped =
    backup === undefined
      ? []
      : [
          { position: backup.lba * sectorSize, bytes: new Uint8Array(sectorSize) },
          { position: Number(backup.header.entriesLba) * sectorSize, bytes: new Uint8Array(backup.entries.length) },
        ]
  const content = await firstContent(
    patchedSource(source, wiped, { capacity: source.capacity, sectorSize: source.sectorSize }),
    capacity,
    signal,
  )
  notes.push({
    code: 'W_CUT',
    message:
      `the last ${length} bytes of the source have no place on the target and are left out: ` +
      (`${scheme === 'none' ? 'its filesystem ends before them' : 'no partition lies there'}, ` +
        (content === undefined ? 'and they hold nothing' : `but they are not empty (from offset ${content} on)`)),
  })
  return { length, content }
}
