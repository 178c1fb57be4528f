/** Partition tables for tests, sound or with any field at will. */
import { crc32 } from '../../src/binary/checksum.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import {
  entryBytes,
  gptEntries,
  gptWrites,
  protectiveMbr,
  readPartitionTable,
  type NewGptPartition,
  type PartitionTable,
} from '../../src/partition/index.js'
import { openWith } from './drivers.js'

export const linuxType = '0fc63daf-8483-4772-8e79-3d69d8477de4'
export const capacity = 32 * 1048576

/** What the table of a disk is, in short: scheme, numbers, codes. */
export function summary(store: MemoryStore): [string, number[], string[]] {
  const { scheme, partitions, issues } = tableOf(store)
  return [
    scheme,
    partitions.map(({ number }) => number),
    issues.map(({ code }) => code).filter((code) => code !== 'W_MISALIGNED'),
  ]
}

export function tableOf(store: MemoryStore): PartitionTable {
  return readPartitionTable(openWith('raw', store))
}

/** One entry of an MBR: type, first sector, sectors, boot indicator. */
export type MbrEntry = readonly [type: number, start: number, count: number, boot?: number]

/** A master (or extended) boot record. */
export function bootRecord(...entries: readonly (MbrEntry | undefined)[]): Uint8Array {
  const sector = new Uint8Array(512)
  for (const [index, entry] of entries.entries()) {
    if (entry === undefined) continue
    const [type, start, count, boot = 0] = entry
    const bytes = entryBytes(type === 0 ? 1 : type, start, count, false)
    bytes[4] = type
    bytes[0] = boot
    sector.set(bytes, 446 + 16 * index)
  }
  sector.set([0x55, 0xaa], 510)
  return sector
}

/** A disk with records at sectors. */
export function mbrDisk(records: Readonly<Record<number, Uint8Array>>, size = capacity): MemoryStore {
  const store = new MemoryStore(undefined, 'disk')
  store.truncate(size)
  for (const [sector, bytes] of Object.entries(records)) store.write(Number(sector) * 512, bytes)
  if (store.size > size) store.truncate(size)
  return store
}

/** What a test says of a GPT's partitions; ids are made up where it says nothing. */
export type Wanted = Partial<NewGptPartition> & Pick<NewGptPartition, 'number' | 'firstLba' | 'lastLba'>

export const usualPartitions: readonly Wanted[] = [
  { number: 1, firstLba: 2048, lastLba: 4095, name: 'one' },
  { number: 2, firstLba: 4096, lastLba: 8191, name: 'two' },
]

export function partitionEntries(partitions: readonly Wanted[] = usualPartitions, count = 128): Uint8Array {
  return gptEntries(
    partitions.map((partition) => ({
      type: linuxType,
      unique: `00000000-0000-4000-8000-${String(partition.number).padStart(12, '0')}`,
      ...partition,
    })),
    count,
  )
}

/** A GPT disk that is sound. */
export function gptDisk(
  partitions: readonly Wanted[] = usualPartitions,
  count = 128,
  sectorSize: 512 | 4096 = 512,
  size = capacity,
): MemoryStore {
  const store = new MemoryStore(undefined, 'disk')
  const entries = partitionEntries(partitions, count)
  const layout = {
    sectorSize,
    capacity: size,
    diskGuid: '11111111-2222-4333-8444-555555555555',
    entries,
    entryCount: count,
    entrySize: 128,
    mbr: protectiveMbr(size, sectorSize),
  }
  for (const { position, bytes } of gptWrites(layout).flat()) store.write(position, bytes)
  return store
}

/** Changes a header, and makes its checksums right again: what it says is then believed. */
export function sealHeader(
  store: MemoryStore,
  lba: number,
  change: (header: DataView) => void,
  sectorSize = 512,
): void {
  const sector = new Uint8Array(sectorSize)
  store.read(lba * sectorSize, sector)
  const view = new DataView(sector.buffer)
  change(view)
  view.setUint32(16, 0, true)
  view.setUint32(16, crc32(sector.subarray(0, Math.min(view.getUint32(12, true), sectorSize))), true)
  store.write(lba * sectorSize, sector)
}

/** Puts other entries into both copies, and makes all checksums right again. */
export function sealEntries(
  store: MemoryStore,
  change: (entries: Uint8Array) => void,
  lbas: readonly number[] = [1, store.size / 512 - 1],
): void {
  for (const lba of lbas) {
    sealHeader(store, lba, (header) => {
      const entries = new Uint8Array(header.getUint32(80, true) * header.getUint32(84, true))
      const at = Number(header.getBigUint64(72, true)) * 512
      store.read(at, entries)
      change(entries)
      store.write(at, entries)
      header.setUint32(88, crc32(entries), true)
    })
  }
}
