import { refused } from '../errors.js'
import { bootSignature, entryBytes, masterBootRecord } from './mbr.js'
import type { TableWrite } from './types.js'

/** A partition of an MBR to be written. Bytes of the disk. */
export interface NewMbrPartition {
  /** 1 to 4 for primary and extended ones; logical ones are numbered from 5 on, upwards on the disk. */
  readonly number: number
  readonly role: 'primary' | 'logical' | 'extended'
  readonly type: number
  readonly start: number
  readonly length: number
  readonly active: boolean
}

export interface MbrLayout {
  readonly sectorSize: 512 | 4096
  readonly diskSignature: number
  readonly partitions: readonly NewMbrPartition[]
  /** The first sector as it stands: its boot code is kept. */
  readonly before?: Uint8Array
}

/** How far before a logical partition its boot record goes where there is room. */
const usualGap = 1048576

/**
 * The master boot record and the extended ones, the latter first: until the first sector is written nothing leads to
 * them.
 * @throws ImageError refused E_PARTITIONS_DO_NOT_FIT, E_SECTOR_MISFIT, E_NO_ROOM where the layout cannot be said in an
 * MBR.
 */
export function mbrWrites(layout: MbrLayout): readonly (readonly TableWrite[])[] {
  const { sectorSize, partitions, before } = layout
  const primary = partitions.filter(({ role }) => role !== 'logical')
  for (const { number, start, length } of partitions) {
    if (start % sectorSize !== 0 || length % sectorSize !== 0)
      throw refused(
        'E_SECTOR_MISFIT',
        `partition ${number}, ${length} bytes from byte ${start}, is not made of whole sectors of ${sectorSize} bytes`,
      )
    if (start / sectorSize > 0xffffffff || length / sectorSize > 0xffffffff)
      throw refused(
        'E_PARTITIONS_DO_NOT_FIT',
        `partition ${number} lies beyond what an MBR can say: 2^32 sectors of ${sectorSize} bytes`,
      )
  }
  if (primary.some(({ number }) => number < 1 || number > 4))
    throw refused('E_PARTITIONS_DO_NOT_FIT', 'an MBR has four entries; further partitions must be logical')
  const entries = [1, 2, 3, 4].map((number) => {
    const partition = primary.find((each) => each.number === number)
    return partition === undefined
      ? new Uint8Array(16)
      : entryBytes(partition.type, partition.start / sectorSize, partition.length / sectorSize, partition.active)
  })
  const kept = before === undefined ? undefined : masterBootRecord.read(before)
  const [entry1 = none, entry2 = none, entry3 = none, entry4 = none] = entries
  const record = masterBootRecord.write({
    bootCode: kept?.bootCode ?? new Uint8Array(440),
    diskSignature: layout.diskSignature,
    reserved: kept?.reserved ?? 0,
    entry1,
    entry2,
    entry3,
    entry4,
    signature: bootSignature,
  })
  return [extendedRecords(layout), [{ position: 0, bytes: record }]]
}

const none = new Uint8Array(16)

/** A record before each logical partition, chained in the order of their numbers. */
function extendedRecords({ sectorSize, partitions }: MbrLayout): readonly TableWrite[] {
  const logical = partitions.filter(({ role }) => role === 'logical').sort((a, b) => a.number - b.number)
  if (logical.length === 0) return []
  const container = partitions.find(({ role }) => role === 'extended')
  if (container === undefined) throw refused('E_NO_ROOM', 'logical partitions need an extended one')
  const end = container.start + container.length
  const places = logical.map((partition, index) => {
    // Numbers need not be in the order of places: a partition in a gap has the number after the last.
    const before = logical.filter(({ start }) => start < partition.start).map((each) => each.start + each.length)
    // The container begins with the record of the first number.
    const free = Math.max(container.start + (index === 0 ? 0 : sectorSize), ...before)
    const position = index === 0 ? container.start : Math.max(free, partition.start - usualGap)
    if (partition.start < free + sectorSize) {
      throw refused(
        'E_NO_ROOM',
        `there is no sector before logical partition ${partition.number} for its boot record`,
        { details: { partition: partition.number } },
      )
    }
    if (partition.start + partition.length > end)
      throw refused('E_NO_ROOM', `logical partition ${partition.number} leaves its extended partition`)
    return position
  })
  return logical.map((partition, index) => {
    const position = places[index] ?? 0
    const next = logical[index + 1]
    const nextPosition = places[index + 1]
    const link =
      next === undefined || nextPosition === undefined
        ? none
        : entryBytes(
            0x05,
            (nextPosition - container.start) / sectorSize,
            (next.start + next.length - nextPosition) / sectorSize,
            false,
          )
    const data = entryBytes(
      partition.type,
      (partition.start - position) / sectorSize,
      partition.length / sectorSize,
      partition.active,
    )
    return {
      position,
      bytes: masterBootRecord.write({
        bootCode: new Uint8Array(440),
        diskSignature: 0,
        reserved: 0,
        entry1: data,
        entry2: link,
        entry3: none,
        entry4: none,
        signature: bootSignature,
      }),
    }
  })
}
