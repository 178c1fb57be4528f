import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { uuidText } from '../../binary/guid.js'
import type { BackedPartition, BackedTable } from './volumes.js'
import { gptEntryCount, backedGptEntry, backedGptHeader, mbr, mbrEntries, backedMbrEntry, types } from './structs.js'

/** A partition with the GUID of its volume, where the name of its file has one. */
export interface PlacedPartition extends BackedPartition {
  readonly volume: string | undefined
}

/** The table of the disk that is put together: what stands at its start and at its end. */
export interface MadeTable {
  readonly kind: 'mbr' | 'gpt'
  readonly head: Uint8Array
  readonly tail: Uint8Array
}

/**
 * As it was: a GPT where one of the virtual disks has one, or holds an EFI system partition; else an MBR.
 * @param capacity of the disk, in bytes, with room for a second GPT. @throws RangeError for more than four partitions
 * of an MBR.
 */
export function makeTable(
  partitions: readonly PlacedPartition[],
  tables: readonly BackedTable[],
  { capacity, sectorSize }: { readonly capacity: number; readonly sectorSize: number },
): MadeTable {
  return isGpt(partitions)
    ? makeGpt(partitions, tables, capacity, sectorSize)
    : { kind: 'mbr', head: makeMbr(partitions, tables, sectorSize), tail: new Uint8Array(0) }
}

export function isGpt(partitions: readonly BackedPartition[]): boolean {
  return partitions.some(({ gpt, mbrType }) => gpt !== undefined || mbrType === types.system)
}

/** Bytes of a GPT behind the partitions: the entries, and the header. */
export function gptTail(sectorSize: number): number {
  return gptEntryCount * backedGptEntry.size + sectorSize
}

function makeMbr(
  partitions: readonly PlacedPartition[],
  tables: readonly BackedTable[],
  sectorSize: number,
): Uint8Array {
  const head = new Uint8Array(sectorSize)
  const boot = tables.find((table) => table.partitions.some(({ active }) => active)) ?? tables[0]
  head.set(
    mbr.write({
      code: boot?.bootCode ?? new Uint8Array(440),
      diskSignature: tables.find(({ diskSignature }) => diskSignature !== 0)?.diskSignature ?? 0,
      signature: 0xaa55,
    }),
  )
  for (const [index, { start, length, mbrType = 7, active }] of partitions.entries()) {
    if (index >= 4) throw new RangeError('more than four partitions')
    const first = start / sectorSize
    const count = length / sectorSize
    const entry = backedMbrEntry.write({ status: active ? 0x80 : 0, type: mbrType, first, count })
    // Places in cylinders are not used any more: those that mean "beyond them".
    entry.set([0xfe, 0xff, 0xff], 1)
    entry.set([0xfe, 0xff, 0xff], 5)
    head.set(entry, mbrEntries + index * backedMbrEntry.size)
  }
  return head
}

function makeGpt(
  partitions: readonly PlacedPartition[],
  tables: readonly BackedTable[],
  capacity: number,
  sectorSize: number,
): MadeTable {
  const entries = new Uint8Array(gptEntryCount * backedGptEntry.size)
  for (const [index, partition] of partitions.entries()) entries.set(gptEntryOf(partition, sectorSize), index * 128)
  const sectors = capacity / sectorSize
  const entrySectors = entries.length / sectorSize
  const diskId = tables.find((table) => table.diskId !== undefined)?.diskId ?? derivedId(partitions)
  const header = (own: number, other: number, entriesAt: number): Uint8Array => {
    const values = {
      signature: Buffer.from('EFI PART', 'latin1'),
      revision: 0x10000,
      headerSize: backedGptHeader.size,
      checksum: 0,
      own: BigInt(own),
      other: BigInt(other),
      firstUsable: BigInt(2 + entrySectors),
      lastUsable: BigInt(sectors - entrySectors - 2),
      diskId,
      entriesAt: BigInt(entriesAt),
      entryCount: gptEntryCount,
      entrySize: backedGptEntry.size,
      entriesChecksum: crc32(entries),
    }
    return backedGptHeader.write({ ...values, checksum: crc32(backedGptHeader.write(values)) })
  }
  const head = new Uint8Array(2 * sectorSize + entries.length)
  const count = Math.min(sectors - 1, 0xffffffff)
  const protective = backedMbrEntry.write({ status: 0, type: types.protective, first: 1, count })
  protective.set([0, 2, 0], 1)
  protective.set([0xff, 0xff, 0xff], 5)
  head.set(mbr.write({ code: new Uint8Array(440), diskSignature: 0, signature: 0xaa55 }))
  head.set(protective, mbrEntries)
  head.set(header(1, sectors - 1, 2), sectorSize)
  head.set(entries, 2 * sectorSize)
  const tail = new Uint8Array(gptTail(sectorSize))
  tail.set(entries)
  tail.set(header(sectors - 1, 1, sectors - 1 - entrySectors), entries.length)
  return { kind: 'gpt', head, tail }
}

function gptEntryOf(partition: PlacedPartition, sectorSize: number): Uint8Array {
  const { start, length, mbrType, gpt, volume } = partition
  const byType = { [types.system]: types.gptSystem, [types.recovery]: types.gptRecovery } as Record<number, string>
  return backedGptEntry.write({
    type: gpt?.type ?? byType[mbrType ?? 0] ?? types.gptData,
    // On a disk with a GPT the GUID of a volume is that of its partition.
    id: gpt?.id ?? volume ?? derivedId([partition]),
    first: BigInt(start / sectorSize),
    last: BigInt((start + length) / sectorSize - 1),
    attributes: gpt?.attributes ?? (mbrType === types.recovery ? 0x8000000000000001n : 0n),
    name: gpt?.name ?? new Uint8Array(72),
  })
}

/** An id that depends on the partitions only: the same backup gives the same disk. */
function derivedId(partitions: readonly PlacedPartition[]): string {
  const text = JSON.stringify(partitions.map(({ start, length, volume }) => [start, length, volume]))
  return uuidText(createHash('sha256').update(text).digest().subarray(0, 16))
}
