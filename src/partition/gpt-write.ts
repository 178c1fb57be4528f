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
  /** Kept where the partitions allow; the first sector after the table otherwise. */
  readonly firstUsableLba?: number
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
    table.set(gptEntry.write({ type, unique, firstLba: BigInt(firstLba), lastLba: BigInt(lastLba), attributes, name }), (number - 1) * usualEntrySize)
  }
  return table
}

/** The layout that repeats an existing copy on a disk of this capacity. */
export function layoutOf(copy: GptCopy, sectorSize: 512 | 4096, capacity: number, mbr: Uint8Array): GptLayout {
  const { header, entries } = copy
  return {
    sectorSize, capacity, mbr, entries, entryCount: header.entryCount, entrySize: header.entrySize,
    diskGuid: header.diskGuid, firstUsableLba: Number(header.firstUsableLba),
  }
}

/** The first and last sector that partitions may use. */
export function usableSectors(layout: GptLayout): { readonly first: number, readonly last: number } {
  const sectors = entriesSectors(layout.entryCount, layout.entrySize, layout.sectorSize)
  const lastLba = Math.floor(layout.capacity / layout.sectorSize) - 1
  return { first: Math.max(2 + sectors, layout.firstUsableLba ?? 0), last: lastLba - sectors - 1 }
}

/**
 * Both copies and the protective MBR, in the order in which they must be written, with a flush after each group: the backup, the
 * primary, the MBR. Power may fail between any two: one good copy is always there.
 * @throws ImageError refused E_PARTITIONS_DO_NOT_FIT when a partition would lie in or behind the backup.
 */
export function gptWrites(layout: GptLayout): readonly (readonly TableWrite[])[] {
  const { sectorSize, entries } = layout
  const lastLba = Math.floor(layout.capacity / sectorSize) - 1
  const sectors = entriesSectors(layout.entryCount, layout.entrySize, sectorSize)
  const usable = usableSectors(layout)
  for (let index = 0; index < layout.entryCount; index++) {
    const entry = gptEntry.read(entries, index * layout.entrySize)
    if (entry.type === nilUuid) continue
    if (entry.lastLba > BigInt(usable.last)) {
      throw refused('E_PARTITIONS_DO_NOT_FIT', `partition ${index + 1} ends in sector ${entry.lastLba}, behind the last that a disk of ${layout.capacity} bytes can use (${usable.last})`, { hint: 'Enlarge the disk, or shrink the partition and its filesystem first.' })
    }
  }
  const padded = new Uint8Array(sectors * sectorSize)
  padded.set(entries)
  const header = (lba: number, alternate: number, entriesLba: number): Uint8Array => {
    const values = {
      signature: gptSignature, revision: 0x10000, headerSize: 92, headerCrc: 0, reserved: 0, myLba: BigInt(lba), alternateLba: BigInt(alternate),
      firstUsableLba: BigInt(usable.first), lastUsableLba: BigInt(usable.last), diskGuid: layout.diskGuid,
      entriesLba: BigInt(entriesLba), entryCount: layout.entryCount, entrySize: layout.entrySize, entriesCrc: crc32(entries),
    }
    const sector = gptHeader.write(values, new Uint8Array(sectorSize))
    return gptHeader.write({ ...values, headerCrc: crc32(sector.subarray(0, 92)) }, sector)
  }
  const backupEntries = lastLba - sectors
  return [
    [{ position: backupEntries * sectorSize, bytes: padded }, { position: lastLba * sectorSize, bytes: header(lastLba, 1, backupEntries) }],
    [{ position: 2 * sectorSize, bytes: padded }, { position: sectorSize, bytes: header(1, lastLba, 2) }],
    [{ position: 0, bytes: layout.mbr }],
  ]
}

