import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import { convertTable, openPartition, planGrowth, planMend } from '../../src/partition/index.js'
import { Random } from '../fuzz/random.js'
import { openWith } from '../support/drivers.js'
import { bootRecord, capacity, mbrDisk, summary, tableOf } from '../support/table-bytes.js'
import { ProcessorTime } from '../support/processor-time.js'

const last = capacity / 512
const none: [string, number[], string[]] = ['none', [], []]

/** The sheet of malformed inputs, "MBR", by its numbers. */
const cases: readonly (readonly [string, MemoryStore, [string, number[], string[]]])[] = [
  ['1 no 55 AA', mbrDisk({ 0: bootRecord([0x83, 2048, 100]).fill(0, 510) }), none],
  ['1 an empty table', mbrDisk({ 0: bootRecord() }), ['mbr', [], []]],
  ['2 boot indicator 01', mbrDisk({ 0: bootRecord([0x83, 2048, 100, 1]) }), ['none', [], ['W_MBR_ODD']]],
  [
    '2 two active',
    mbrDisk({ 0: bootRecord([0x83, 2048, 100, 0x80], [0x83, 4096, 100, 0x80]) }),
    ['mbr', [1, 2], ['W_TWO_ACTIVE']],
  ],
  [
    '3 size 0, type 0, start 0',
    mbrDisk({ 0: bootRecord([0x83, 2048, 0], [0, 2048, 100], [0x83, 0, 100], [0x83, 2048, 10]) }),
    ['mbr', [3, 4], ['W_ENTRY_UNUSED', 'W_ENTRY_UNUSED', 'W_TABLE_IN_PARTITION']],
  ],
  ['4 overlapping', mbrDisk({ 0: bootRecord([0x83, 2048, 4096], [0x83, 4096, 4096]) }), ['mbr', [1, 2], ['W_OVERLAP']]],
  [
    '4 the same twice',
    mbrDisk({ 0: bootRecord([0x83, 2048, 4096], [0x83, 2048, 4096]) }),
    ['mbr', [1, 2], ['W_OVERLAP']],
  ],
  ['4 beyond the end', mbrDisk({ 0: bootRecord([0x83, 2048, last]) }), ['mbr', [1], ['W_PART_PAST_END']]],
  [
    '4 start + size > 2^32',
    mbrDisk({ 0: bootRecord([0x83, 0xffffffff, 0xffffffff]) }),
    ['mbr', [1], ['W_PART_PAST_END']],
  ],
  [
    '5 two extended',
    mbrDisk({
      0: bootRecord([5, 2048, 2048], [0x0f, 8192, 2048]),
      2048: bootRecord([0x83, 8, 8]),
      8192: bootRecord([0x83, 8, 8]),
    }),
    ['mbr', [1, 2, 5, 6], ['W_EXTENDED_TWICE']],
  ],
  ['5 type 85', mbrDisk({ 0: bootRecord([0x85, 2048, 2048]), 2048: bootRecord([0x83, 8, 8]) }), ['mbr', [1, 5], []]],
  [
    '6 second link relative to the container',
    mbrDisk({
      0: bootRecord([5, 2048, 9000]),
      2048: bootRecord([0x83, 8, 8], [5, 100, 50]),
      2148: bootRecord([0x83, 8, 8], [5, 200, 50]),
      2248: bootRecord([0x83, 8, 8]),
    }),
    ['mbr', [1, 5, 6, 7], []],
  ],
  [
    '7 a link to itself',
    mbrDisk({
      0: bootRecord([5, 2048, 9000]),
      2048: bootRecord([0x83, 8, 8], [5, 100, 50]),
      2148: bootRecord([0x83, 8, 8], [5, 100, 50]),
    }),
    ['mbr', [1, 5, 6], ['W_EBR_LOOP']],
  ],
  [
    '9 no 55 AA in a record',
    mbrDisk({ 0: bootRecord([5, 2048, 9000]), 2048: bootRecord([0x83, 8, 8]).fill(0, 510) }),
    ['mbr', [1], ['W_EBR_SIGNATURE']],
  ],
  [
    '9 data in entries 3 and 4',
    mbrDisk({ 0: bootRecord([5, 2048, 9000]), 2048: bootRecord(undefined, undefined, [0x83, 8, 8], [0x83, 20, 8]) }),
    ['mbr', [1, 5, 6], []],
  ],
  [
    '9 link first',
    mbrDisk({
      0: bootRecord([5, 2048, 9000]),
      2048: bootRecord([5, 100, 50], [0x83, 8, 8]),
      2148: bootRecord([0x83, 8, 8]),
    }),
    ['mbr', [1, 5, 6], []],
  ],
  [
    '10 data at offset 0',
    mbrDisk({ 0: bootRecord([5, 2048, 9000]), 2048: bootRecord([0x83, 0, 8]) }),
    ['mbr', [1], ['W_EBR_RANGE']],
  ],
  [
    '10 logical outside',
    mbrDisk({ 0: bootRecord([5, 2048, 900]), 2048: bootRecord([0x83, 8, 8000]) }),
    ['mbr', [1], ['W_EBR_RANGE']],
  ],
  [
    '11 a record in the last sector',
    mbrDisk({
      0: bootRecord([5, 2048, last - 2048]),
      2048: bootRecord([0x83, 8, 8], [5, last - 2049, 1]),
      [last - 1]: bootRecord([0x83, 1, 1]),
    }),
    ['mbr', [1, 5], ['W_EBR_RANGE']],
  ],
  [
    '11 a record beyond the end',
    mbrDisk({ 0: bootRecord([5, 2048, last]), 2048: bootRecord([0x83, 8, 8], [5, last - 2048, 8]) }),
    ['mbr', [1, 5], ['W_EBR_RANGE', 'W_PART_PAST_END']],
  ],
  [
    '12 an empty record in the middle',
    mbrDisk({
      0: bootRecord([5, 2048, 9000]),
      2048: bootRecord([0x83, 8, 8], [5, 100, 50]),
      2148: bootRecord(undefined, [5, 200, 50]),
      2248: bootRecord([0x83, 8, 8]),
    }),
    ['mbr', [1, 5, 6], []],
  ],
  [
    '17 signature and copy protection',
    mbrDisk({ 0: bootRecord([0x83, 2048, 100]).fill(0x5a, 444, 446) }),
    ['mbr', [1], []],
  ],
  ['25 a disk of one sector', mbrDisk({ 0: bootRecord([0x83, 1, 100]) }, 512), ['mbr', [1], ['W_PART_PAST_END']]],
  ['25 a disk of less', mbrDisk({ 0: bootRecord([0x83, 1, 100]) }, 511), none],
  ['25 nothing at all', mbrDisk({}, 0), none],
  [
    '26 a FAT boot sector with a table in it',
    mbrDisk({
      0: withBytes(
        bootRecord([0x83, 2048, 100]),
        0,
        0xeb,
        0x3c,
        0x90,
        ...Buffer.from('MSDOS5.0'),
        0,
        2,
        4,
        1,
        0,
        2,
        0,
        2,
        0,
        0,
        0xf8,
      ),
    }),
    none,
  ],
  ['27 exFAT', mbrDisk({ 0: withBytes(bootRecord([0x83, 2048, 100]), 3, ...Buffer.from('EXFAT   ')) }), none],
  [
    '30 PC-98',
    mbrDisk({ 0: withBytes(bootRecord(), 4, ...Buffer.from('IPL1')).fill(0x77, 446, 500) }),
    ['none', [], ['W_TABLE_NOT_READ']],
  ],
  ['30 Sun', mbrDisk({ 0: withBytes(new Uint8Array(512), 508, 0xda, 0xbe) }), ['none', [], ['W_TABLE_NOT_READ']]],
  [
    '30 SGI',
    mbrDisk({ 0: withBytes(new Uint8Array(512), 0, 0x0b, 0xe5, 0xa9, 0x41) }),
    ['none', [], ['W_TABLE_NOT_READ']],
  ],
  [
    '30 Amiga',
    mbrDisk({ 3: withBytes(new Uint8Array(512), 0, ...Buffer.from('RDSK'), 0, 0, 0, 64) }),
    ['none', [], ['W_TABLE_NOT_READ']],
  ],
  [
    '31, 32 order and holes',
    mbrDisk({ 0: bootRecord([0x83, 8192, 100], undefined, [0x83, 2048, 100]) }),
    ['mbr', [1, 3], []],
  ],
  [
    '39 signature at 510 of a large sector',
    mbrDisk({ 0: bootRecord([0x83, 2048, 100]), 7: withBytes(new Uint8Array(512), 510, 0, 0) }),
    ['mbr', [1], []],
  ],
  [
    'AIX',
    mbrDisk({ 0: withBytes(bootRecord([0x83, 2048, 100]), 0, 0xc9, 0xc2, 0xd4, 0xc1) }),
    ['none', [], ['W_TABLE_NOT_READ']],
  ],
]

function withBytes(sector: Uint8Array, at: number, ...bytes: number[]): Uint8Array {
  sector.set(bytes, at)
  return sector
}

test('malformed MBRs: reported, listed where they can be, never followed for ever', () => {
  for (const [name, store, expected] of cases) assert.deepEqual(summary(store), expected, name)
  assert.equal(tableOf(mbrDisk({ 0: bootRecord([0x83, 2048, 100]) })).diskId, '00000000')
})

test('a table of which a logical partition is not listed is not written anew: it would be lost for good', () => {
  const whole: Readonly<Record<number, Uint8Array>> = {
    0: bootRecord([5, 2048, 9000]),
    2048: bootRecord([0x83, 8, 8], [5, 100, 50]),
    2148: bootRecord([0x83, 8, 8]),
  }
  let id = 0
  const newId = (): string => `00000000-0000-4000-8000-${String(id++).padStart(12, '0')}`
  for (const [disk, loses] of [
    [mbrDisk(whole), false],
    [mbrDisk({ ...whole, 2148: bootRecord([0x83, 8, 8]).fill(0, 510) }), true],
    [mbrDisk({ ...whole, 2148: bootRecord([0x83, 8, 20000]) }), true],
    [mbrDisk({ ...whole, 2048: bootRecord([0x83, 8, 8], [5, 10000, 50]) }), true],
  ] as const) {
    const source = openWith('raw', disk)
    const growth = planGrowth(source, tableOf(disk))
    assert.equal('why' in growth && /logical partitions would be lost/.test(growth.why), loses)
    const convert = (): unknown => convertTable(source, tableOf(disk), { newId, scheme: 'gpt' })
    if (loses) assert.throws(convert, { code: 'E_TABLE_DAMAGED' })
    else assert.doesNotThrow(convert)
  }
})

test('a chain of 10,000 extended boot records is cut, and reported', () => {
  const records: Record<number, Uint8Array> = { 0: bootRecord([5, 64, 60000]) }
  for (let index = 0; index < 10000; index++)
    records[64 + index * 4] = bootRecord([0x83, 1, 1], [5, (index + 1) * 4, 4])
  const disk = mbrDisk(records)
  const started = new ProcessorTime()
  const table = tableOf(disk)
  assert.ok(table.partitions.length < 1100 && table.issues.some(({ code }) => code === 'W_EBR_LOOP'))
  started.atMost(2000)
})

test('whatever bits are flipped, reading ends, and what is listed can be opened or is refused with a reason', () => {
  const random = new Random(20261123, 2)
  const sound = mbrDisk({
    0: bootRecord([0x83, 2048, 2048, 0x80], [5, 8192, 20000], [7, 30000, 2000]),
    8192: bootRecord([0x83, 8, 1000], [5, 4000, 50]),
    12192: bootRecord([0x82, 8, 8]),
  })
  for (let round = 0; round < 600; round++) {
    const store = new MemoryStore(undefined, 'disk')
    store.truncate(capacity)
    for (const at of [0, 8192, 12192]) {
      const sector = new Uint8Array(512)
      sound.read(at * 512, sector)
      for (let flips = random.below(4); flips > 0; flips--) {
        const place = 440 + random.below(72)
        sector[place] = (sector[place] ?? 0) ^ (1 << random.below(8))
      }
      store.write(at * 512, sector)
    }
    const image = openWith('raw', store)
    const table = tableOf(store)
    for (const partition of table.partitions) {
      assert.ok(Number.isSafeInteger(partition.start) && Number.isSafeInteger(partition.start + partition.length))
      attempt(() => openPartition(image, partition, 'disk'))
    }
    attempt(() => planMend(image, { newId: () => '12345678-0000-4000-8000-000000000000' }))
  }
})

function attempt(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    assert.ok(isImageError(error), String(error))
  }
}
