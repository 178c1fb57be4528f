import { MaskedSource } from '../../block/masked.js'
import { RunMap } from '../../block/run-map.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import { aborted, isImageError, refused, type ImageError } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { Filesystem, Run } from '../../filesystem/types.js'
import { readPartitionTable, type Partition, type PartitionTable } from '../../partition/index.js'

/** What is done with a filesystem that was not left in order: its record of free space may not be true. */
export type DirtyChoice = 'refuse' | 'whole' | 'trust'

export interface UsedOnlyOptions {
  /** Default: `refuse`. */
  readonly ifDirty?: DirtyChoice
  /** Leaves out what lies in swap areas too; their heads stay. */
  readonly dropSwap?: boolean
  /** The partitions that are wanted at all, by number; of the others nothing is read. Default: all. */
  readonly parts?: readonly number[]
  readonly signal?: AbortSignal
}

/** What a part of the disk is read as. Bytes. */
export interface VolumeUse {
  /** Undefined: the whole disk is one volume. */
  readonly partition?: number
  /** `ext4`; undefined where nothing is known. */
  readonly filesystem?: string
  readonly length: number
  /** Bytes that are read; `length` where all are. */
  readonly read: number
  /** Why the volume is read whole. */
  readonly whole?: string
}

export interface UsedOnly {
  /** The disk, in which all that no filesystem uses reads as zero. It holds the disk given, and does not close it. */
  readonly source: BlockSource
  readonly volumes: readonly VolumeUse[]
  readonly notes: readonly Note[]
}

/**
 * Finds what of a disk is in use: of each partition, or of the one filesystem on it, what its own records say; all else
 * whole, with a
 * note that says so. What lies outside of partitions is in use.
 * @throws ImageError refused E_FS_DIRTY, unless `ifDirty` says otherwise; aborted E_ABORTED.
 */
export async function usedOnly(disk: BlockSource, options: UsedOnlyOptions = {}): Promise<UsedOnly> {
  const table = readPartitionTable(disk)
  const runs = new RunMap()
  const { volumes: parts, apart } = volumesOf(table, disk)
  const volumes: VolumeUse[] = [...apart]
  let end = 0
  for (const volume of parts) {
    stopIfAborted(options.signal)
    runs.add(end, volume.start - end)
    const wanted = volume.partition === undefined || options.parts?.includes(volume.partition) !== false
    volumes.push(
      wanted
        ? await addVolume(runs, volume, options)
        : { partition: volume.partition, length: volume.source.capacity, read: 0 },
    )
    end = volume.start + volume.source.capacity
  }
  runs.add(end, disk.capacity - end)
  return { source: new MaskedSource(disk, runs), volumes, notes: volumes.flatMap(wholeNote) }
}

interface Volume {
  readonly partition: number | undefined
  readonly start: number
  readonly source: BlockSource
}

/**
 * The parts that are looked into, ascending: no two share a byte. `apart` are read whole, like all that lies outside of
 * partitions.
 */
function volumesOf(
  table: PartitionTable,
  disk: BlockSource,
): { readonly volumes: readonly Volume[]; readonly apart: readonly VolumeUse[] } {
  const error = table.issues.find(({ severity, partition }) => severity === 'error' && partition === undefined)
  if (table.partitions.length === 0 && error !== undefined)
    return { volumes: [], apart: [{ length: disk.capacity, read: disk.capacity, whole: error.message }] }
  if (table.scheme === 'none') return { volumes: [{ partition: undefined, start: 0, source: disk }], apart: [] }
  const parts = table.partitions
    .filter(({ role, length }) => role !== 'extended' && length > 0)
    .sort((one, other) => one.start - other.start)
  const volumes: Volume[] = []
  const apart: VolumeUse[] = []
  for (const part of parts) {
    const { number, start, length } = part
    const other = parts.find((candidate) => candidate !== part && overlap(part, candidate))
    const whole =
      start + length > disk.capacity
        ? 'it ends behind the end of the disk'
        : other !== undefined
          ? `it overlaps partition ${other.number}`
          : undefined
    if (whole === undefined) volumes.push({ partition: number, start, source: new SliceSource(disk, start, length) })
    else apart.push({ partition: number, length, read: length, whole })
  }
  return { volumes, apart }
}

function overlap(one: Partition, other: Partition): boolean {
  return one.start < other.start + other.length && other.start < one.start + one.length
}

async function addVolume(
  runs: RunMap,
  { partition, start, source }: Volume,
  options: UsedOnlyOptions,
): Promise<VolumeUse> {
  const length = source.capacity
  const found = identifyFilesystems(source)
  const [filesystem] = found
  const common = {
    length,
    partition,
    filesystem: filesystem === undefined ? undefined : filesystem.title,
  }
  const used =
    filesystem === undefined
      ? 'nothing is known of what it holds'
      : found.length > 1
        ? `it looks like several filesystems: ${found.map(({ title }) => title).join(', ')}`
        : await usedRuns(filesystem, partition, options)
  if (typeof used === 'string') {
    runs.add(start, length)
    return { ...common, read: length, whole: used }
  }
  let read = 0
  for (const run of used) {
    runs.add(start + run.offset, run.length)
    read += run.length
  }
  return { ...common, read }
}

/**
 * The runs in use, walked through once so that what is wrong with them is known before anything is written; a reason
 * where they cannot be had.
 */
async function usedRuns(
  filesystem: Filesystem,
  partition: number | undefined,
  options: UsedOnlyOptions,
): Promise<Iterable<Run> | string> {
  const { ifDirty = 'refuse', dropSwap = false, signal } = options
  const chosen = { allowDirty: ifDirty === 'trust', dropSwap }
  if (filesystem.usedRuns === undefined) return `no map of what it uses is known for ${filesystem.title}`
  try {
    const walk = filesystem.usedRuns(chosen)[Symbol.iterator]()
    for (let count = 1; walk.next().done !== true; count++) {
      if (count % 65536 !== 0) continue
      // Lets a signal through: the walk is synchronous.
      await new Promise((next) => setImmediate(next))
      stopIfAborted(signal)
    }
    return filesystem.usedRuns(chosen)
  } catch (error) {
    if (!isImageError(error) || error.kind === 'aborted' || error.code === 'E_READ') throw error
    if (error.code !== 'E_FS_DIRTY' || ifDirty === 'whole') return error.message
    throw dirtyError(error, partition)
  }
}

function stopIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted()
}

function dirtyError(error: ImageError, partition: number | undefined): Error {
  return refused('E_FS_DIRTY', partition === undefined ? error.message : `partition ${partition}: ${error.message}`, {
    hint: (
      `${error.hint ?? ''} --if-dirty whole reads this one whole; --if-dirty trust takes its record all the ` + 'same.'
    ).trim(),
    cause: error,
    details: { ...error.details, partition },
  })
}

function wholeNote({ partition, whole }: VolumeUse): Note[] {
  if (whole === undefined) return []
  return [
    {
      code: 'W_FS_WHOLE',
      message: `${partition === undefined ? 'the disk' : `partition ${partition}`} is copied whole: ${whole}`,
    },
  ]
}
