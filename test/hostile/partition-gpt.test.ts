import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from '../../src/binary/checksum.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import { openPartition, planMend, readPartitionTable } from '../../src/partition/index.js'
import { view } from '../../src/cli/view/inspect.js'
import { viewText } from '../support/view.js'
import { Random } from '../fuzz/random.js'
import { diagnoseBoot } from '../../src/operations/inspect/boot/diagnosis.js'
import { guessSystems } from '../../src/operations/inspect/boot/system-guess.js'
import { openWith } from '../support/drivers.js'
import {
  bootRecord,
  capacity,
  gptDisk,
  sealEntries,
  sealHeader,
  summary,
  tableOf,
  usualPartitions,
} from '../support/table-bytes.js'
import { ProcessorTime } from '../support/processor-time.js'

const lastLba = capacity / 512 - 1
type Case = readonly [string, () => MemoryStore, [string, number[], string[]]]

const changed = (change: (store: MemoryStore) => void, disk = gptDisk()): MemoryStore => {
  change(disk)
  return disk
}
/** The same change in both copies. */
const both = (change: (header: DataView) => void): MemoryStore =>
  changed((store) => {
    for (const lba of [1, lastLba]) sealHeader(store, lba, change)
  })
const zeros = (store: MemoryStore, lba: number, sectors = 1): void =>
  store.write(lba * 512, new Uint8Array(sectors * 512))
const flip = (store: MemoryStore, position: number): void => {
  const byte = new Uint8Array(1)
  store.read(position, byte)
  store.write(position, Uint8Array.of((byte[0] ?? 0) ^ 1))
}

/** The sheet of malformed inputs, "GPT", by its numbers. */
const cases: readonly Case[] = [
  ['1 backup zeroed', () => changed((store) => zeros(store, lastLba - 32, 33)), ['gpt', [1, 2], ['W_GPT_BACKUP_BAD']]],
  ['1 primary zeroed', () => changed((store) => zeros(store, 1, 33)), ['gpt', [1, 2], ['W_GPT_PRIMARY_BAD']]],
  [
    '1 both headers bad',
    () => changed((store) => [512 + 60, lastLba * 512 + 60].forEach((at) => flip(store, at))),
    ['gpt', [], ['E_GPT_CORRUPT']],
  ],
  [
    '1 entries bad in the primary',
    () => changed((store) => flip(store, 1024 + 40)),
    ['gpt', [1, 2], ['W_GPT_PRIMARY_BAD']],
  ],
  [
    '1 entries bad in both',
    () => changed((store) => [1024 + 40, (lastLba - 32) * 512 + 40].forEach((at) => flip(store, at))),
    ['gpt', [], ['E_GPT_CORRUPT']],
  ],
  [
    '2 grown',
    () => changed((store) => store.truncate(capacity + 1048576)),
    ['gpt', [1, 2], ['W_GPT_BACKUP_MOVED', 'W_PMBR_SIZE']],
  ],
  [
    '2 wrong own place',
    () => changed((store) => sealHeader(store, 1, (header) => header.setBigUint64(24, 2n, true))),
    ['gpt', [1, 2], ['W_GPT_PRIMARY_BAD']],
  ],
  [
    '2 backup said to be beyond the end',
    () => changed((store) => sealHeader(store, 1, (header) => header.setBigUint64(32, 2n ** 60n, true))),
    ['gpt', [1, 2], ['W_GPT_TRUNCATED']],
  ],
  [
    '3 copies differ',
    () => changed((store) => sealHeader(store, lastLba, (header) => header.setUint8(56, 0x99))),
    ['gpt', [1, 2], ['W_GPT_COPIES_DIFFER']],
  ],
  ['4 header of 91 bytes', () => both((header) => header.setUint32(12, 91, true)), ['gpt', [], ['E_GPT_CORRUPT']]],
  ['4 header of 513 bytes', () => both((header) => header.setUint32(12, 513, true)), ['gpt', [], ['E_GPT_CORRUPT']]],
  ['4 header of 0 bytes', () => both((header) => header.setUint32(12, 0, true)), ['gpt', [], ['E_GPT_CORRUPT']]],
  ['4 header of 512 bytes', () => both((header) => header.setUint32(12, 512, true)), ['gpt', [1, 2], []]],
  ['5 revision 1.1', () => both((header) => header.setUint32(8, 0x10001, true)), ['gpt', [1, 2], ['W_GPT_REVISION']]],
  ...[127, 64, 0].map((size): Case => [
    `6 entries of ${size} bytes`,
    () => both((header) => header.setUint32(84, size, true)),
    ['gpt', [], ['E_GPT_CORRUPT']],
  ]),
  ...[0, 0xffffffff, 65536 * 16].map((count): Case => [
    `7 ${count} entries`,
    () => both((header) => header.setUint32(80, count, true)),
    ['gpt', [], ['E_GPT_CORRUPT']],
  ]),
  [
    '8 entries beyond the disk',
    () => both((header) => header.setBigUint64(72, 2n ** 63n, true)),
    ['gpt', [], ['E_GPT_CORRUPT']],
  ],
  ['8 entries in sector 0', () => both((header) => header.setBigUint64(72, 0n, true)), ['gpt', [], ['E_GPT_CORRUPT']]],
  [
    '9 nothing usable',
    () =>
      changed((store) =>
        sealHeader(store, 1, (header) => {
          header.setBigUint64(40, 9999n, true)
          header.setBigUint64(48, 50n, true)
        }),
      ),
    ['gpt', [1, 2], ['W_GPT_USABLE', 'W_PART_UNUSABLE', 'W_PART_UNUSABLE']],
  ],
  [
    '9 outside the usable sectors',
    () => gptDiskWith([{ number: 1, firstLba: 2048, lastLba: 4095 }], (header) => header.setBigUint64(40, 3000n, true)),
    ['gpt', [1], ['W_PART_UNUSABLE']],
  ],
  [
    '9 ends before it starts',
    () =>
      changed((store) => sealEntries(store, (entries) => new DataView(entries.buffer).setBigUint64(40, 100n, true))),
    ['gpt', [2], ['E_PART_RANGE']],
  ],
  [
    '9 overlapping',
    () =>
      gptDisk([
        { number: 1, firstLba: 2048, lastLba: 5000 },
        { number: 2, firstLba: 4096, lastLba: 8191 },
      ]),
    ['gpt', [1, 2], ['W_OVERLAP']],
  ],
  [
    '9 the same id',
    () =>
      gptDisk(usualPartitions.map((partition) => ({ ...partition, unique: '00000000-0000-4000-8000-000000000009' }))),
    ['gpt', [1, 2], ['W_DUP_GUID']],
  ],
  [
    '10 sectors of 4096',
    () => gptDisk([{ number: 1, firstLba: 256, lastLba: 511 }], 128, 4096),
    ['gpt', [1], ['W_SECTOR_SIZE']],
  ],
  [
    '14 no type, but an id',
    () => changed((store) => sealEntries(store, (entries) => entries.fill(0, 0, 16))),
    ['gpt', [2], []],
  ],
  ['16 no protective MBR', () => changed((store) => zeros(store, 0)), ['gpt', [1, 2], ['W_PMBR_MISSING']]],
  [
    '16 protective MBR of another size',
    () => changed((store) => store.write(0, bootRecord([0xee, 1, 77]))),
    ['gpt', [1, 2], ['W_PMBR_SIZE']],
  ],
  [
    'MBR 14 in slot 4, all ones',
    () => changed((store) => store.write(0, bootRecord(undefined, undefined, undefined, [0xee, 1, 0xffffffff]))),
    ['gpt', [1, 2], []],
  ],
  [
    'MBR 14 start 0',
    () => changed((store) => store.write(0, bootRecord([0xee, 0, lastLba]))),
    ['gpt', [1, 2], ['W_PMBR_SIZE']],
  ],
  [
    'MBR 15 no GPT at all',
    () =>
      changed((store) => {
        zeros(store, 1, 33)
        zeros(store, lastLba - 32, 33)
      }),
    ['gpt', [], ['E_GPT_MISSING']],
  ],
  [
    '18 cut to its head',
    () => changed((store) => store.truncate(32768)),
    ['gpt', [1, 2], ['W_GPT_TRUNCATED', 'W_PMBR_SIZE', 'W_PART_PAST_END', 'W_PART_PAST_END']],
  ],
  ['18 cut to its first sector', () => changed((store) => store.truncate(512)), ['gpt', [], ['E_GPT_TRUNCATED']]],
  ['18 cut inside its entries', () => changed((store) => store.truncate(8192)), ['gpt', [], ['E_GPT_CORRUPT']]],
  [
    '19 backup entries after their header',
    () =>
      changed((store) => {
        zeros(store, 1, 33)
        store.write(capacity - 512, new Uint8Array(512))
      }, gptDisk()),
    ['gpt', [], ['E_GPT_MISSING']],
  ],
  [
    '20 out of order',
    () =>
      gptDisk([
        { number: 2, firstLba: 2048, lastLba: 4095 },
        { number: 5, firstLba: 1024, lastLba: 2047 },
      ]),
    ['gpt', [2, 5], []],
  ],
  ['22 the last slot only', () => gptDisk([{ number: 128, firstLba: 2048, lastLba: 4095 }]), ['gpt', [128], []]],
  [
    '23 one sector, and one of 2^63',
    () =>
      changed((store) =>
        sealEntries(store, (entries) => {
          const view = new DataView(entries.buffer)
          view.setBigUint64(40, 2048n, true)
          view.setBigUint64(128 + 40, 2n ** 63n, true)
        }),
      ),
    ['gpt', [1, 2], ['W_PART_UNUSABLE', 'W_PART_PAST_END']],
  ],
  [
    '24 hybrid',
    () => changed((store) => store.write(0, bootRecord([0xee, 1, 2047], [0x83, 2048, 2048], [0x83, 4096, 4096]))),
    ['gpt', [1, 2], ['W_HYBRID_MBR']],
  ],
  [
    '25 hybrid with logical partitions',
    () =>
      changed((store) => {
        store.write(0, bootRecord([0xee, 1, 2047], [5, 9000, 2048]))
        store.write(9000 * 512, bootRecord([0x83, 8, 8]))
      }),
    ['gpt', [1, 2], ['W_HYBRID_MBR']],
  ],
  [
    '27 stale header before an MBR',
    () =>
      changed((store) => {
        store.write(0, bootRecord([0x83, 2048, 100]))
        flip(store, 512 + 60)
        zeros(store, lastLba - 32, 33)
      }),
    ['mbr', [1], ['W_GPT_STALE']],
  ],
  [
    '28 stale backup behind an MBR',
    () =>
      changed((store) => {
        store.write(0, bootRecord([0x83, 2048, 100]))
        zeros(store, 1, 33)
      }),
    ['mbr', [1], ['W_GPT_STALE']],
  ],
  ['30 reserved field', () => both((header) => header.setUint32(20, 5, true)), ['gpt', [1, 2], ['W_GPT_RESERVED']]],
  [
    '33 the backup says it is the primary',
    () => changed((store) => sealHeader(store, lastLba, (header) => header.setBigUint64(24, 1n, true))),
    ['gpt', [1, 2], ['W_GPT_BACKUP_BAD']],
  ],
  [
    '34 more entries than room',
    () => gptDiskWith([{ number: 1, firstLba: 2048, lastLba: 4095 }], (header) => header.setBigUint64(40, 20n, true)),
    ['gpt', [1], ['W_GPT_TABLE_OVERLAP']],
  ],
]

function gptDiskWith(partitions: Parameters<typeof gptDisk>[0], change: (header: DataView) => void): MemoryStore {
  const store = gptDisk(partitions)
  for (const lba of [1, lastLba]) sealHeader(store, lba, change)
  return store
}

test('malformed GPTs: which copy is used, what is listed, and what is said', () => {
  for (const [name, make, expected] of cases) assert.deepEqual(summary(make()), expected, name)
})

test('entries of 256 bytes, and 16384 of them', () => {
  const store = new MemoryStore(gptDisk().contents(), 'disk')
  const wide = new Uint8Array(128 * 256)
  const narrow = new Uint8Array(128 * 128)
  store.read(1024, narrow)
  for (let index = 0; index < 128; index++) wide.set(narrow.subarray(index * 128, index * 128 + 128), index * 256)
  store.write(1024, wide)
  sealHeader(store, 1, (header) => {
    header.setUint32(84, 256, true)
    header.setUint32(88, crc32(wide), true)
    header.setBigUint64(40, 100n, true)
  })
  assert.deepEqual(summary(store), ['gpt', [1, 2], ['W_GPT_COPIES_DIFFER']])
  const many = gptDisk(
    Array.from({ length: 16384 }, (_, index) => ({
      number: index + 1,
      firstLba: 5000,
      lastLba: 6000,
      unique: '00000000-0000-4000-8000-000000000009',
    })),
    16384,
  )
  const started = new ProcessorTime()
  const table = tableOf(many)
  assert.equal(table.partitions.length, 16384)
  started.atMost(2000)
})

test('names: 36 units without an end, half a pair, controls, right to left', async () => {
  const names = ['x'.repeat(36), `a\ud800b`, '\u001b[31mred\u0007', '\u202eevil', '\uffff'.repeat(36), 'Ünïcode 🙂']
  const store = gptDisk(
    names.map((name, index) => ({
      number: index + 1,
      firstLba: 2048 * (index + 1),
      lastLba: 2048 * (index + 2) - 1,
      name,
    })),
  )
  const table = tableOf(store)
  assert.deepEqual(
    table.partitions.map(({ label }) => label),
    names,
  )
  const text = await viewText(view, {
    ...table,
    image: { path: 'x', format: 'raw', subformat: 'flat', capacity, sectorSize: 512 },
    gaps: [],
    filesystems: [],
    notes: [],
    partitions: table.partitions.map((partition) => ({
      ...partition,
      firstSector: 0,
      lastSector: 0,
      alignment: 4096,
      filesystems: [],
    })),
    boot: diagnoseBoot(openWith('raw', store), table, []),
    operatingSystem: guessSystems(table, []),
  })
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f\u202e]|[\ud800-\udbff](?![\udc00-\udfff])/)
})

test('small disks: too small for a GPT, and the smallest that has one', () => {
  for (const sectors of [1, 2, 3, 34, 66])
    assert.throws(() => gptDisk([], 128, 512, sectors * 512), { code: 'E_PARTITIONS_DO_NOT_FIT' }, String(sectors))
  const store = gptDisk([], 128, 512, 67 * 512)
  assert.deepEqual(summary(store), ['gpt', [], ['W_GPT_USABLE']])
  assert.deepEqual(summary(gptDisk([{ number: 1, firstLba: 34, lastLba: 34 }], 128, 512, 68 * 512)), ['gpt', [1], []])
})

test('whatever bits are flipped, a whole copy is used, or none; and mending ends', () => {
  const random = new Random(20261123, 3)
  const sound = gptDisk()
  const wanted = tableOf(sound).partitions
  for (let round = 0; round < 300; round++) {
    const store = new MemoryStore(undefined, 'disk')
    const head = new Uint8Array(34 * 512)
    sound.read(0, head)
    const tail = new Uint8Array(33 * 512)
    sound.read(capacity - tail.length, tail)
    // One copy at most is damaged here, so that the other must be found.
    const damaged = random.chance(0.5) ? head : tail
    for (let flips = random.below(5); flips > 0; flips--) {
      const place =
        damaged === head
          ? 512 + random.below(random.chance(0.5) ? 92 : 3000)
          : random.chance(0.5)
            ? tail.length - 512 + random.below(92)
            : random.below(3000)
      damaged[place] = (damaged[place] ?? 0) ^ (1 << random.below(8))
    }
    store.write(0, head)
    store.write(capacity - tail.length, tail)
    assert.deepEqual(tableOf(store).partitions, wanted)
    for (const { position, bytes } of planMend(openWith('raw', store)).writes.flat()) store.write(position, bytes)
    assert.deepEqual(summary(store), ['gpt', [1, 2], []])
  }
  // And with sound checksums over anything: only errors of ours, and no endless work.
  for (let round = 0; round < 150; round++) {
    const store = gptDisk()
    sealHeader(store, 1, (header) => {
      for (let flips = 1 + random.below(3); flips > 0; flips--) {
        const place = 24 + random.below(64)
        header.setUint8(place, random.chance(0.3) ? 0xff : header.getUint8(place) ^ (1 << random.below(8)))
      }
    })
    const image = openWith('raw', store)
    const table = readPartitionTable(image)
    for (const partition of table.partitions) attempt(() => openPartition(image, partition, 'disk'))
    attempt(() => planMend(image))
  }
})

function attempt(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    assert.ok(isImageError(error), String(error))
  }
}
