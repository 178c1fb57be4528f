import type { BlockSource, Note } from '../../block/types.js'
import { isImageError } from '../../errors.js'
import type { OpenedImage } from '../../formats/open.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import type { Filesystem } from '../../filesystem/types.js'
import {
  gapsOf,
  openPartition,
  readPartitionTable,
  type Gap,
  type Partition,
  type PartitionTable,
  type TableScheme,
  type TableIssue,
} from '../../partition/index.js'
import { diagnoseBoot, type BootDiagnosis } from './boot/diagnosis.js'
import { problem, type Problem } from './info.js'
import { mendingCommand } from './mending-command.js'
import {
  openReadableLater,
  parseImageArgument,
  sourceInfo,
  type LaterOptions,
  type ReadOptions,
  type SourceInfo,
} from '../open/opening.js'
import { guessSystems, type OperatingSystem } from './boot/system-guess.js'
import { VolumeFiles, type Volume } from '../files/volume-files.js'

export type InspectOptions = ReadOptions & LaterOptions

/** What is known of a filesystem, without its map and its files. Sizes are bytes. */
export type FilesystemInfo = Omit<Filesystem, 'usedRuns' | 'openTree' | 'openContent' | 'marks'>

/** A partition, and what it holds. Positions and lengths are bytes, sectors are the table's. */
export interface PartitionInfo extends Partition {
  readonly firstSector: number
  /** Inclusive. */
  readonly lastSector: number
  /** The largest power of two that divides its start, up to 1 MiB. */
  readonly alignment: number
  /** More than one is ambiguous; empty: nothing that is known. */
  readonly filesystems: readonly FilesystemInfo[]
  /** Why its content could not be looked at. */
  readonly unreadable?: Problem
}

/** Something wrong or odd, and what mends it. */
export interface InspectIssue extends TableIssue {
  /** A command to be typed; undefined where none mends it. */
  readonly command?: string
}

export interface InspectResult {
  readonly image: SourceInfo & { readonly sectorSize: number }
  readonly scheme: TableScheme
  /** Bytes of the sectors that the table counts in. */
  readonly sectorSize: number
  readonly diskId?: string
  /** Further tables beside or within the main one. */
  readonly also: readonly TableScheme[]
  readonly partitions: readonly PartitionInfo[]
  /** Partitions of the MBR beside a GPT. */
  readonly hybrid: readonly Partition[]
  readonly gaps: readonly Gap[]
  /** Where partitions may lie; `end` is exclusive. */
  readonly usable?: { readonly start: number; readonly end: number }
  /** What starts at the disk's first byte: a disk without a table, a CD. */
  readonly filesystems: readonly FilesystemInfo[]
  readonly issues: readonly InspectIssue[]
  readonly boot: BootDiagnosis
  readonly operatingSystem: OperatingSystem
  readonly notes: readonly Note[]
}

/** Of more partitions the content is not looked at: tables like that are made, not used. */
const mostVolumes = 256
const largestAlignment = 1048576

/** What is on a disk: its table, partitions and filesystems, and what is wrong with them. @throws ImageError */
export async function inspect(argument: string, options: InspectOptions = {}): Promise<InspectResult> {
  using opened = await openReadableLater(argument, options)
  return examine(argument, opened).result
}

/** The same of an image that is open: also its volumes, which are open as long as it is. */
export function examine(
  argument: string,
  opened: OpenedImage,
): { readonly result: InspectResult; readonly volumes: readonly Volume[] } {
  const table = readPartitionTable(opened)
  const volumes: Volume[] = []
  const partitions = table.partitions.map((partition, index) =>
    partitionInfo(opened, table, partition, index < mostVolumes ? volumes : undefined),
  )
  const whole = wholeDisk(opened, table)
  if (whole.length > 0) volumes.push({ source: opened, filesystems: whole })
  const filesystems = infos(whole)
  const issues = [...table.issues, ...volumeIssues(table, partitions, filesystems)]
  const { path } = parseImageArgument(argument)
  const open = volumes.map((volume) => ({ volume, files: new VolumeFiles(volume) }))
  const result: InspectResult = {
    image: { ...sourceInfo(path, opened), sectorSize: opened.sectorSize },
    scheme: table.scheme,
    sectorSize: table.sectorSize,
    also: table.also,
    partitions,
    hybrid: table.hybrid,
    gaps: gapsOf(table),
    filesystems,
    // A partition of an image is no image: commands that mend need the whole.
    issues: issues.map((issue) => ({
      ...issue,
      command: opened.part === undefined ? mendingCommand(issue, table, path) : undefined,
    })),
    boot: diagnoseBoot(opened, table, open, opened.part),
    operatingSystem: guessSystems(table, open),
    notes: opened.notes,
    diskId: table.diskId,
    usable: table.usable,
  }
  return { result, volumes }
}

/** @param volumes takes what the partition holds; undefined: it is not looked into. */
function partitionInfo(
  source: BlockSource,
  { sectorSize }: PartitionTable,
  partition: Partition,
  volumes: Volume[] | undefined,
): PartitionInfo {
  const { start, length } = partition
  let alignment = largestAlignment
  while (start % alignment !== 0) alignment /= 2
  return {
    ...partition,
    alignment,
    firstSector: Math.floor(start / sectorSize),
    lastSector: Math.floor((start + length) / sectorSize) - 1,
    ...(volumes !== undefined && partition.role !== 'extended'
      ? content(source, partition, volumes)
      : { filesystems: [] }),
  }
}

function content(
  source: BlockSource,
  partition: Partition,
  volumes: Volume[],
): Pick<PartitionInfo, 'filesystems' | 'unreadable'> {
  try {
    const volume = openPartition(source, partition, 'the disk')
    const filesystems = identifyFilesystems(volume)
    volumes.push({ partition, source: volume, filesystems })
    return { filesystems: infos(filesystems) }
  } catch (error) {
    // Damage in one partition does not keep the others from being shown. One that leaves the disk is an issue of the
    // table already.
    if (!isImageError(error)) throw error
    return { filesystems: [], unreadable: problem(error) }
  }
}

function infos(found: readonly Filesystem[]): FilesystemInfo[] {
  return found.map(
    ({ type, title, kind, version, label, uuid, blockSize, size, used, free, state, facts, issues }) => ({
      type,
      title,
      kind,
      state,
      facts,
      issues,
      version,
      label,
      uuid,
      blockSize,
      size,
      used,
      free,
    }),
  )
}

/**
 * What starts at the disk's first byte. A disk with partitions is no volume, with these exceptions: a CD has both, and
 * tables that are
 * empty, left over, or without the master boot record that belongs to them may stand beside a filesystem.
 */
function wholeDisk(source: BlockSource, { scheme, partitions, issues }: PartitionTable): readonly Filesystem[] {
  if (source.capacity === 0) return []
  const doubtful =
    scheme === 'none' ||
    // A label of BSD lies beside the superblock of what starts with the disk.
    (scheme === 'bsd' && partitions.every(({ start }) => start > 0)) ||
    (scheme === 'mbr' && partitions.length === 0) ||
    issues.some(({ code }) => code === 'W_PMBR_MISSING')
  const found = identifyFilesystems(source)
  return doubtful ? found : found.filter(({ type }) => type === 'iso9660' || type === 'udf')
}

function volumeIssues(
  { scheme }: PartitionTable,
  partitions: readonly PartitionInfo[],
  filesystems: readonly FilesystemInfo[],
): TableIssue[] {
  const issues: TableIssue[] = []
  for (const { number, filesystems: held, unreadable } of partitions) {
    for (const { code, severity, message } of held.flatMap((filesystem) => filesystem.issues))
      issues.push({ code, severity, partition: number, message: `partition ${number}: ${message}` })
    if (unreadable !== undefined && unreadable.code !== 'E_PART_PAST_END')
      issues.push({
        code: unreadable.code,
        severity: 'error',
        partition: number,
        message: `what is in partition ${number} is not known: ${unreadable.message}`,
      })
  }
  if (partitions.length > mostVolumes)
    issues.push({
      code: 'W_MANY_PARTITIONS',
      severity: 'note',
      message: `there are ${partitions.length} partitions; what is in them is shown for the first ${mostVolumes}`,
    })
  for (const { code, severity, message } of filesystems.flatMap((filesystem) => filesystem.issues))
    issues.push({ code, severity, message })
  const [first] = filesystems
  if (
    scheme !== 'none' &&
    partitions.length > 0 &&
    first !== undefined &&
    first.type !== 'iso9660' &&
    first.type !== 'udf'
  ) {
    issues.push({
      code: 'W_AMBIGUOUS',
      severity: 'warning',
      message:
        `the disk has a partition table and ${first.title} at its first byte: one of them is left over, ` +
        'and systems differ in which they believe',
    })
  }
  return issues
}
