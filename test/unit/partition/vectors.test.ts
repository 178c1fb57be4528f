import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from '../../../src/binary/checksum.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import {
  chsBytes,
  entryBytes,
  gptEntries,
  gptWrites,
  protectiveMbr,
  readGpt,
  readPartitionTable,
} from '../../../src/partition/index.js'
import { openWith } from '../../support/drivers.js'

const mebibyte = 1048576

/** The worked example of the sheet: 100 MiB, an EFI system partition and a root. */
function example(capacity = 100 * mebibyte): MemoryStore {
  const store = new MemoryStore(undefined, 'disk')
  const entries = gptEntries([
    {
      number: 1,
      type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
      unique: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      firstLba: 2048,
      lastLba: 22527,
      name: 'EFI',
    },
    {
      number: 2,
      type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
      unique: '01234567-89ab-cdef-0123-456789abcdef',
      firstLba: 22528,
      lastLba: 204766,
      name: 'root',
    },
  ])
  const writes = gptWrites({
    sectorSize: 512,
    capacity,
    diskGuid: '11111111-2222-3333-4444-555555555555',
    entries,
    entryCount: 128,
    entrySize: 128,
    firstUsableLba: 34,
    mbr: protectiveMbr(capacity, 512),
  })
  for (const { position, bytes } of writes.flat()) store.write(position, bytes)
  return store
}

const read = (store: MemoryStore) => readPartitionTable(openWith('raw', store))
const codes = (store: MemoryStore) => read(store).issues.map(({ code }) => code)

test('the checksums of the worked example', () => {
  assert.equal(crc32(new Uint8Array(16384)), 0xab54d286)
  const gpt = readGpt(openWith('raw', example()), 512)!
  assert.equal(gpt.primary.copy!.header.entriesCrc, 0x296d00f2)
  assert.equal(gpt.primary.copy!.header.headerCrc, 0xa21f0b74)
  assert.equal(gpt.backup.copy!.header.headerCrc, 0x328605d2)
})

test('a whole GPT has no issues; each damage is reported', () => {
  const table = read(example())
  assert.deepEqual(
    [table.scheme, table.sectorSize, table.diskId, table.issues],
    ['gpt', 512, '11111111-2222-3333-4444-555555555555', []],
  )
  assert.deepEqual(
    table.partitions.map(({ number, start, length, label, type }) => [number, start, length, label, type.name]),
    [
      [1, mebibyte, 10 * mebibyte, 'EFI', 'EFI System'],
      [2, 11 * mebibyte, (204766 - 22528 + 1) * 512, 'root', 'Linux filesystem'],
    ],
  )
  const damaged = (change: (store: MemoryStore) => void): string[] => {
    const store = example()
    change(store)
    return codes(store)
  }
  assert.deepEqual(
    damaged((store) => store.write(512 + 50, Uint8Array.of(1))),
    ['W_GPT_PRIMARY_BAD'],
  )
  assert.deepEqual(
    damaged((store) => store.write(1024 + 60, Uint8Array.of(1))),
    ['W_GPT_PRIMARY_BAD'],
  )
  assert.deepEqual(
    damaged((store) => store.write(0, new Uint8Array(17408))),
    ['W_GPT_PRIMARY_BAD', 'W_PMBR_MISSING'],
  )
  assert.deepEqual(
    damaged((store) => store.write(100 * mebibyte - 500, Uint8Array.of(1))),
    ['W_GPT_BACKUP_BAD'],
  )
  assert.deepEqual(
    damaged((store) => store.truncate(200 * mebibyte)),
    ['W_GPT_BACKUP_MOVED', 'W_PMBR_SIZE'],
  )
  assert.deepEqual(
    damaged((store) => store.truncate(90 * mebibyte)),
    ['W_GPT_TRUNCATED', 'W_PMBR_SIZE', 'W_PART_PAST_END'],
  )
  assert.deepEqual(
    damaged((store) => {
      store.write(512 + 50, Uint8Array.of(1))
      store.truncate(90 * mebibyte)
    }),
    ['E_GPT_CORRUPT'],
  )
  assert.deepEqual(
    damaged((store) => store.truncate(512)),
    ['E_GPT_TRUNCATED'],
  )
})

test('a GPT left over at the end does not hide an MBR that came later', () => {
  const store = example()
  store.write(0, new Uint8Array(17408))
  const mbr = new Uint8Array(512)
  mbr.set(entryBytes(0x83, 2048, 4096, true), 446)
  mbr.set([0x55, 0xaa], 510)
  store.write(0, mbr)
  const table = read(store)
  assert.deepEqual(
    [table.scheme, table.partitions.length, table.issues.map(({ code }) => code)],
    ['mbr', 1, ['W_GPT_STALE']],
  )
})

test("geometry of the sheet's entry", () => {
  assert.equal(Buffer.from(entryBytes(0x83, 2048, 40960, true)).toString('hex'), '8020210083ac2a020008000000a00000')
  assert.equal(Buffer.from(chsBytes(2 ** 31)).toString('hex'), 'feffff')
})

test('a table written for 4096-byte sectors in a raw image is found', () => {
  const capacity = 100 * mebibyte
  const store = new MemoryStore(undefined, 'disk')
  store.truncate(capacity)
  const entries = gptEntries([
    {
      number: 3,
      type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
      unique: '01234567-89ab-cdef-0123-456789abcdef',
      firstLba: 256,
      lastLba: 1023,
    },
  ])
  const writes = gptWrites({
    sectorSize: 4096,
    capacity,
    diskGuid: '11111111-2222-3333-4444-555555555555',
    entries,
    entryCount: 128,
    entrySize: 128,
    mbr: protectiveMbr(capacity, 4096),
  })
  for (const { position, bytes } of writes.flat()) store.write(position, bytes)
  const table = read(store)
  assert.deepEqual(
    [
      table.sectorSize,
      table.partitions.map(({ number, start, length }) => [number, start, length]),
      table.issues.map(({ code }) => code),
    ],
    [4096, [[3, mebibyte, 3 * mebibyte]], ['W_SECTOR_SIZE']],
  )
})

test('a chain of extended boot records that loops, leaves its container, or loses its signature ends', () => {
  const chain = (second: (record: Uint8Array) => void): ReturnType<typeof read> => {
    const store = new MemoryStore(undefined, 'disk')
    store.truncate(100 * mebibyte)
    const sector = (...entries: Uint8Array[]): Uint8Array => {
      const bytes = new Uint8Array(512)
      for (const [index, entry] of entries.entries()) bytes.set(entry, 446 + 16 * index)
      bytes.set([0x55, 0xaa], 510)
      return bytes
    }
    store.write(0, sector(entryBytes(0x0f, 2048, 100_000, false)))
    store.write(2048 * 512, sector(entryBytes(0x83, 2048, 2048, false), entryBytes(0x05, 6144, 4096, false)))
    const record = sector(entryBytes(0x83, 2048, 2048, false))
    second(record)
    store.write((2048 + 6144) * 512, record)
    return read(store)
  }
  const summary = (table: ReturnType<typeof read>) => [
    table.partitions.map(({ number }) => number),
    table.issues.map(({ code }) => code),
  ]
  assert.deepEqual(summary(chain(() => undefined)), [[1, 5, 6], []])
  assert.deepEqual(summary(chain((record) => record.set(entryBytes(0x05, 6144, 10, false), 462))), [
    [1, 5, 6],
    ['W_EBR_LOOP'],
  ])
  // Back, to where no record is.
  assert.deepEqual(summary(chain((record) => record.set(entryBytes(0x05, 1, 10, false), 462))), [
    [1, 5, 6],
    ['W_EBR_SIGNATURE'],
  ])
  assert.deepEqual(summary(chain((record) => record.set(entryBytes(0x05, 100_000, 10, false), 462))), [
    [1, 5, 6],
    ['W_EBR_RANGE'],
  ])
  assert.deepEqual(summary(chain((record) => record.set(entryBytes(0x83, 2048, 200_000, false), 446))), [
    [1, 5],
    ['W_EBR_RANGE'],
  ])
  assert.deepEqual(summary(chain((record) => record.set([0, 0], 510))), [[1, 5], ['W_EBR_SIGNATURE']])
})
