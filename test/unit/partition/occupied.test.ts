import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MemoryStore } from '../../../src/block/memory-store.js'
import type { PartitionTable } from '../../../src/partition/index.js'
import { bootRecord, capacity, gptDisk, mbrDisk, sealEntries, sealHeader, tableOf } from '../../support/table-bytes.js'

const sector = 512
const lastSector = capacity / sector - 1

/** First sector and length in sectors of everything that is occupied. */
function occupied(store: MemoryStore): (readonly [number, number])[] {
  return tableOf(store).occupied.map(({ start, length }) => [start / sector, length / sector] as const)
}

function overlaps({ issues }: PartitionTable): (readonly [number | undefined, string])[] {
  return issues.flatMap(({ code, partition, severity }) =>
    code === 'W_TABLE_IN_PARTITION' ? [[partition, severity] as const] : [],
  )
}

test('every extended boot record of a chain is occupied, also inside another logical partition', () => {
  const store = mbrDisk({
    0: bootRecord([5, 10000, 30000]),
    10000: bootRecord([0x83, 100, 20000], [5, 5000, 25000]),
    15000: bootRecord([0x83, 16000, 4000]),
  })
  assert.deepEqual(occupied(store), [
    [0, 1],
    [10000, 1],
    [15000, 1],
  ])
  const table = tableOf(store)
  assert.deepEqual(overlaps(table), [[5, 'warning']])
  assert.match(
    table.issues.find(({ code }) => code === 'W_TABLE_IN_PARTITION')?.message ?? '',
    /extended boot record of partition 6 \(byte 7680000\) lies inside partition 5/,
  )
})

test('records that lead nowhere, to themselves and in a second container are occupied too', () => {
  const store = mbrDisk({
    0: bootRecord([5, 2048, 2048], [0x0f, 8192, 2048]),
    2048: bootRecord([0x83, 8, 8], [5, 100, 50]),
    2148: bootRecord(),
    8192: bootRecord([0x83, 8, 8], [5, 0, 50]),
  })
  assert.deepEqual(
    occupied(store).map(([start]) => start),
    [0, 2048, 2148, 8192],
  )
  const loop = tableOf(store).issues.find(({ code }) => code === 'W_EBR_LOOP')
  assert.match(loop?.message ?? '', /points to itself/)
})

test('a link to the container’s own start is a loop, and is reported', () => {
  const store = mbrDisk({ 0: bootRecord([5, 2048, 9000]), 2048: bootRecord([0x83, 8, 8], [5, 0, 50]) })
  const { issues, partitions } = tableOf(store)
  assert.deepEqual(
    partitions.map(({ number }) => number),
    [1, 5],
  )
  assert.match(issues.find(({ code }) => code === 'W_EBR_LOOP')?.message ?? '', /points to itself/)
})

test('both copies of a GPT are occupied, wherever their entries lie', () => {
  assert.deepEqual(occupied(gptDisk()), [
    [0, 1],
    [1, 1],
    [2, 32],
    [lastSector - 32, 32],
    [lastSector, 1],
  ])
  const moved = gptDisk([{ number: 1, firstLba: 100, lastLba: 9000 }])
  const entries = new Uint8Array(32 * sector)
  moved.read(2 * sector, entries)
  moved.write(4000 * sector, entries)
  sealHeader(moved, 1, (header) => header.setBigUint64(72, 4000n, true))
  assert.deepEqual(occupied(moved).slice(0, 3), [
    [0, 1],
    [1, 1],
    [4000, 32],
  ])
  assert.deepEqual(overlaps(tableOf(moved)), [[1, 'warning']])
})

test('the backup that the last partition runs over is reported; a damaged header is still occupied', () => {
  const store = gptDisk([{ number: 1, firstLba: 2048, lastLba: 4000 }])
  sealEntries(store, (entries) => Buffer.from(entries.buffer).writeBigUInt64LE(BigInt(lastSector), 40))
  assert.deepEqual(overlaps(tableOf(store)), [
    [1, 'warning'],
    [1, 'warning'],
  ])
  const damaged = gptDisk()
  damaged.write(lastSector * sector + 60, Uint8Array.of(1, 2, 3))
  assert.ok(occupied(damaged).some(([start]) => start === lastSector))
  assert.ok(occupied(damaged).some(([start, length]) => start === lastSector - 32 && length === 32))
})

test('left-over headers of a GPT beside an MBR are occupied', () => {
  const store = gptDisk()
  store.write(0, bootRecord([0x83, 2048, lastSector - 2047]))
  store.write(sector, new Uint8Array(sector))
  const table = tableOf(store)
  assert.equal(table.scheme, 'mbr')
  assert.ok(table.issues.some(({ code }) => code === 'W_GPT_STALE'))
  assert.ok(occupied(store).some(([start]) => start === lastSector))
  assert.deepEqual(overlaps(table), [
    [1, 'warning'],
    [1, 'warning'],
  ])
})

test('a partition from the first sector on contains the table by intent: a note', () => {
  const store = mbrDisk({ 0: bootRecord([0x17, 0, 4000]) })
  assert.deepEqual(overlaps(tableOf(store)), [[1, 'note']])
})
