import { crc32 } from '../binary/checksum.js'
import { nilUuid } from '../binary/struct.js'
import { entriesSectors, gptEntry, gptHeader, gptSignature, type GptCopy } from './gpt.js'
import type { TableWrite } from './types.js'
import { refused } from '../errors.js'

/** A GPT to be written. `entries` are the whole table's bytes. */
export interface GptLayout {
  readonly sectorSize: 512 | 4096
  /** Bytes of the disk. */
  readonly capacity: number
  readonly diskGuid: string
  readonly entries: Uint8Array
  readonly entryCount: number
  readonly entrySize: number
  /** Kept where the table allows; the first sector after it otherwise. */
  readonly firstUsableLba?: number
  /** Kept where the backup allows; the last sector before it otherwise. */
  readonly lastUsableLba?: number
  /** Where the primary's entries are; 2 when left out. */
  readonly entriesLba?: number
  /** A header whose further bytes are kept (a later revision's). */
  readonly header?: Uint8Array
  readonly mbr: Uint8Array
}

/** A new partition. Sectors; `lastLba` is inclusive. */
export interface NewGptPartition {
  readonly number: number
  readonly type: string
  readonly unique: string
  readonly firstLba: number
  readonly lastLba: number
  readonly attributes?: bigint
  readonly name?: string
}

export const usualEntryCount = 128
export const usualEntrySize = 128

/** The table of a new GPT. */
export function gptEntries(partitions: readonly NewGptPartition[], entryCount = usualEntryCount): Uint8Array {
  const table = new Uint8Array(entryCount * usualEntrySize)
  for (const { number, type, unique, firstLba, lastLba, attributes = 0n, name = '' } of partitions) {
    table.set(
      gptEntry.write({ type, unique, firstLba: BigInt(firstLba), lastLba: BigInt(lastLba), attributes, name }),
      (number - 1) * usualEntrySize,
    )
  }
  return table
}

/** The layout that repeats an existing copy on a disk of this capacity. */
export function layoutOf(copy: GptCopy, sectorSize: 512 | 4096, capacity: number, mbr: Uint8Array): GptLayout {
  const { header, entries, sector } = copy
  const lastLba = Math.floor(capacity / sectorSize) - 1
  // A header that was made for another size of the disk knows nothing of this one's end.
  const sameSize = (header.myLba > header.alternateLba ? header.myLba : header.alternateLba) === BigInt(lastLba)
  return {
    sectorSize,
    capacity,
    mbr,
    entries,
    entryCount: header.entryCount,
    entrySize: header.entrySize,
    header: sector,
    diskGuid: header.diskGuid,
    firstUsableLba: Math.min(Number(header.firstUsableLba), lastLba),
    ...(sameSize ? { lastUsableLba: Number(header.lastUsableLba) } : {}),
    ...(copy.lba === 1 ? { entriesLba: Number(header.entriesLba) } : {}),
  }
}

/** The first and last sector that partitions may use. */
export function usableSectors(layout: GptLayout): { readonly first: number; readonly last: number } {
  const sectors = entriesSectors(layout.entryCount, layout.entrySize, layout.sectorSize)
  const lastLba = Math.floor(layout.capacity / layout.sectorSize) - 1
  const most = lastLba - sectors - 1
  return {
    first: Math.max((layout.entriesLba ?? 2) + sectors, layout.firstUsableLba ?? 0),
    last: Math.min(most, layout.lastUsableLba ?? most),
  }
}

/**
 * Both copies and the protective MBR, in the order in which they must be written, with a flush after each group: the
 * backup, the
 * primary, the MBR. Power may fail between any two: one good copy is always there.
 * @param good the copy that is whole now, which goes last of the two; the primary when left out.
 * @throws ImageError refused E_PARTITIONS_DO_NOT_FIT when a partition would lie in a copy of the table, or behind the
 * last.
 */
export function gptWrites(
  layout: GptLayout,
  good: 'primary' | 'backup' = 'primary',
): readonly (readonly TableWrite[])[] {
  const { sectorSize, entries } = layout
  const lastLba = Math.floor(layout.capacity / sectorSize) - 1
  const sectors = entriesSectors(layout.entryCount, layout.entrySize, sectorSize)
  const entriesLba = layout.entriesLba ?? 2
  const backupEntries = lastLba - sectors
  if (backupEntries < entriesLba + sectors)
    throw refused('E_PARTITIONS_DO_NOT_FIT', `a disk of ${layout.capacity} bytes is too small for a GPT`)
  refuseUnfit(layout, entriesLba + sectors, backupEntries)
  const padded = new Uint8Array(sectors * sectorSize)
  padded.set(entries)
  const backup = [
    { position: backupEntries * sectorSize, bytes: padded },
    { position: lastLba * sectorSize, bytes: headerSector(layout, lastLba, 1, backupEntries) },
  ]
  const primary = [
    { position: entriesLba * sectorSize, bytes: padded },
    { position: sectorSize, bytes: headerSector(layout, 1, lastLba, entriesLba) },
  ]
  return [...(good === 'primary' ? [backup, primary] : [primary, backup]), [{ position: 0, bytes: layout.mbr }]]
}

/** @param first the first sector that partitions may use; @param end the first behind them. */
function refuseUnfit(layout: GptLayout, first: number, end: number): void {
  for (let index = 0; index < layout.entryCount; index++) {
    const entry = gptEntry.read(layout.entries, index * layout.entrySize)
    if (entry.type === nilUuid) continue
    if (entry.firstLba < BigInt(first)) {
      throw refused(
        'E_PARTITIONS_DO_NOT_FIT',
        `partition ${index + 1} starts in sector ${entry.firstLba}, inside the GPT, which ends in sector ` +
          `${first - 1}`,
      )
    }
    if (entry.lastLba >= BigInt(end)) {
      throw refused(
        'E_PARTITIONS_DO_NOT_FIT',
        `partition ${index + 1} ends in sector ${entry.lastLba}, behind the last that a disk of ` +
          `${layout.capacity} bytes can use (${end - 1})`,
        { hint: 'Enlarge the disk, or shrink the partition and its filesystem first.' },
      )
    }
  }
}

/** The header of a copy in sector `lba`, whose entries begin in sector `entriesLba`. */
function headerSector(layout: GptLayout, lba: number, alternate: number, entriesLba: number): Uint8Array {
  const { header, entries, sectorSize } = layout
  const { revision, headerSize, reserved } =
    header === undefined ? { revision: 0x10000, headerSize: 92, reserved: 0 } : gptHeader.read(header)
  const usable = usableSectors(layout)
  const values = {
    signature: gptSignature,
    revision,
    headerSize,
    headerCrc: 0,
    reserved,
    myLba: BigInt(lba),
    alternateLba: BigInt(alternate),
    firstUsableLba: BigInt(usable.first),
    lastUsableLba: BigInt(usable.last),
    diskGuid: layout.diskGuid,
    entriesLba: BigInt(entriesLba),
    entryCount: layout.entryCount,
    entrySize: layout.entrySize,
    entriesCrc: crc32(entries),
  }
  const sector = gptHeader.write(values, header?.length === sectorSize ? header : new Uint8Array(sectorSize))
  return gptHeader.write({ ...values, headerCrc: crc32(sector.subarray(0, headerSize)) }, sector)
}
