import { hex32 } from '../binary/hex.js'
import { crc32 } from '../binary/checksum.js'
import { isZero } from '../binary/zero.js'
import { ascii, flags64, guid, struct, u32, u64, utf16, type StructValues } from '../binary/struct.js'
import { ceilDivide } from '../binary/integers.js'
import type { BlockSource } from '../block/types.js'
import { gptType } from './type-names.js'
import type { Partition, TableIssue } from './types.js'

/** GPT header (UEFI 5.3.2), in LBA 1 and in the disk's last. */
export const gptHeader = struct('little', 92, {
  signature: ascii(0, 8),
  revision: u32(8, 'hex'),
  headerSize: u32(12),
  headerCrc: u32(16, 'hex'),
  reserved: u32(20),
  myLba: u64(24),
  alternateLba: u64(32),
  firstUsableLba: u64(40),
  lastUsableLba: u64(48),
  diskGuid: guid(56),
  entriesLba: u64(72),
  entryCount: u32(80),
  entrySize: u32(84),
  entriesCrc: u32(88, 'hex'),
})
/** GPT partition entry (UEFI 5.3.3); `lastLba` is inclusive. */
export const gptEntry = struct('little', 128, {
  type: guid(0),
  unique: guid(16),
  firstLba: u64(32),
  lastLba: u64(40),
  attributes: flags64(48),
  name: utf16(56, 72, 'little'),
})
export type GptHeader = StructValues<typeof gptHeader>

export const gptSignature = 'EFI PART'
/** Entries, and bytes of their table, that are believed; 128 entries of 128 bytes are usual. */
const mostEntries = 16384
const largestTable = 16 * 1024 * 1024

/** One of the two copies, as found at `lba`. */
export interface GptCopy {
  readonly lba: number
  readonly header: GptHeader
  /** The sector that the header is in: what a later version of it keeps there survives a rewrite. */
  readonly sector: Uint8Array
  /** The entries as they stand, `entryCount × entrySize` bytes. */
  readonly entries: Uint8Array
}

/** A copy, or why there is none: `absent` says that nothing like a header is there. */
export type GptFinding =
  | { readonly copy: GptCopy }
  | { readonly copy?: undefined; readonly absent: boolean; readonly why: string; readonly header?: GptHeader }

export interface GptReading {
  readonly sectorSize: 512 | 4096
  readonly primary: GptFinding
  readonly backup: GptFinding
  /** The copy that is used: the primary where it is good. */
  readonly used: GptCopy
  /** LBA of the disk's last sector. */
  readonly lastLba: number
}

/** Reads and checks the copy at an LBA. */
export function readGptCopy(source: BlockSource, sectorSize: 512 | 4096, lba: number): GptFinding {
  const position = lba * sectorSize
  if (lba < 1 || !Number.isSafeInteger(position) || position + sectorSize > source.capacity)
    return { absent: true, why: `sector ${lba} is not on the disk` }
  const sector = new Uint8Array(sectorSize)
  source.read(position, sector)
  const header = gptHeader.read(sector)
  if (header.signature !== gptSignature) return { absent: true, why: `there is no header in sector ${lba}` }
  const bad = (why: string): GptFinding => ({ absent: false, why, header })
  if (header.headerSize < 92 || header.headerSize > sectorSize)
    return bad(`the header in sector ${lba} says it has ${header.headerSize} bytes`)
  if (crc32(gptHeader.without('headerCrc', sector, header.headerSize)) !== header.headerCrc)
    return bad(`the checksum of the header in sector ${lba} is wrong`)
  if (header.myLba !== BigInt(lba)) return bad(`the header in sector ${lba} says it is that of sector ${header.myLba}`)
  if (
    header.entrySize < 128 ||
    header.entrySize % 8 !== 0 ||
    header.entryCount === 0 ||
    header.entryCount > mostEntries ||
    header.entryCount * header.entrySize > largestTable
  )
    return bad(`the header in sector ${lba} has ${header.entryCount} entries of ${header.entrySize} bytes`)
  const at = Number(header.entriesLba) * sectorSize
  const length = header.entryCount * header.entrySize
  if (!Number.isSafeInteger(at) || at < sectorSize || at + length > source.capacity)
    return bad(
      `the entries of the header in sector ${lba}, ${length} bytes from sector ${header.entriesLba}, are not ` +
        'on the disk',
    )
  const entries = new Uint8Array(length)
  source.read(at, entries)
  if (crc32(entries) !== header.entriesCrc)
    return bad(`the checksum of the entries in sector ${header.entriesLba} is wrong`)
  return { copy: { lba, header, sector, entries } }
}

/** The GPT of a disk as counted in sectors of a size; undefined when neither copy is good. */
export function readGpt(source: BlockSource, sectorSize: 512 | 4096): GptReading | undefined {
  const lastLba = Math.floor(source.capacity / sectorSize) - 1
  const primary = readGptCopy(source, sectorSize, 1)
  let backup = readGptCopy(source, sectorSize, lastLba)
  // A disk that was grown has its backup where the old end was.
  const backupLba = primary.copy?.header.alternateLba
  if (
    backup.copy === undefined &&
    backupLba !== undefined &&
    backupLba !== BigInt(lastLba) &&
    backupLba <= BigInt(lastLba)
  ) {
    const moved = readGptCopy(source, sectorSize, Number(backupLba))
    if (moved.copy !== undefined) backup = moved
  }
  const used = primary.copy ?? backup.copy
  return used === undefined ? undefined : { sectorSize, primary, backup, used, lastLba }
}

/** Bits of the attribute word that have a name everywhere, and those of Microsoft's basic data partitions. */
const attributeNames: readonly (readonly [bit: bigint, name: string, type?: string])[] = [
  [0n, 'required'],
  [1n, 'ignored by EFI'],
  [2n, 'legacy BIOS bootable'],
  [60n, 'read-only'],
  [61n, 'shadow copy', 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [62n, 'hidden', 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'],
  [63n, 'no automount'],
]

/** Sectors as bytes; what is beyond exact numbers is cut to the largest. */
function bytesOf(sectors: bigint, sectorSize: number): number {
  return Math.min(Number(sectors) * sectorSize, Number.MAX_SAFE_INTEGER)
}

/** The partitions of a copy, and what is odd with single entries. */
export function gptPartitions(
  { header, entries }: GptCopy,
  sectorSize: 512 | 4096,
): { readonly partitions: Partition[]; readonly issues: TableIssue[] } {
  const partitions: Partition[] = []
  const issues: TableIssue[] = []
  const seen = new Map<string, number>()
  for (let index = 0; index < header.entryCount; index++) {
    if (isZero(entries.subarray(index * header.entrySize, index * header.entrySize + 16))) continue
    const entry = gptEntry.read(entries, index * header.entrySize)
    const number = index + 1
    if (entry.lastLba < entry.firstLba) {
      issues.push({
        code: 'E_PART_RANGE',
        severity: 'error',
        partition: number,
        message:
          `partition ${number} ends (sector ${entry.lastLba}) before it starts (sector ` +
          `${entry.firstLba}): it is left out`,
      })
      continue
    }
    if (entry.firstLba < header.firstUsableLba || entry.lastLba > header.lastUsableLba) {
      issues.push({
        code: 'W_PART_UNUSABLE',
        severity: 'warning',
        partition: number,
        message:
          `partition ${number}, sectors ${entry.firstLba} to ${entry.lastLba}, leaves the usable sectors ` +
          `${header.firstUsableLba} to ${header.lastUsableLba}`,
      })
    }
    const twin = seen.get(entry.unique)
    if (twin !== undefined)
      issues.push({
        code: 'W_DUP_GUID',
        severity: 'warning',
        partition: number,
        message: `partitions ${twin} and ${number} have the same unique id ${entry.unique}`,
        fixable: false,
      })
    seen.set(entry.unique, number)
    partitions.push(partitionOf(entry, number, sectorSize))
  }
  return { partitions, issues }
}

function partitionOf(entry: StructValues<typeof gptEntry>, number: number, sectorSize: 512 | 4096): Partition {
  const start = bytesOf(entry.firstLba, sectorSize)
  return {
    number,
    start,
    length: Math.min(bytesOf(entry.lastLba - entry.firstLba + 1n, sectorSize), Number.MAX_SAFE_INTEGER - start),
    type: gptType(entry.type),
    role: 'primary',
    ...(entry.name === '' ? {} : { label: entry.name }),
    uuid: entry.unique,
    attributes: entry.attributes,
    flags: attributeNames
      .filter(
        ([bit, , type]) => (entry.attributes / 2n ** bit) % 2n === 1n && (type === undefined || type === entry.type),
      )
      .map(([, name]) => name),
  }
}

/** What is odd with a header whose checksum is right: reported, and the header is used. */
export function headerOddities({ header, lba }: GptCopy, sectorSize: 512 | 4096): TableIssue[] {
  const issues: TableIssue[] = []
  const add = (code: string, message: string, fixable = false): void => {
    issues.push({ code, severity: 'warning', message: `the GPT header in sector ${lba} ${message}`, fixable })
  }
  if (header.revision !== 0x10000)
    add('W_GPT_REVISION', `is of revision 0x${hex32(header.revision)}, not 1.0: it is read as if it were`)
  if (header.reserved !== 0)
    add('W_GPT_RESERVED', `has 0x${header.reserved.toString(16)} in its reserved field, which is to be zero`)
  if (header.firstUsableLba > header.lastUsableLba)
    add(
      'W_GPT_USABLE',
      `says that sectors ${header.firstUsableLba} to ${header.lastUsableLba} may be used, which are none`,
    )
  const end = header.entriesLba + BigInt(entriesSectors(header.entryCount, header.entrySize, sectorSize))
  const [lowest, highest] = [header.entriesLba, end - 1n]
  if (
    lba === 1 ? highest >= header.firstUsableLba : highest >= header.firstUsableLba && lowest <= header.lastUsableLba
  ) {
    add(
      'W_GPT_TABLE_OVERLAP',
      `has its entries in sectors ${lowest} to ${highest}, and lets partitions use ${header.firstUsableLba} ` +
        `to ${header.lastUsableLba}`,
      true,
    )
  }
  return issues
}

/** Sectors that a table of entries takes. */
export function entriesSectors(entryCount: number, entrySize: number, sectorSize: number): number {
  return ceilDivide(entryCount * entrySize, sectorSize)
}
