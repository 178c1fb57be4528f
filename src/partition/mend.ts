import { patchedSource } from '../block/concatenated.js'
import type { BlockSource } from '../block/types.js'
import { isZero } from '../binary/zero.js'
import { corrupt, usage } from '../errors.js'
import { isFilesystemBootSector } from './boot-sector.js'
import { gptEntry, readGpt, type GptReading } from './gpt.js'
import { gptWrites, layoutOf } from './gpt-write.js'
import { entriesOf, masterBootRecord, mbrEntry, protectiveMbr, protectiveType, readMbr } from './mbr.js'
import { readPartitionTable } from './read.js'
import type { PartitionTable, TableIssue, TableWrite } from './types.js'

/** One thing that is put right. */
export interface Mend {
  /** The code of the issue that goes away with it; `NEW_IDS` for what was asked for. */
  readonly code: string
  /** What is done, in the present. */
  readonly message: string
}

/** An id that becomes another. */
export interface IdChange {
  /** Undefined: the disk's. */
  readonly partition?: number
  readonly label?: string
  readonly before: string
  readonly after: string
}

export interface MendPlan {
  readonly table: PartitionTable
  readonly mends: readonly Mend[]
  readonly ids: readonly IdChange[]
  /** In the order of writing, with a flush after each group; nothing that is there already. */
  readonly writes: readonly (readonly TableWrite[])[]
  /** What is still wrong afterwards. */
  readonly left: readonly TableIssue[]
}

export interface MendOptions {
  /** Gives new ids to the disk and every partition: a UUID for a name (`disk`, `partition 2`). */
  readonly newId?: (name: string) => string
}

const words: Readonly<Record<string, string>> = {
  W_GPT_PRIMARY_BAD: 'rebuild the primary GPT from its backup',
  W_GPT_BACKUP_BAD: 'rebuild the backup GPT from the primary',
  W_GPT_BACKUP_MOVED: 'move the backup GPT to the end of the disk, and let partitions use the space that was added',
  W_GPT_TRUNCATED: 'fit the GPT to the disk as it is now: all partitions lie on it',
  W_GPT_COPIES_DIFFER: 'make the backup GPT equal to the primary',
  W_GPT_TABLE_OVERLAP: 'keep partitions out of the sectors of the GPT',
  W_PMBR_MISSING: 'write the protective MBR',
  W_PMBR_SIZE: 'let the protective MBR cover the whole disk',
  W_DUP_GUID: 'give every partition an id of its own',
}

/**
 * What puts a disk's table right without guessing. Nothing is written; the writes are given. Partitions stay where they
 * are.
 * @throws ImageError usage E_NO_TABLE; corrupt E_GPT_CORRUPT and its like when no copy of the table is whole; refused
 * E_PARTITIONS_DO_NOT_FIT.
 */
export function planMend(source: BlockSource, options: MendOptions = {}): MendPlan {
  const table = readPartitionTable(source)
  const { wanted, ids } =
    table.scheme === 'gpt'
      ? mendedGpt(source, table, options)
      : table.scheme === 'mbr'
        ? mendedMbr(source, table, options)
        : noTable(table)
  const writes = wanted
    .map((group) => group.filter((write) => !isThere(source, write)))
    .filter((group) => group.length > 0)
  const after = readPartitionTable(
    patchedSource(source, writes.flat(), { capacity: source.capacity, sectorSize: source.sectorSize }),
  )
  const left = [...after.issues]
  const mends = table.issues
    .filter(({ code, partition }) => !left.some((issue) => issue.code === code && issue.partition === partition))
    .map(({ code }) => ({ code, message: words[code] ?? 'rewrite the table' }))
  return {
    table,
    ids,
    writes,
    left,
    mends: [
      ...mends,
      ...(ids.length === 0
        ? []
        : [
            {
              code: 'NEW_IDS',
              message:
                ids.length === 1 ? 'give the disk a new id' : `give the disk and ${ids.length - 1} partitions new ids`,
            },
          ]),
    ],
  }
}

/**
 * What puts a disk's table right for another capacity. Where its backup alone is whole, it lies at the end that the
 * disk has now, and not at the new one: the primary is rebuilt from there first.
 * @throws ImageError as `planMend` does.
 */
export function planMendFor(source: BlockSource, capacity: number, options: MendOptions = {}): MendPlan {
  const damaged = readPartitionTable(source).issues.some(({ code }) => code === 'W_GPT_PRIMARY_BAD')
  const rebuilt = damaged && capacity !== source.capacity ? planMend(source) : undefined
  const before = (rebuilt?.writes ?? [])
    .map((group) => group.filter(({ position, bytes }) => position + bytes.length <= capacity))
    .filter((group) => group.length > 0)
  const plan = planMend(patchedSource(source, before.flat(), { capacity, sectorSize: source.sectorSize }), options)
  const own = rebuilt?.mends.filter(({ code }) => !plan.mends.some((mend) => mend.code === code)) ?? []
  return { ...plan, mends: [...own, ...plan.mends], writes: [...before, ...plan.writes] }
}

interface Mended {
  readonly wanted: readonly (readonly TableWrite[])[]
  readonly ids: readonly IdChange[]
}

function noTable({ scheme, issues }: PartitionTable): never {
  const broken = issues.find(({ severity }) => severity === 'error')
  if (broken !== undefined) throw corrupt(broken.code, `the partition table cannot be mended: ${broken.message}`)
  throw usage(
    'E_NO_TABLE',
    scheme === 'none' ? 'the disk has no partition table' : 'only GPT and MBR tables are mended',
  )
}

function mendedMbr(source: BlockSource, table: PartitionTable, { newId }: MendOptions): Mended {
  if (newId === undefined) return { wanted: [], ids: [] }
  const sector = firstSector(source)
  const after = newId('disk').slice(0, 8)
  const values = masterBootRecord.read(sector)
  return {
    wanted: [
      [
        {
          position: 0,
          bytes: masterBootRecord.write({ ...values, diskSignature: Number.parseInt(after, 16) }, sector),
        },
      ],
    ],
    // The ids of partitions are made of the disk's.
    ids: [
      { before: table.diskId ?? '', after },
      ...table.partitions.map(({ number, uuid = '' }) => ({
        partition: number,
        before: uuid,
        after: `${after}${uuid.slice(8)}`,
      })),
    ],
  }
}

function mendedGpt(source: BlockSource, table: PartitionTable, { newId }: MendOptions): Mended {
  const gpt = readGpt(source, table.sectorSize)
  if (gpt === undefined) return noTable(table)
  const layout = layoutOf(gpt.used, gpt.sectorSize, source.capacity, masterSector(source, gpt))
  const renewed =
    newId === undefined ? { entries: layout.entries, ids: [], diskGuid: layout.diskGuid } : withNewIds(gpt, newId)
  const wanted = gptWrites(
    { ...layout, entries: renewed.entries, diskGuid: renewed.diskGuid },
    gpt.primary.copy === undefined ? 'backup' : 'primary',
  )
  return { wanted, ids: renewed.ids }
}

function withNewIds(
  { used: { header, entries } }: GptReading,
  newId: (name: string) => string,
): { readonly entries: Uint8Array; readonly diskGuid: string; readonly ids: IdChange[] } {
  const copy = Uint8Array.from(entries)
  const diskGuid = newId('disk')
  const ids: IdChange[] = [{ before: header.diskGuid, after: diskGuid }]
  for (let index = 0; index < header.entryCount; index++) {
    const at = index * header.entrySize
    if (isZero(entries.subarray(at, at + 16))) continue
    const entry = gptEntry.read(entries, at)
    const after = newId(`partition ${index + 1}`)
    ids.push({ partition: index + 1, before: entry.unique, after, ...(entry.name === '' ? {} : { label: entry.name }) })
    copy.set(gptEntry.write({ ...entry, unique: after }, entries.subarray(at, at + header.entrySize)), at)
  }
  return { entries: copy, diskGuid, ids }
}

/**
 * The first sector as it should be. One that belongs to something else (a hybrid or ordinary MBR, a filesystem) stays
 * as it is.
 */
function masterSector(source: BlockSource, { sectorSize, lastLba }: GptReading): Uint8Array {
  const sector = firstSector(source)
  const mbr = readMbr(source, sectorSize)
  if (isFilesystemBootSector(sector) || (mbr !== undefined && mbr.partitions.length > (mbr.protective ? 1 : 0)))
    return sector
  if (mbr?.protective !== true) return protectiveMbr(source.capacity, sectorSize, sector)
  const values = masterBootRecord.read(sector)
  const slot = entriesOf(sector).findIndex(({ type }) => type === protectiveType)
  const count = Math.min(lastLba, 0xffffffff)
  const present = entriesOf(sector)[slot]
  // Every reader takes all ones for "the whole disk".
  if (present === undefined || (present.start === 1 && [count, 0xffffffff].includes(present.count))) return sector
  const entry = mbrEntry.write({
    ...present,
    firstChs: Uint8Array.of(0, 2, 0),
    lastChs: Uint8Array.of(0xff, 0xff, 0xff),
    start: 1,
    count,
  })
  return masterBootRecord.write({ ...values, [`entry${slot + 1}`]: entry }, sector)
}

function firstSector(source: BlockSource): Uint8Array {
  const sector = new Uint8Array(512)
  source.read(0, sector)
  return sector
}

function isThere(source: BlockSource, { position, bytes }: TableWrite): boolean {
  const there = new Uint8Array(bytes.length)
  source.read(position, there)
  return Buffer.from(there.buffer).equals(bytes)
}
