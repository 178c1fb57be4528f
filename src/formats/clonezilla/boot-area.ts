import { crc32 } from 'node:zlib'
import { offset64, struct, u32, ascii, u64 } from '../../binary/struct.js'
import type { Note } from '../../block/types.js'
import { isContainer, type DumpedPartition, type ListedTable } from './table-text.js'

/** Bytes that are laid over the disk. */
export interface BootBytes {
  readonly position: number
  readonly bytes: Uint8Array
}

/** What the backup holds of the areas outside the partitions; undefined what it lacks. */
export interface SavedAreas {
  /** The first sector. */
  readonly mbr: Uint8Array | undefined
  /** What follows it, up to the first partition. */
  readonly hidden: Uint8Array | undefined
  /** The first sectors of a disk with a GPT, and its last. */
  readonly gptFirst: Uint8Array | undefined
  readonly gptLast: Uint8Array | undefined
}

export interface BootArea {
  readonly patches: readonly BootBytes[]
  readonly notes: readonly Note[]
}

const gptHeader = struct('little', 92, {
  signature: ascii(0, 8),
  headerSize: u32(12),
  checksum: u32(16),
  ownLba: offset64(24, 'the place of a GPT header'),
  otherLba: offset64(32, 'the place of the other GPT header'),
  lastUsable: u64(48),
  entriesLba: offset64(72, 'the place of the entries'),
  entryCount: u32(80),
  entrySize: u32(84),
  entriesChecksum: u32(88),
})

/** The capacity in bytes by the header of a GPT; undefined where there is none. */
export function gptCapacity(first: Uint8Array | undefined, sectorSize: number): number | undefined {
  const header = first === undefined ? undefined : headerAt(first, sectorSize)
  return header === undefined ? undefined : (header.otherLba + 1) * sectorSize
}

function headerAt(bytes: Uint8Array, at: number): ReturnType<typeof gptHeader.read> | undefined {
  if (at < 0 || bytes.length < at + gptHeader.size) return undefined
  if (Buffer.from(bytes.subarray(at, at + 8)).toString('latin1') !== 'EFI PART') return undefined
  const header = gptHeader.read(bytes, at)
  if (header.headerSize < gptHeader.size || at + header.headerSize > bytes.length) return undefined
  return headerChecksum(bytes.subarray(at, at + header.headerSize)) === header.checksum ? header : undefined
}

function headerChecksum(bytes: Uint8Array): number {
  const copy = Uint8Array.from(bytes)
  copy.fill(0, 16, 20)
  return crc32(copy)
}

/** The table, boot code, and what lies between the partitions. */
export function bootArea(table: ListedTable, capacity: number, saved: SavedAreas, disk: string): BootArea {
  return table.label === 'gpt' ? gptArea(table, capacity, saved, disk) : mbrArea(table, saved, disk)
}

function gptArea({ sectorSize }: ListedTable, capacity: number, saved: SavedAreas, disk: string): BootArea {
  const { gptFirst: first, gptLast: last } = saved
  if (first === undefined)
    return {
      patches: [],
      notes: [{ code: 'W_NO_TABLE', message: `the GPT of ${disk} (${disk}-gpt-1st) is not in the backup` }],
    }
  const patches: BootBytes[] = [{ position: 0, bytes: first }]
  const header = headerAt(first, sectorSize)
  if (header === undefined)
    return { patches, notes: [{ code: 'W_GPT_DAMAGED', message: `the GPT in ${disk}-gpt-1st is damaged` }] }
  const start = header.entriesLba * sectorSize
  const length = header.entryCount * header.entrySize
  const sectors = Math.ceil(length / sectorSize)
  // Of sectors of 4096 bytes not all entries are saved: those that are not were unused, or the checksum is wrong.
  const entries = new Uint8Array(sectors * sectorSize)
  entries.set(first.subarray(start, Math.min(first.length, start + length)))
  if (crc32(entries.subarray(0, length)) !== header.entriesChecksum)
    return {
      patches,
      notes: [{ code: 'W_GPT_DAMAGED', message: `the entries of the GPT in ${disk}-gpt-1st are damaged` }],
    }
  const backupLba = capacity / sectorSize - 1
  const own = last === undefined ? undefined : headerAt(last, last.length - sectorSize)
  const isRight = own?.ownLba === backupLba && own.entriesChecksum === header.entriesChecksum
  const backup = isRight && last !== undefined ? last.slice(last.length - sectorSize) : new Uint8Array(sectorSize)
  if (!isRight) {
    backup.set(first.subarray(sectorSize, sectorSize + header.headerSize))
    const view = new DataView(backup.buffer, backup.byteOffset)
    view.setBigUint64(24, BigInt(backupLba), true)
    view.setBigUint64(32, BigInt(header.ownLba), true)
    view.setBigUint64(72, BigInt(backupLba - sectors), true)
    view.setUint32(16, headerChecksum(backup.subarray(0, header.headerSize)), true)
  }
  const entriesAt = (isRight ? own.entriesLba : backupLba - sectors) * sectorSize
  if (entriesAt < 0 || entriesAt + entries.length > capacity)
    return { patches, notes: [{ code: 'W_GPT_DAMAGED', message: `the second GPT of ${disk} has no room` }] }
  patches.push({ position: entriesAt, bytes: entries }, { position: capacity - sectorSize, bytes: backup })
  const notes = isRight
    ? []
    : [{ code: 'W_GPT_REBUILT', message: `the second GPT of ${disk} is not in the backup: it was made of the first` }]
  return { patches, notes }
}

function mbrArea(table: ListedTable, { mbr, hidden }: SavedAreas, disk: string): BootArea {
  const { sectorSize, partitions } = table
  const notes: Note[] = []
  const patches: BootBytes[] = []
  if (mbr === undefined)
    notes.push({ code: 'W_NO_TABLE', message: `the MBR of ${disk} (${disk}-mbr) is not in the backup` })
  else patches.push({ position: 0, bytes: mbr.subarray(0, 512) })
  const first = Math.min(Infinity, ...partitions.map(({ start }) => start))
  if (hidden !== undefined) patches.push({ position: 512, bytes: hidden.subarray(0, Math.max(0, first - 512)) })
  else if (first > sectorSize)
    notes.push({
      code: 'W_NOT_SAVED',
      message: `what lies between the MBR and the first partition of ${disk} is not in the backup, and reads as zero`,
    })
  const container = partitions.find((partition) => isContainer(partition, table))
  if (container !== undefined) patches.push(...logicalTables(container, table, notes))
  return { patches, notes }
}

/**
 * The tables of logical partitions, which no backup holds as they were: each before its partition, as far as the first
 * stands before its own where that can be.
 */
function logicalTables(
  container: DumpedPartition,
  { partitions, sectorSize }: ListedTable,
  notes: Note[],
): BootBytes[] {
  const end = container.start + container.size
  const inside = partitions
    .filter(({ device, start, size }) => device !== container.device && start > container.start && start + size <= end)
    .sort((one, other) => one.start - other.start)
  const [leading] = inside
  if (leading === undefined) return []
  notes.push({
    code: 'W_TABLES_REBUILT',
    message: `the tables of ${inside.length} logical partitions are not in the backup: they were made anew`,
  })
  const gap = leading.start - container.start
  const places = inside.map(({ start }, index) => {
    const before = inside[index - 1]
    if (before === undefined) return container.start
    const free = before.start + before.size
    return start - gap >= free ? start - gap : free
  })
  const sectors = (bytes: number): number => bytes / sectorSize
  return inside.map((partition, index) => {
    const bytes = new Uint8Array(512)
    const place = places[index] ?? 0
    const next = inside[index + 1]
    const nextPlace = places[index + 1]
    const type = parseInt(partition.type, 16)
    entry(bytes, 446, Number.isNaN(type) ? 0x83 : type, sectors(partition.start - place), sectors(partition.size))
    if (next !== undefined && nextPlace !== undefined)
      entry(bytes, 462, 5, sectors(nextPlace - container.start), sectors(next.start + next.size - nextPlace))
    bytes.set([0x55, 0xaa], 510)
    return { position: place, bytes }
  })
}

function entry(bytes: Uint8Array, at: number, type: number, start: number, size: number): void {
  const view = new DataView(bytes.buffer)
  // Cylinders, heads and sectors say that they are not used.
  bytes.set([0, 0xfe, 0xff, 0xff, type, 0xfe, 0xff, 0xff], at)
  view.setUint32(at + 8, start, true)
  view.setUint32(at + 12, size, true)
}
