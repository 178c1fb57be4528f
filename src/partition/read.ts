import { hex32 } from '../binary/hex.js'
import type { BlockSource } from '../block/types.js'
import { readApm, type ApmReading } from './apm.js'
import { readBsd, type BsdReading } from './bsd.js'
import { gptPartitions, headerOddities, readGptCopy, readGpt, type GptFinding, type GptReading } from './gpt.js'
import { judgePartitions } from './judge.js'
import { oddMbr, protectiveType, readMbr, type MbrReading } from './mbr.js'
import { nestedTables } from './nested.js'
import { occupied, overlapIssues, type FoundTables } from './occupied.js'
import { otherTable } from './other-tables.js'
import type { Partition, PartitionTable, TableScheme, TableIssue } from './types.js'

/**
 * The partition table of a disk: GPT, Apple partition map, MBR with its logical partitions, BSD label, or none. Nothing
 * is hidden: what
 * is wrong with it is reported as issues, and a broken GPT is never read as its protective MBR.
 * @throws ImageError only where the disk itself cannot be read.
 */
export function readPartitionTable(source: BlockSource): PartitionTable {
  const mbr = readMbr(source, source.sectorSize)
  // Raw images do not record their sector size: the one whose table is good counts.
  const sizes = source.sectorSize === 4096 ? ([4096, 512] as const) : ([512, 4096] as const)
  const readings = sizes.flatMap((size) => readGpt(source, size) ?? [])
  // A good primary comes before a good backup, which may be left over from another size.
  const gpt = readings.find(({ primary }) => primary.copy !== undefined) ?? readings[0]
  const apm = readApm(source)
  const isGpt = gpt !== undefined && !isStale(gpt, source)
  // Where a GPT has its header and entries, a BSD label can only be left over.
  const bsd = isGpt || apm !== undefined || mbr?.protective === true ? undefined : readBsd(source)
  const tables = { mbr, gpts: readings, apm, bsd }
  if (isGpt) return gptTable(source, gpt, tables)
  if (apm !== undefined) return apmTable(source, apm, tables)
  if (mbr?.protective === true) return brokenGpt(source, mbr, tables)
  if (mbr !== undefined && (mbr.partitions.length > 0 || bsd === undefined)) return mbrTable(source, mbr, gpt, tables)
  if (bsd !== undefined)
    return complete({
      ...bare,
      source,
      tables,
      scheme: 'bsd',
      sectorSize: 512,
      partitions: partitionsOfLabel(bsd),
      issues: bsd.issues,
    })
  return complete({ ...bare, source, tables, sectorSize: source.sectorSize, issues: unreadTables(source) })
}

/** A disk of which nothing is known but that there is no table. */
const bare = { scheme: 'none', partitions: [], also: [], others: [], checkAlignment: false } as const

function apmTable(source: BlockSource, apm: ApmReading, tables: Tables): PartitionTable {
  const others = tables.mbr?.partitions ?? []
  return complete({
    ...bare,
    source,
    tables,
    scheme: 'apm',
    sectorSize: 512,
    partitions: apm.partitions,
    issues: apm.issues,
    also: others.length === 0 ? [] : ['mbr'],
    others,
  })
}

function mbrTable(source: BlockSource, mbr: MbrReading, gpt: GptReading | undefined, tables: Tables): PartitionTable {
  const { bsd } = tables
  return {
    ...complete({
      source,
      tables,
      scheme: 'mbr',
      sectorSize: source.sectorSize,
      partitions: mbr.partitions,
      issues: [...mbr.issues, ...staleIssue(source, gpt), ...nestedTables(source, mbr.partitions)],
      also: bsd === undefined ? [] : ['bsd'],
      others: partitionsOfLabel(bsd),
      checkAlignment: true,
    }),
    diskId: hex32(mbr.diskSignature),
  }
}

/** `c` is the whole disk. */
function partitionsOfLabel(bsd: BsdReading | undefined): readonly Partition[] {
  return bsd?.partitions.filter(({ label }) => label !== 'c') ?? []
}

/** Headers of a GPT that are there and not whole, at both ends and in both sector sizes. */
function damagedCopies(source: BlockSource): readonly (GptFinding & { readonly copy?: undefined })[] {
  const findings = ([512, 4096] as const).flatMap((size) => [
    readGptCopy(source, size, 1),
    readGptCopy(source, size, Math.floor(source.capacity / size) - 1),
  ])
  return findings.flatMap((finding) => (finding.copy === undefined && !finding.absent ? [finding] : []))
}

/** Tables that are there and not read. */
function unreadTables(source: BlockSource): TableIssue[] {
  const damaged = damagedCopies(source)
  if (damaged.length > 0)
    return [
      {
        code: 'E_GPT_CORRUPT',
        severity: 'error',
        message:
          'the disk has a damaged GPT, and nothing of it can be used: ' + damaged.map(({ why }) => why).join('; '),
      },
    ]
  const title = otherTable(source)
  if (title !== undefined)
    return [
      {
        code: 'W_TABLE_NOT_READ',
        severity: 'warning',
        message: `the disk has a table of a kind that vdisk does not read (${title}): its partitions are not known`,
      },
    ]
  const odd = oddMbr(source)
  return odd === undefined
    ? []
    : [
        {
          code: 'W_MBR_ODD',
          severity: 'note',
          message: `the first sector ends in 55 AA as a master boot record does, and its entries are no table: ${odd}`,
        },
      ]
}

type Tables = Pick<FoundTables, 'mbr' | 'gpts' | 'apm' | 'bsd'>

interface Found {
  readonly source: BlockSource
  readonly tables: Tables
  readonly scheme: TableScheme
  readonly sectorSize: 512 | 4096
  readonly partitions: PartitionTable['partitions']
  readonly issues: readonly TableIssue[]
  readonly also: readonly TableScheme[]
  readonly others: readonly Partition[]
  readonly checkAlignment: boolean
}

function complete(found: Found): PartitionTable {
  const { source, scheme, partitions, issues } = found
  const runs = occupied({ ...found.tables, scheme, partitions }, source)
  return {
    scheme,
    sectorSize: found.sectorSize,
    capacity: source.capacity,
    partitions,
    issues: [
      ...issues,
      ...judgePartitions(partitions, source.capacity, found.checkAlignment),
      ...overlapIssues(runs, partitions, source.capacity),
    ],
    hybrid: [],
    also: found.also,
    others: found.others,
    occupied: runs,
  }
}

/**
 * A backup alone at the disk's end, without a header or protective MBR at its start, is left over from an earlier life
 * of the disk when
 * something else stands at the start now.
 */
function isStale(gpt: GptReading, source: BlockSource): boolean {
  if (gpt.primary.copy !== undefined || !gpt.primary.absent) return false
  const mbr = readMbr(source, source.sectorSize)
  return mbr !== undefined && !mbr.protective && mbr.partitions.length > 0
}

function staleIssue(source: BlockSource, gpt: GptReading | undefined): TableIssue[] {
  const [damaged] = gpt === undefined ? damagedCopies(source) : []
  if (damaged !== undefined)
    return [
      {
        code: 'W_GPT_STALE',
        severity: 'warning',
        message: `there are remains of a GPT beside the MBR (${damaged.why}): other tools may warn of them`,
      },
    ]
  return gpt === undefined
    ? []
    : [
        {
          code: 'W_GPT_STALE',
          severity: 'warning',
          message:
            `sector ${gpt.used.lba} holds the backup of a GPT, left over from an earlier use of the ` +
            'disk: other tools may take it for real',
        },
      ]
}

function gptTable(source: BlockSource, gpt: GptReading, tables: Tables): PartitionTable {
  const { mbr } = tables
  const { sectorSize, used, lastLba } = gpt
  const { partitions, issues } = gptPartitions(used, sectorSize)
  const hybrid = mbr === undefined ? [] : mbr.partitions.filter(({ type }) => type.id !== '0xee')
  return {
    ...complete({
      source,
      tables,
      scheme: 'gpt',
      sectorSize,
      partitions,
      issues: [...headerIssues(gpt, source, mbr), ...headerOddities(used, sectorSize), ...issues],
      also: mbr !== undefined && hybrid.length > 0 ? ['mbr'] : [],
      others: hybrid,
      checkAlignment: true,
    }),
    diskId: used.header.diskGuid,
    hybrid,
    usable: {
      start: Number(used.header.firstUsableLba) * sectorSize,
      end: (Math.min(Number(used.header.lastUsableLba), lastLba) + 1) * sectorSize,
    },
  }
}

/** Takes an issue; fixable unless it says otherwise. */
type Add = (code: string, severity: TableIssue['severity'], message: string, fixable?: boolean) => void

function headerIssues(gpt: GptReading, source: BlockSource, mbr: MbrReading | undefined): TableIssue[] {
  const issues: TableIssue[] = []
  const add: Add = (code, severity, message, fixable = true) => void issues.push({ code, severity, message, fixable })
  if (gpt.sectorSize !== source.sectorSize) {
    add(
      'W_SECTOR_SIZE',
      'warning',
      `the GPT counts in sectors of ${gpt.sectorSize} bytes, and the disk is presented with ${source.sectorSize}: ` +
        'a system that attaches it so sees no partitions',
      false,
    )
  }
  addCopyIssues(gpt, add)
  addProtectiveIssues(gpt, mbr, add)
  return issues
}

/** What is wrong with the two copies of a GPT. */
function addCopyIssues({ sectorSize, primary, backup, used, lastLba }: GptReading, add: Add): void {
  const last = used.lba === 1 ? used.header.alternateLba : used.header.myLba
  if (primary.copy === undefined)
    add(
      'W_GPT_PRIMARY_BAD',
      'warning',
      `the primary GPT is damaged (${primary.why}); its backup in sector ${used.lba} is used`,
    )
  if (last > BigInt(lastLba)) {
    add(
      'W_GPT_TRUNCATED',
      'error',
      `the disk is cut short: its GPT is for ${Number(last) + 1} sectors of ${sectorSize} bytes, and it has ` +
        `${lastLba + 1}`,
      false,
    )
  } else if (backup.copy === undefined) {
    add('W_GPT_BACKUP_BAD', 'warning', `the backup GPT is damaged or missing (${backup.why})`)
  } else if (backup.copy.lba !== lastLba) {
    add(
      'W_GPT_BACKUP_MOVED',
      'warning',
      `the backup GPT is in sector ${backup.copy.lba}, not in the disk's last (${lastLba}): the disk was ` +
        'enlarged after it was partitioned',
    )
  }
  if (primary.copy !== undefined && backup.copy !== undefined && !sameContent(primary, backup)) {
    add('W_GPT_COPIES_DIFFER', 'warning', 'the two copies of the GPT are both good and differ; the primary is used')
  }
}

/** What is wrong with the MBR before a GPT. */
function addProtectiveIssues({ lastLba }: GptReading, mbr: MbrReading | undefined, add: Add): void {
  if (mbr === undefined || !mbr.protective) {
    add('W_PMBR_MISSING', 'warning', 'there is no protective MBR before the GPT: old tools take the disk for empty')
    return
  }
  const entry = mbr.entries.find(({ type }) => type === 0xee)
  const whole = Math.min(lastLba, 0xffffffff)
  if (
    entry !== undefined &&
    (entry.start !== 1 || (entry.count !== whole && entry.count !== 0xffffffff)) &&
    mbr.partitions.length === 1
  ) {
    add(
      'W_PMBR_SIZE',
      'warning',
      `the protective MBR covers ${entry.count} sectors from ${entry.start}, and the disk has ${lastLba + 1}`,
    )
  }
  if (mbr.partitions.length > 1)
    add(
      'W_HYBRID_MBR',
      'note',
      'the MBR has partitions beside the protective one (hybrid): systems that boot from it see those',
      false,
    )
}

/** Whether two copies say the same, apart from where they are. */
function sameContent(a: GptFinding, b: GptFinding): boolean {
  const [x, y] = [a.copy, b.copy]
  return (
    x !== undefined &&
    y !== undefined &&
    x.header.diskGuid === y.header.diskGuid &&
    x.header.entriesCrc === y.header.entriesCrc &&
    x.header.entryCount === y.header.entryCount
  )
}

/** A protective MBR without a good GPT: the disk has partitions that are not known. */
function brokenGpt(source: BlockSource, mbr: MbrReading, tables: Tables): PartitionTable {
  const damaged = damagedCopies(source)
  const hybrid = mbr.partitions.filter(({ type }) => type.id !== '0xee')
  const why = damaged.map((finding) => finding.why).join('; ')
  const end = damaged.find(({ header }) => header !== undefined)?.header?.alternateLba
  const whole = mbr.entries.find(({ type }) => type === protectiveType)
  const sectors = Math.floor(source.capacity / source.sectorSize)
  const cut = whole !== undefined && whole.count !== 0xffffffff && whole.start + whole.count > sectors
  const issue: TableIssue =
    damaged.length === 0
      ? {
          code: cut ? 'E_GPT_TRUNCATED' : 'E_GPT_MISSING',
          severity: 'error',
          message: cut
            ? `the disk is cut short below its GPT: its protective MBR is for ${whole.start + whole.count} ` +
              `sectors, and it has ${sectors}`
            : 'the MBR says that the disk has a GPT, and there is none: the disk is cut short, or was cleared',
        }
      : {
          code: 'E_GPT_CORRUPT',
          severity: 'error',
          message:
            `both copies of the GPT are damaged: ${why}` +
            (end !== undefined && end * BigInt(source.sectorSize) >= BigInt(source.capacity)
              ? `; the disk is also cut short: its GPT is for ${end + 1n} sectors`
              : ''),
        }
  return {
    ...complete({
      source,
      tables,
      scheme: 'gpt',
      sectorSize: source.sectorSize,
      partitions: [],
      issues: [issue],
      also: hybrid.length > 0 ? ['mbr'] : [],
      others: hybrid,
      checkAlignment: false,
    }),
    hybrid,
  }
}
