import { ceilDivide } from '../binary/integers.js'
import { SliceSource } from '../block/slice.js'
import type { BlockSource } from '../block/types.js'
import type { ApmReading } from './apm.js'
import { bsdSliceTypes, readBsd, type BsdReading } from './bsd.js'
import { readGptCopy, type GptFinding, type GptReading } from './gpt.js'
import type { MbrReading } from './mbr.js'
import type { Partition, TableScheme, TableIssue, TableRun } from './types.js'

/** Every table that was found on a disk, whichever of them is used. */
export interface FoundTables {
  readonly scheme: TableScheme
  readonly mbr: MbrReading | undefined
  /** One for each sector size in which a GPT was found. */
  readonly gpts: readonly GptReading[]
  readonly apm: ApmReading | undefined
  readonly bsd: BsdReading | undefined
  /** The partitions of the table that is used. */
  readonly partitions: readonly Partition[]
}

/**
 * Everything that partition tables occupy on a disk: boot records, each extended boot record of the chain, headers and
 * entries of both copies of a GPT wherever they lie (damaged and left-over ones too), partition maps, BSD labels with
 * the boot code around them. These runs are in use, whatever a filesystem says that lies around them.
 * @returns ascending by start; runs may overlap, and all end inside the disk.
 */
export function occupied(found: FoundTables, source: BlockSource): readonly TableRun[] {
  const { mbr, apm, bsd } = found
  const runs: TableRun[] = []
  const add = (start: number, length: number, title: string, partition?: number): void => {
    const end = Math.min(start + length, source.capacity)
    if (start >= 0 && end > start) runs.push({ start, length: end - start, title, partition })
  }
  if (found.scheme !== 'none' || mbr !== undefined) add(0, 512, 'the first sector, with the boot record')
  for (const { position, leadsTo } of mbr?.records ?? [])
    add(position, mbr?.sectorSize ?? 512, recordTitle(position, leadsTo))
  for (const sectorSize of [512, 4096] as const) {
    for (const { position, length, title } of gptRuns(source, sectorSize, found.gpts)) add(position, length, title)
  }
  if (apm !== undefined) add(0, apm.mapEnd, 'the Apple partition map')
  if (bsd !== undefined) add(bsd.start, bsd.end - bsd.start, 'the BSD label and its boot code')
  for (const slice of found.partitions) {
    const label = nestedLabel(source, slice)
    if (label === undefined) continue
    const title = `the BSD label of partition ${slice.number} and its boot code`
    add(slice.start + label.start, label.end - label.start, title, slice.number)
  }
  return runs.sort((one, other) => one.start - other.start)
}

/** A BSD label inside a slice of an MBR or GPT. */
export function nestedLabel(source: BlockSource, { start, length, type }: Partition): BsdReading | undefined {
  if (!bsdSliceTypes.includes(type.id) || start >= source.capacity) return undefined
  return readBsd(new SliceSource(source, start, Math.min(length, source.capacity - start)))
}

function recordTitle(position: number, leadsTo: number | undefined): string {
  return leadsTo === undefined
    ? `the extended boot record at byte ${position}`
    : `the extended boot record of partition ${leadsTo} (byte ${position})`
}

interface GptRun {
  readonly position: number
  readonly length: number
  readonly title: string
}

function gptRuns(source: BlockSource, sectorSize: 512 | 4096, readings: readonly GptReading[]): GptRun[] {
  const last = Math.floor(source.capacity / sectorSize) - 1
  const reading = readings.find((each) => each.sectorSize === sectorSize)
  const places = new Map<number, GptFinding>()
  const look = (lba: number): void => {
    if (lba >= 1 && lba <= last && !places.has(lba)) places.set(lba, readGptCopy(source, sectorSize, lba))
  }
  look(1)
  look(last)
  for (const copy of [reading?.primary.copy, reading?.backup.copy])
    if (copy !== undefined && copy.header.alternateLba <= BigInt(last)) look(Number(copy.header.alternateLba))
  return [...places].flatMap(([lba, finding]) => copyRuns(lba, finding, sectorSize, last))
}

/** A header and its entries. Of a damaged one the entries are believed only where they are near it, or behind it. */
function copyRuns(lba: number, finding: GptFinding, sectorSize: number, last: number): GptRun[] {
  const header = finding.copy?.header ?? (finding.copy === undefined ? finding.header : undefined)
  if (header === undefined) return []
  const which = lba === 1 ? 'primary' : 'backup'
  const runs: GptRun[] = [
    { position: lba * sectorSize, length: sectorSize, title: `the ${which} GPT header in sector ${lba}` },
  ]
  const bytes = header.entryCount * header.entrySize
  const sectors = finding.copy === undefined && bytes > usualTable ? 0 : ceilDivide(bytes, sectorSize)
  if (sectors > 0 && header.entriesLba >= 1n && header.entriesLba + BigInt(sectors) <= BigInt(last + 1)) {
    const first = Number(header.entriesLba)
    runs.push({
      position: first * sectorSize,
      length: sectors * sectorSize,
      title: `the entries of the ${which} GPT from sector ${first} on`,
    })
  }
  return runs
}

/** Bytes of entries that a header with a wrong checksum is still believed to have: 128 of 128 bytes. */
const usualTable = 16384

/** How many overlaps are reported one by one. */
const mostIssues = 32

/** Tables inside partitions: writing to the free space of such a partition destroys them. */
export function overlapIssues(
  runs: readonly TableRun[],
  partitions: readonly Partition[],
  capacity: number,
): TableIssue[] {
  const issues = partitions.flatMap((partition) => {
    const { number, start, length, role, type } = partition
    if (role === 'extended' || length === 0 || type.id === 'Apple_partition_map') return []
    // That is an error of its own, and worse.
    if (start + length > capacity) return []
    return within(runs, partition)
      .filter((run) => run.partition === undefined)
      .map((run): TableIssue => {
        const whole = run.start >= start && run.start + run.length <= start + length
        return {
          code: 'W_TABLE_IN_PARTITION',
          // A partition from the first sector on contains the table by intent: CDs and BSD disks are made so.
          severity: start === 0 ? 'note' : 'warning',
          partition: number,
          message:
            `${run.title} lies ${whole ? '' : 'partly '}inside partition ${number}: ` +
            'its filesystem may overwrite it',
        }
      })
  })
  return issues.slice(0, mostIssues)
}

/** The runs that share bytes with a range of the disk. */
export function within(
  runs: readonly TableRun[],
  { start, length }: { readonly start: number; readonly length: number },
): TableRun[] {
  return runs.filter((run) => run.start < start + length && start < run.start + run.length)
}
