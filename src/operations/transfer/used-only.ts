import { MaskedSource } from '../../block/masked.js'
import { RunMap } from '../../block/run-map.js'
import { SliceSource } from '../../block/slice.js'
import type { BlockSource, Note } from '../../block/types.js'
import { isImageError, refused, stopIfAborted, type ImageError } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import { RunSet, unionRuns } from '../../filesystem/run-union.js'
import type { Filesystem, ByteRun } from '../../filesystem/types.js'
import type { UnitRun } from '../../filesystem/unit-runs.js'
import { grubCoreRuns } from '../inspect/boot/grub-core.js'
import { isDynamicDiskType, readPartitionTable, type Partition, type PartitionTable } from '../../partition/index.js'
import { nextTurn } from '../../sys/next-turn.js'

/** What is done with a filesystem that was not left in order: its record of free space may not be true. */
export type DirtyChoice = 'refuse' | 'whole' | 'trust'

export interface UsedOnlyOptions {
  /** Default: `refuse`. */
  readonly ifDirty?: DirtyChoice
  /** Leaves out what lies in swap areas too; their heads stay. */
  readonly dropSwap?: boolean
  /** The partitions that are wanted at all, by number; of the others nothing is read. Default: all. */
  readonly parts?: readonly number[]
  /** The type of the partition that is given instead of a disk, as its table stores it. */
  readonly type?: string
  readonly signal?: AbortSignal
}

/** What a part of the disk is read as. Bytes. */
export interface VolumeUsage {
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
  readonly volumes: readonly VolumeUsage[]
  readonly notes: readonly Note[]
}

/**
 * Finds what of a disk is in use: of each partition, or of the one filesystem on it, what its own records say; all else
 * whole, with a note that says so. What lies outside of partitions is in use, and what partition tables and
 * members of arrays occupy, wherever that lies.
 * @throws ImageError refused E_FS_DIRTY, unless `ifDirty` says otherwise; aborted E_ABORTED.
 */
export async function usedOnly(disk: BlockSource, options: UsedOnlyOptions = {}): Promise<UsedOnly> {
  const table = readPartitionTable(disk)
  const runs = new RunMap()
  const { volumes: parts, apart } = volumesOf(table, disk, options.type)
  const kept = alwaysInUse(table, disk)
  const volumes: VolumeUsage[] = [...apart]
  let end = 0
  for (const volume of parts) {
    stopIfAborted(options.signal)
    runs.add(end, volume.start - end)
    volumes.push(await addVolume(runs, volume, kept, options))
    end = volume.start + volume.source.capacity
  }
  runs.add(end, disk.capacity - end)
  return { source: new MaskedSource(disk, runs), volumes, notes: volumes.flatMap(wholeNote) }
}

/** What is in use whatever the filesystem says that lies around it. Bytes of the disk. */
function alwaysInUse(table: PartitionTable, disk: BlockSource): RunSet {
  const kept = new RunSet()
  for (const { start, length } of table.occupied) kept.add(start, length)
  // A further table (hybrid, BSD label, CD) may divide the disk otherwise: who goes by it has data there.
  for (const { start, length } of table.others) {
    const same = table.partitions.some((partition) => partition.start === start && partition.length === length)
    if (!same) kept.add(start, Math.min(length, disk.capacity - start))
  }
  for (const { offset, length } of grubCoreRuns(disk, table.sectorSize)) kept.add(offset, length)
  if (table.scheme !== 'none')
    for (const { marks = [] } of containersOf(disk)) for (const { offset, length } of marks) kept.add(offset, length)
  return kept
}

/** Containers (RAID, LVM, ZFS) that claim a whole disk. Their marks may lie inside its last partition. */
function containersOf(disk: BlockSource): readonly Filesystem[] {
  return identifyFilesystems(disk).filter(({ kind }) => kind === 'container')
}

function* shifted(runs: Iterable<ByteRun>, start: number): Generator<UnitRun> {
  for (const { offset, length } of runs) yield { first: start + offset, count: length }
}

function* clipped(runs: Iterable<UnitRun>, start: number, end: number): Generator<UnitRun> {
  for (const { first, count } of runs) {
    const from = Math.max(first, start)
    const to = Math.min(first + count, end)
    if (to > from) yield { first: from, count: to - from }
  }
}

interface Volume {
  readonly partition: number | undefined
  readonly start: number
  readonly source: BlockSource
  /** Why it is read whole, whatever it holds. */
  readonly whole?: string
}

/** Partitions in which a filesystem may lie that does not say what is in use there. */
const opaqueTypes: Readonly<Record<string, string>> = {
  '0xe7': 'it belongs to Storage Spaces',
  'e75caf8f-f680-4cee-afa3-b001e56efc2d': 'it belongs to Storage Spaces',
  '0x84': 'the memory of a sleeping system lies in it',
  '0xa0': 'the memory of a sleeping system lies in it',
  'd3bfe2de-3daf-11df-ba40-e3a556d89593': 'the memory of a sleeping system lies in it',
  '0x41': 'a boot loader lies in it',
  '21686148-6449-6e6f-744e-656564454649': 'a boot loader lies in it',
  '9e1a2d38-c612-4316-aa26-8b49521e5a8b': 'a boot loader lies in it',
  '83bd6b9d-7f41-11dc-be0b-001560b84f0f': 'a boot loader lies in it',
}

/** Why a partition of a type is read whole; undefined: it is looked into. */
function opaqueBy(type: string): string | undefined {
  return isDynamicDiskType(type) ? 'it belongs to a dynamic disk (LDM)' : opaqueTypes[type]
}

/**
 * The parts that are looked into, ascending: no two share a byte. `apart` are read whole, like all that lies outside of
 * partitions.
 */
function volumesOf(
  table: PartitionTable,
  disk: BlockSource,
  partType: string | undefined,
): { readonly volumes: readonly Volume[]; readonly apart: readonly VolumeUsage[] } {
  const error = table.issues.find(({ severity, partition }) => severity === 'error' && partition === undefined)
  if (table.partitions.length === 0 && error !== undefined) return wholeOnly(disk, error.message)
  const unread = table.issues.find(({ code }) => code === 'W_TABLE_NOT_READ')
  if (unread !== undefined) return wholeOnly(disk, unread.message)
  const opaque = partType === undefined ? undefined : opaqueBy(partType)
  if (opaque !== undefined) return wholeOnly(disk, opaque)
  if (table.scheme === 'none') return { volumes: [{ partition: undefined, start: 0, source: disk }], apart: [] }
  const parts = table.partitions
    .filter(({ role, length }) => role !== 'extended' && length > 0)
    .sort((one, other) => one.start - other.start)
  const member = containersOf(disk).find(({ marks = atStart }) => marks.some((mark) => !isCovered(mark, parts)))
  // The partitions are those of the array: on one of its disks they may be anything.
  if (member !== undefined) return wholeOnly(disk, `the whole disk is a member of ${member.title}`)
  const volumes: Volume[] = []
  const apart: VolumeUsage[] = []
  for (const part of parts) {
    const { number, start, length, type } = part
    const other = parts.find((candidate) => candidate !== part && overlap(part, candidate))
    const whole =
      start + length > disk.capacity
        ? 'it ends behind the end of the disk'
        : other !== undefined
          ? `it overlaps partition ${other.number}`
          : undefined
    if (whole === undefined)
      volumes.push({
        partition: number,
        start,
        source: new SliceSource(disk, start, length),
        whole: opaqueBy(type.id),
      })
    else apart.push({ partition: number, length, read: length, whole })
  }
  return { volumes, apart }
}

const atStart: readonly ByteRun[] = [{ offset: 0, length: 512 }]

function wholeOnly(disk: BlockSource, whole: string): ReturnType<typeof volumesOf> {
  return { volumes: [], apart: [{ length: disk.capacity, read: disk.capacity, whole }] }
}

/** Whether a mark lies in a partition, to which it then belongs. */
function isCovered({ offset, length }: ByteRun, parts: readonly Partition[]): boolean {
  return parts.some((part) => part.start <= offset && offset + length <= part.start + part.length)
}

function overlap(one: Partition, other: Partition): boolean {
  return one.start < other.start + other.length && other.start < one.start + one.length
}

async function addVolume(runs: RunMap, volume: Volume, kept: RunSet, options: UsedOnlyOptions): Promise<VolumeUsage> {
  const { partition, start, source } = volume
  const length = source.capacity
  const always = clipped(kept, start, start + length)
  if (partition !== undefined && options.parts?.includes(partition) === false)
    return { partition, length, read: addRuns(runs, always) }
  const found = identifyFilesystems(source)
  const used = await whatIsUsed(volume, found, options)
  const common = { length, partition, filesystem: found[0]?.title }
  if (typeof used === 'string') {
    runs.add(start, length)
    return { ...common, read: length, whole: used }
  }
  return { ...common, read: addRuns(runs, unionRuns([shifted(used, start), always])) }
}

/** The runs in use; a reason where all of the volume is. */
async function whatIsUsed(
  { partition, whole }: Volume,
  found: readonly Filesystem[],
  options: UsedOnlyOptions,
): Promise<Iterable<ByteRun> | string> {
  if (whole !== undefined) return whole
  const [filesystem, ...others] = found
  if (filesystem === undefined) return 'nothing is known of what it holds'
  if (others.length > 0) return `it looks like several filesystems: ${found.map(({ title }) => title).join(', ')}`
  return await usedRuns(filesystem, partition, options)
}

/** @returns the bytes in all of them. */
function addRuns(runs: RunMap, added: Iterable<UnitRun>): number {
  let bytes = 0
  for (const { first, count } of added) {
    runs.add(first, count)
    bytes += count
  }
  return bytes
}

/**
 * The runs in use, walked through once so that what is wrong with them is known before anything is written; a reason
 * where they cannot be had.
 */
async function usedRuns(
  filesystem: Filesystem,
  partition: number | undefined,
  options: UsedOnlyOptions,
): Promise<Iterable<ByteRun> | string> {
  const { ifDirty = 'refuse', dropSwap = false, signal } = options
  const chosen = { allowDirty: ifDirty === 'trust', dropSwap }
  if (filesystem.usedRuns === undefined) return `no map of what it uses is known for ${filesystem.title}`
  try {
    const walk = filesystem.usedRuns(chosen)[Symbol.iterator]()
    for (let count = 1; walk.next().done !== true; count++) {
      if (count % 65536 !== 0) continue
      // Lets a signal through: the walk is synchronous.
      await nextTurn()
      stopIfAborted(signal)
    }
    return filesystem.usedRuns(chosen)
  } catch (error) {
    if (!isImageError(error) || error.kind === 'aborted' || error.code === 'E_READ') throw error
    if (error.code !== 'E_FS_DIRTY' || ifDirty === 'whole') return error.message
    throw dirtyError(error, partition)
  }
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

function wholeNote({ partition, whole }: VolumeUsage): Note[] {
  if (whole === undefined) return []
  return [
    {
      code: 'W_FS_WHOLE',
      message: `${partition === undefined ? 'the disk' : `partition ${partition}`} is copied whole: ${whole}`,
    },
  ]
}
