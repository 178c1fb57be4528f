import { MemoryStore } from '../../src/block/memory-store.js'
import { gptEntries, gptWrites, protectiveMbr, readPartitionTable, type TableWrite } from '../../src/partition/index.js'
import { openWith } from './drivers.js'

export const mebibyte = 1048576
export const capacity = 20 * mebibyte
export const types = { linux: '0fc63daf-8483-4772-8e79-3d69d8477de4', efi: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' }

/** A disk of 20 MiB with a GPT of two partitions. */
export function gptDisk(sectorSize: 512 | 4096 = 512): MemoryStore {
  const store = new MemoryStore(undefined, 'disk')
  const per = mebibyte / sectorSize
  const entries = gptEntries([
    {
      number: 1,
      type: types.efi,
      unique: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      firstLba: per,
      lastLba: 5 * per - 1,
      name: 'EFI',
    },
    {
      number: 3,
      type: types.linux,
      unique: '01234567-89ab-cdef-0123-456789abcdef',
      firstLba: 5 * per,
      lastLba: 12 * per - 1,
      attributes: 4n,
    },
  ])
  for (const { position, bytes } of gptWrites({
    sectorSize,
    capacity,
    diskGuid: '11111111-2222-3333-4444-555555555555',
    entries,
    entryCount: 128,
    entrySize: 128,
    mbr: protectiveMbr(capacity, sectorSize),
  }).flat())
    store.write(position, bytes)
  store.truncate(capacity)
  return store
}

export const table = (store: MemoryStore) => readPartitionTable(openWith('raw', store))
export const codes = (store: MemoryStore): string[] =>
  table(store)
    .issues.map(({ code }) => code)
    .filter((code) => code !== 'W_SECTOR_SIZE')
export const apply = (store: MemoryStore, writes: readonly TableWrite[]): void =>
  writes.forEach(({ position, bytes }) => store.write(position, bytes))

/** What may happen to a table, and what it is called. */
export const damages: readonly (readonly [string[], (store: MemoryStore, sectorSize: number) => void])[] = [
  [['W_GPT_PRIMARY_BAD'], (store, sectorSize) => store.write(sectorSize, new Uint8Array(sectorSize))],
  [['W_GPT_PRIMARY_BAD'], (store, sectorSize) => store.write(2 * sectorSize + 300, Uint8Array.of(1))],
  [['W_GPT_PRIMARY_BAD', 'W_PMBR_MISSING'], (store) => store.write(0, new Uint8Array(24576))],
  [['W_GPT_BACKUP_BAD'], (store, sectorSize) => store.write(capacity - sectorSize, new Uint8Array(sectorSize))],
  [['W_GPT_BACKUP_BAD'], (store, sectorSize) => store.write(capacity - sectorSize - 200, Uint8Array.of(7))],
  [['W_GPT_BACKUP_MOVED', 'W_PMBR_SIZE'], (store) => store.truncate(33 * mebibyte)],
  [['W_GPT_TRUNCATED', 'W_PMBR_SIZE'], (store) => store.truncate(15 * mebibyte)],
  [['W_PMBR_SIZE'], (store) => store.write(446 + 12, Uint8Array.of(9, 9, 0, 0))],
  [['W_PMBR_MISSING'], (store) => store.write(510, new Uint8Array(2))],
]
