import { roundUp } from '../binary/integers.js'
import type { BlockSource, Note } from '../block/types.js'
import { corrupt, refused, usage } from '../errors.js'
import { entriesSectors } from './gpt.js'
import { gptEntries, gptWrites, usualEntryCount, usualEntrySize } from './gpt-write.js'
import { lostPartitions, protectiveMbr } from './mbr.js'
import { mbrWrites, type NewMbrPartition } from './mbr-write.js'
import { gptTypeFor, mbrTypeFor } from './type-names.js'
import type { Partition, PartitionTable, TableWrite } from './types.js'

export interface TableConversionOptions {
  /** Another kind of table; the same when left out. */
  readonly scheme?: 'gpt' | 'mbr'
  /** Other sectors; the same when left out. */
  readonly sectorSize?: 512 | 4096
  /** Lets partitions that end inside a new sector end with it, some bytes later. */
  readonly roundEnds?: boolean
  /** Gives ids where the old table has none: a UUID for a name (`disk`, `partition 2`). */
  readonly newId: (name: string) => string
}

export interface TableConversion {
  /** Later ones cover earlier ones. The content of partitions stays where it is. */
  readonly writes: readonly TableWrite[]
  /** Bytes that the disk needs, at least what it has. */
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly scheme: 'gpt' | 'mbr'
  readonly notes: readonly Note[]
}

const mebibyte = 1048576
const legacyBootable = 4n

/**
 * A disk's table as another: other sectors, or GPT and MBR into each other. Refused where content, places or kinds of
 * partitions would be
 * lost; what an MBR cannot hold besides (names, ids) is reported.
 * @throws ImageError usage E_NO_TABLE, E_SAME_TABLE; corrupt E_TABLE_DAMAGED; refused E_SECTOR_MISFIT,
 * E_PARTITIONS_DO_NOT_FIT, E_NO_ROOM, E_TYPE_LOST, E_ATTRIBUTES_LOST.
 */
export function convertTable(
  source: BlockSource,
  table: PartitionTable,
  options: TableConversionOptions,
): TableConversion {
  if (table.scheme !== 'gpt' && table.scheme !== 'mbr')
    throw usage(
      'E_NO_TABLE',
      table.scheme === 'none' ? 'the disk has no partition table' : 'only GPT and MBR tables are converted',
    )
  const { scheme = table.scheme, sectorSize = table.sectorSize } = options
  if (scheme === table.scheme && sectorSize === table.sectorSize)
    throw usage('E_SAME_TABLE', `the table is ${scheme.toUpperCase()} in sectors of ${sectorSize} bytes already`)
  const error = table.issues.find(({ severity }) => severity === 'error') ?? lostPartitions(table.issues)
  if (error !== undefined)
    throw corrupt('E_TABLE_DAMAGED', `the table is damaged, and converting it would lose more: ${error.message}`, {
      hint: mendingHint(table),
      details: { issue: error.code },
    })
  if (table.hybrid.length > 0)
    throw refused('E_HYBRID', 'the disk has a hybrid MBR, whose partitions would be lost', {
      hint: 'No flag overrides this: make the MBR a protective one first.',
    })
  const work: Work = {
    source,
    table,
    options,
    sectorSize,
    partitions: table.partitions.map((partition) => fitted(partition, sectorSize, options.roundEnds === true)),
    notes: [],
  }
  return scheme === 'gpt' ? toGpt(work) : toMbr(work)
}

/** What is to be done about a table with an error, before it can be converted. */
function mendingHint({ issues }: PartitionTable): string {
  const has = (code: string): boolean => issues.some((issue) => issue.code === code)
  if (has('W_PART_PAST_END'))
    return 'The disk is cut short: vdisk convert with --size gives it its size again, with zeros for what is gone.'
  return has('W_GPT_TRUNCATED')
    ? 'Mend it first: vdisk partition fix'
    : 'vdisk does not mend that: correct the table first, with sfdisk or another partitioning tool.'
}

interface Work {
  readonly source: BlockSource
  readonly table: PartitionTable
  readonly options: TableConversionOptions
  readonly sectorSize: 512 | 4096
  readonly partitions: readonly Partition[]
  readonly notes: Note[]
}

/** A partition in whole sectors. */
function fitted(partition: Partition, sectorSize: number, roundEnds: boolean): Partition {
  const { number, start, length } = partition
  if (start % sectorSize !== 0)
    throw refused(
      'E_SECTOR_MISFIT',
      `partition ${number} starts at byte ${start}, inside a sector of ${sectorSize} bytes`,
      {
        hint:
          'Its content would have to be moved. Copy it with `vdisk partition extract` and inject it into a ' +
          'new disk.',
        details: { partition: number },
      },
    )
  if (length % sectorSize === 0) return partition
  if (!roundEnds)
    throw refused(
      'E_SECTOR_MISFIT',
      `partition ${number} ends at byte ${start + length}, inside a sector of ${sectorSize} bytes`,
      {
        hint: 'With --round-ends it ends with that sector; its filesystem keeps its size.',
        details: { partition: number },
      },
    )
  return { ...partition, length: roundUp(length, sectorSize) }
}

function toGpt({ source, table, options, sectorSize, partitions, notes }: Work): TableConversion {
  const data = partitions.filter(({ role }) => role !== 'extended')
  if (table.scheme === 'mbr') notes.push(...bootNotes(source))
  const entryCount = Math.max(usualEntryCount, ...data.map(({ number }) => number))
  const entries = gptEntries(
    data.map(({ number, type, uuid, start, length, attributes, flags, label }) => ({
      number,
      firstLba: start / sectorSize,
      lastLba: (start + length) / sectorSize - 1,
      ...(table.scheme === 'gpt'
        ? {
            type: type.id,
            unique: uuid ?? options.newId(`partition ${number}`),
            attributes: attributes ?? 0n,
            name: label ?? '',
          }
        : {
            type: gptTypeOf(number, type.id),
            unique: options.newId(`partition ${number}`),
            attributes: flags.includes('active') ? legacyBootable : 0n,
          }),
    })),
    entryCount,
  )
  const sectors = entriesSectors(entryCount, usualEntrySize, sectorSize)
  const needed = lastEnd(partitions) + (sectors + 1) * sectorSize
  const capacity = enlarged(source, needed, sectorSize, notes)
  const groups = gptWrites({
    sectorSize,
    capacity,
    entries,
    entryCount,
    entrySize: usualEntrySize,
    diskGuid: table.scheme === 'gpt' ? (table.diskId ?? options.newId('disk')) : options.newId('disk'),
    mbr: protectiveMbr(capacity, sectorSize, firstSector(source)),
  })
  return { writes: [...wiped(table, source.capacity), ...groups.flat()], capacity, sectorSize, scheme: 'gpt', notes }
}

function gptTypeOf(number: number, id: string): string {
  const found = gptTypeFor(Number(id))
  if (found === undefined)
    throw refused('E_TYPE_LOST', `partition ${number} is of the type ${id}, for which GPT has no type`, {
      details: { partition: number },
    })
  return found
}

function toMbr({ source, table, options, sectorSize, partitions, notes }: Work): TableConversion {
  const capacity = enlarged(source, lastEnd(partitions), sectorSize, notes)
  const kept = table.scheme === 'mbr'
  const wanted = kept
    ? partitions.map(sameInMbr)
    : numberedForMbr(partitions).map(([number, partition]) => newInMbr(number, partition))
  if (!kept) {
    const ids =
      partitions.length === 0
        ? ''
        : ` ${partitions.length} partitions lose their ` +
          (`ids${partitions.some(({ label }) => label !== undefined) ? ' and names' : ''}: fstab, boot entries ` +
            'and BCD stores that use them must be changed')
    notes.push({ code: 'W_IDS_LOST', message: `an MBR has no disk GUID, no names and no ids of partitions.${ids}` })
    if (partitions.some(({ type }) => type.name === 'BIOS boot'))
      notes.push({
        code: 'W_BOOT',
        message: 'GRUB kept its code in the BIOS boot partition, and is to be installed again',
      })
  }
  const groups = mbrWrites({
    sectorSize,
    partitions: wanted,
    before: firstSector(source),
    diskSignature: Number.parseInt(kept ? (table.diskId ?? '0') : options.newId('disk').slice(0, 8), 16),
  })
  return { writes: [...wiped(table, source.capacity), ...groups.flat()], capacity, sectorSize, scheme: 'mbr', notes }
}

function sameInMbr({ number, role, type, start, length, flags }: Partition): NewMbrPartition {
  return { number, role, type: Number(type.id), start, length, active: flags.includes('active') }
}

/** Up to four keep their numbers where these are 1 to 4, and move up otherwise. */
function numberedForMbr(partitions: readonly Partition[]): [number, Partition][] {
  if (partitions.length > 4)
    throw refused(
      'E_PARTITIONS_DO_NOT_FIT',
      `an MBR has four entries, and the disk has ${partitions.length} partitions`,
      { details: { partitions: partitions.length } },
    )
  const keep = partitions.every(({ number }) => number <= 4)
  return partitions.map((partition, index) => [keep ? partition.number : index + 1, partition])
}

function newInMbr(
  number: number,
  { number: before, type, start, length, attributes = 0n }: Partition,
): NewMbrPartition {
  const mbr = mbrTypeFor(type.id)
  if (mbr === undefined)
    throw refused('E_TYPE_LOST', `partition ${before} is of the type ${type.name}, for which MBR has no type`, {
      details: { partition: before },
    })
  if (attributes !== 0n && attributes !== legacyBootable)
    throw refused(
      'E_ATTRIBUTES_LOST',
      `partition ${before} has attributes (0x${attributes.toString(16)}) that an MBR cannot hold`,
      { details: { partition: before } },
    )
  return { number, role: 'primary', type: mbr, start, length, active: attributes === legacyBootable }
}

function lastEnd(partitions: readonly Partition[]): number {
  return partitions.reduce((end, { start, length }) => Math.max(end, start + length), 0)
}

/** The disk's capacity in whole sectors, more where the table needs it. */
function enlarged(source: BlockSource, needed: number, sectorSize: number, notes: Note[]): number {
  const whole = roundUp(source.capacity, sectorSize)
  const capacity = needed > whole ? roundUp(needed, mebibyte) : whole
  if (capacity > source.capacity)
    notes.push({
      code: 'W_ENLARGED',
      message:
        `the disk is enlarged from ${source.capacity} to ${capacity} bytes: the new table does not fit ` +
        'before its end',
    })
  return capacity
}

/**
 * The usual places of the old GPT, taken away: its headers would be found in sectors of the old size. What partitions
 * hold is never touched.
 */
function wiped({ scheme, sectorSize, partitions }: PartitionTable, capacity: number): TableWrite[] {
  if (scheme !== 'gpt') return []
  const length = usualEntryCount * usualEntrySize + sectorSize
  const last = (Math.floor(capacity / sectorSize) - 1) * sectorSize
  const places = [
    [sectorSize, sectorSize],
    [2 * sectorSize, length - sectorSize],
    [last, sectorSize],
    [last + sectorSize - length, length - sectorSize],
  ] as const
  return places
    .filter(
      ([position, size]) =>
        position >= sectorSize &&
        position + size <= capacity &&
        !partitions.some(({ start, length: taken }) => position < start + taken && position + size > start),
    )
    .map(([position, size]) => ({ position, bytes: new Uint8Array(size) }))
}

/** Boot code in the first sector goes on into the sectors behind it, where a GPT has its table. */
function bootNotes(source: BlockSource): Note[] {
  const behind = new Uint8Array(Math.min(34 * 512, source.capacity) - 512)
  source.read(512, behind)
  return behind.every((byte) => byte === 0)
    ? []
    : [
        {
          code: 'W_BOOT',
          message:
            'the sectors behind the MBR are in use (by GRUB, as a rule), and the GPT takes them: the boot ' +
            'loader is to be installed again',
        },
      ]
}

function firstSector(source: BlockSource): Uint8Array {
  const sector = new Uint8Array(512)
  source.read(0, sector)
  return sector
}
