import { hex32 } from '../binary/hex.js'
import { bytes, struct, u16, u32, u8 } from '../binary/struct.js'
import type { StructValues } from '../binary/struct.js'
import { isZero } from '../binary/zero.js'
import type { BlockSource } from '../block/types.js'
import { isFilesystemBootSector } from './boot-sector.js'
import { mbrType } from './type-names.js'
import type { Partition, TableIssue } from './types.js'

/** Master boot record: the first 512 bytes, whatever the sector size. */
export const masterBootRecord = struct('little', 512, {
  bootCode: bytes(0, 440),
  diskSignature: u32(440, 'hex'),
  reserved: u16(444),
  entry1: bytes(446, 16),
  entry2: bytes(462, 16),
  entry3: bytes(478, 16),
  entry4: bytes(494, 16),
  signature: u16(510),
})
/** One of its entries. Start and count are sectors; the geometry is ignored by readers. */
export const mbrEntry = struct('little', 16, {
  boot: u8(0),
  firstChs: bytes(1, 3),
  type: u8(4),
  lastChs: bytes(5, 3),
  start: u32(8),
  count: u32(12),
})
export type MbrEntry = StructValues<typeof mbrEntry>

export const bootSignature = 0xaa55
export const protectiveType = 0xee
const extendedTypes = [0x05, 0x0f, 0x85]
/**
 * libblkid's bound for extended boot records in a row without data; nobody has more logical partitions than this
 * either.
 */
const longestChain = 1000

/** An extended boot record. */
export interface ExtendedRecord {
  /** Byte of the disk. */
  readonly position: number
  /** The number of the first partition that is lost without it; undefined where none is. */
  leadsTo?: number
}

export interface MbrReading {
  readonly diskSignature: number
  readonly entries: readonly MbrEntry[]
  readonly partitions: readonly Partition[]
  readonly issues: readonly TableIssue[]
  /** A partition of type EE: the disk has, or had, a GPT. */
  readonly protective: boolean
  /** Every extended boot record of the chain, in its order. */
  readonly records: readonly ExtendedRecord[]
  readonly sectorSize: 512 | 4096
}

export function entriesOf(sector: Uint8Array): MbrEntry[] {
  const { entry1, entry2, entry3, entry4 } = masterBootRecord.read(sector)
  return [entry1, entry2, entry3, entry4].map((entry) => mbrEntry.read(entry))
}

const isUsed = ({ type, count }: MbrEntry): boolean => type !== 0 && count !== 0

/** The MBR of a disk, with the chain of its logical partitions; undefined when the first sector is none. */
export function readMbr(source: BlockSource, sectorSize: 512 | 4096): MbrReading | undefined {
  if (source.capacity < 512) return undefined
  const sector = new Uint8Array(512)
  source.read(0, sector)
  if (!isMbr(sector)) return undefined
  const { diskSignature } = masterBootRecord.read(sector)
  const entries = entriesOf(sector)
  const protective = entries.some(({ type }) => type === protectiveType)
  const issues: TableIssue[] = []
  const partitions: Partition[] = []
  const uuid = (number: number): string => `${hex32(diskSignature)}-${number.toString(16).padStart(2, '0')}`
  for (const [index, entry] of entries.entries()) {
    if (!isUsed(entry)) {
      if (entry.type !== 0 || entry.count !== 0)
        issues.push({
          code: 'W_ENTRY_UNUSED',
          severity: 'note',
          message:
            `entry ${index + 1} of the MBR is half filled in (type ${mbrType(entry.type).id}, ` +
            `${entry.count} sectors from ${entry.start}): it counts as unused`,
        })
      continue
    }
    partitions.push({
      ...partitionOf(entry, index + 1, entry.start * sectorSize, sectorSize),
      uuid: uuid(index + 1),
      role: extendedTypes.includes(entry.type) ? 'extended' : 'primary',
    })
  }
  const active = entries.flatMap(({ boot }, index) => (boot === 0x80 ? [index + 1] : []))
  if (active.length > 1)
    issues.push({
      code: 'W_TWO_ACTIVE',
      severity: 'warning',
      message: `${active.length} partitions are active (${active.join(', ')}): boot code takes the first, or refuses`,
    })
  const containers = partitions.filter(({ role }) => role === 'extended')
  if (containers.length > 1)
    issues.push({
      code: 'W_EXTENDED_TWICE',
      severity: 'warning',
      message: `the MBR has ${containers.length} extended partitions; systems expect one`,
    })
  const records: ExtendedRecord[] = []
  let number = 5
  for (const container of containers) {
    for (const logical of logicalPartitions({ source, container, sectorSize, issues, records })) {
      const record = records.at(-1)
      if (record !== undefined) record.leadsTo ??= number
      partitions.push({ ...logical, number, uuid: uuid(number) })
      number++
    }
  }
  partitions.sort((a, b) => a.number - b.number)
  return { diskSignature, entries, partitions, issues, protective, records, sectorSize }
}

function isMbr(sector: Uint8Array): boolean {
  if (masterBootRecord.read(sector).signature !== bootSignature || isFilesystemBootSector(sector)) return false
  // AIX writes IBMA, in EBCDIC, and no table.
  if (Buffer.from(sector.subarray(0, 4)).toString('hex') === 'c9c2d4c1') return false
  const entries = entriesOf(sector)
  return (
    entries.every(({ boot }) => boot === 0 || boot === 0x80) &&
    (entries.some(isUsed) || sector.subarray(446, 510).every((byte) => byte === 0))
  )
}

/**
 * Why a first sector that ends in 55 AA and is no filesystem's is no MBR either; undefined when it is one, or has no 55
 * AA.
 */
export function oddMbr(source: BlockSource): string | undefined {
  if (source.capacity < 512) return undefined
  const sector = new Uint8Array(512)
  source.read(0, sector)
  if (masterBootRecord.read(sector).signature !== bootSignature || isFilesystemBootSector(sector) || isMbr(sector))
    return undefined
  const entries = entriesOf(sector)
  const odd = entries.findIndex(({ boot }) => boot !== 0 && boot !== 0x80)
  return odd >= 0
    ? `entry ${odd + 1} begins with 0x${(entries[odd]?.boot ?? 0).toString(16).padStart(2, '0')} instead of ` +
        '0x00 or 0x80'
    : 'none of them is used'
}

function partitionOf(entry: MbrEntry, number: number, start: number, sectorSize: number): Partition {
  return {
    number,
    start,
    length: entry.count * sectorSize,
    type: mbrType(entry.type),
    role: 'primary',
    flags: entry.boot === 0x80 ? ['active'] : [],
  }
}

interface Chain {
  readonly source: BlockSource
  readonly container: Partition
  readonly sectorSize: 512 | 4096
  /** Takes what is wrong with the chain. */
  readonly issues: TableIssue[]
  /** Takes every record before what it leads to. */
  readonly records: ExtendedRecord[]
}

/**
 * Follows the extended boot records: in each, data starts relative to the record itself, the link to the next relative
 * to the container's start. Links stay inside, and may lead back: fdisk makes a partition that it puts into a gap the
 * last of the chain. No record is read twice, so that the walk ends.
 */
function* logicalPartitions(chain: Chain): Generator<Partition> {
  const { container, issues } = chain
  const starts = new Set<number>()
  const visited = new Set<number>()
  let record = container.start
  for (let step = 0; ; step++) {
    visited.add(record)
    const entries = recordEntries(chain, record, step === 0)
    if (entries === undefined) return
    const links = entries.filter(({ type }) => extendedTypes.includes(type))
    for (const entry of entries) {
      if (links.includes(entry)) continue
      const logical = logicalPartition(chain, record, entry)
      if (logical === undefined || starts.has(logical.start)) continue
      starts.add(logical.start)
      yield logical
    }
    // A link of zero is one to the container's first record, which is this one or was there before.
    const link = links.find(({ start }) => start !== 0) ?? links[0]
    const next = link === undefined ? undefined : nextRecord(chain, record, link, visited)
    if (next === undefined) return
    if (step >= longestChain) {
      issues.push({
        code: 'W_EBR_LOOP',
        severity: 'warning',
        message: `there are more than ${longestChain} extended boot records: the rest is left out`,
      })
      return
    }
    record = next
  }
}

/**
 * What shows that there are, or were, logical partitions besides those that are listed: a chain that was written anew
 * would lose them.
 */
export function lostPartitions(issues: readonly TableIssue[]): TableIssue | undefined {
  return issues.find(({ code }) => code === 'W_EBR_RANGE' || code === 'W_EBR_SIGNATURE')
}

/** The entries that are used of the record at a byte of the disk; undefined where there is none. */
function recordEntries(
  { source, issues, records }: Chain,
  record: number,
  isFirst: boolean,
): readonly MbrEntry[] | undefined {
  if (record + 512 > source.capacity) {
    issues.push({
      code: 'W_EBR_RANGE',
      severity: 'warning',
      message:
        `the extended boot record at byte ${record} lies beyond the disk's end: further logical ` +
        'partitions are not known',
    })
    return undefined
  }
  const sector = new Uint8Array(512)
  source.read(record, sector)
  records.push({ position: record })
  if (masterBootRecord.read(sector).signature === bootSignature) return entriesOf(sector).filter(isUsed)
  // A container that was never filled in starts with zeros.
  if (!isFirst || !isZero(sector))
    issues.push({
      code: 'W_EBR_SIGNATURE',
      severity: 'warning',
      message:
        `the extended boot record at byte ${record} has no 55 AA at its end: the chain of logical ` +
        'partitions ends there',
    })
  return undefined
}

/** The logical partition of an entry; undefined where it leaves the container. */
function logicalPartition(
  { container, sectorSize, issues }: Chain,
  record: number,
  entry: MbrEntry,
): Partition | undefined {
  const end = container.start + container.length
  const start = record + entry.start * sectorSize
  if (entry.start !== 0 && start >= container.start && start + entry.count * sectorSize <= end)
    return { ...partitionOf(entry, 0, start, sectorSize), role: 'logical' }
  issues.push({
    code: 'W_EBR_RANGE',
    severity: 'warning',
    message:
      `a logical partition at byte ${start} leaves its extended partition, bytes ` +
      `${container.start} to ${end}: it is left out`,
  })
  return undefined
}

/** Where a link leads, in bytes of the disk; undefined where the chain ends there. */
function nextRecord(
  { container, sectorSize, issues }: Chain,
  record: number,
  link: MbrEntry,
  visited: ReadonlySet<number>,
): number | undefined {
  const next = container.start + link.start * sectorSize
  const isLoop = visited.has(next)
  if (!isLoop && next < container.start + container.length) return next
  issues.push({
    code: isLoop ? 'W_EBR_LOOP' : 'W_EBR_RANGE',
    severity: 'warning',
    message:
      `the extended boot record at byte ${record} points ${linkText(next, record, isLoop)}: the chain of ` +
      'logical partitions ends there',
  })
  return undefined
}

function linkText(next: number, record: number, isLoop: boolean): string {
  if (next === record) return 'to itself'
  return isLoop
    ? `back to the one at byte ${next}, which was read before`
    : `out of its extended partition, to byte ${next}`
}

/**
 * Cylinder, head and sector of an LBA in the geometry everybody assumes, 255 heads and 63 sectors; all ones above its
 * reach.
 */
export function chsBytes(sector: number): Uint8Array {
  const cylinder = Math.floor(sector / 16065)
  if (cylinder > 1023) return Uint8Array.of(0xfe, 0xff, 0xff)
  return Uint8Array.of(
    Math.floor(sector / 63) % 255,
    (sector % 63) + 1 + Math.floor(cylinder / 256) * 64,
    cylinder % 256,
  )
}

/** An entry's bytes, with the geometry that goes with it. Start and count are sectors. */
export function entryBytes(type: number, start: number, count: number, active: boolean): Uint8Array {
  if (type === 0) return new Uint8Array(16)
  return mbrEntry.write({
    boot: active ? 0x80 : 0,
    firstChs: chsBytes(start),
    type,
    lastChs: chsBytes(start + count - 1),
    start,
    count,
  })
}

/** The protective MBR over a GPT: code and signature bytes of `before` are kept (a loader may live there). */
export function protectiveMbr(capacity: number, sectorSize: 512 | 4096, before?: Uint8Array): Uint8Array {
  const count = Math.min(Math.floor(capacity / sectorSize) - 1, 0xffffffff)
  const kept = before === undefined ? undefined : masterBootRecord.read(before)
  const entry1 = mbrEntry.write({
    boot: 0,
    firstChs: Uint8Array.of(0, 2, 0),
    type: protectiveType,
    lastChs: Uint8Array.of(0xff, 0xff, 0xff),
    start: 1,
    count,
  })
  const none = new Uint8Array(16)
  return masterBootRecord.write({
    bootCode: kept?.bootCode ?? new Uint8Array(440),
    diskSignature: kept?.diskSignature ?? 0,
    reserved: 0,
    entry1,
    entry2: none,
    entry3: none,
    entry4: none,
    signature: bootSignature,
  })
}
