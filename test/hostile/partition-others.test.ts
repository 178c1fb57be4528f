import assert from 'node:assert/strict'
import { test } from 'node:test'
import { xorOfWords } from '../../src/binary/checksum.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { Random } from '../fuzz/random.js'
import { bootRecord, gptDisk, mbrDisk, summary, tableOf } from '../support/table-bytes.js'

interface Apm {
  readonly blockSize?: number
  readonly step?: number
  readonly signature?: string
  readonly count?: number
  readonly entries?: readonly (readonly [type: string, start: number, blocks: number, signature?: string])[]
}

const usual: NonNullable<Apm['entries']> = [
  ['Apple_partition_map', 1, 63],
  ['Apple_Free', 64, 100],
  ['Apple_HFS', 164, 200],
]

function apmDisk(
  { blockSize = 512, step = 512, signature = 'ER', count, entries = usual }: Apm,
  size = 1048576,
): MemoryStore {
  const store = new MemoryStore(undefined, 'disk')
  const head = Buffer.alloc(512)
  head.write(signature, 'latin1')
  head.writeUInt16BE(blockSize, 2)
  store.write(0, head)
  for (const [index, [type, start, blocks, mark = 'PM']] of entries.entries()) {
    const entry = Buffer.alloc(512)
    entry.write(mark, 0, 'latin1')
    entry.writeUInt32BE(count ?? entries.length, 4)
    entry.writeUInt32BE(start, 8)
    entry.writeUInt32BE(blocks, 12)
    entry.write('name', 16, 'latin1')
    entry.write(type, 48, 'latin1')
    store.write((index + 1) * step, entry)
  }
  store.truncate(size)
  return store
}

test('Apple maps: sizes of blocks, counts, missing entries, and what stands beside them', () => {
  assert.deepEqual(summary(apmDisk({})), ['apm', [1, 3], []])
  assert.deepEqual(
    tableOf(apmDisk({})).partitions.map(({ start, length, type, label }) => [start, length, type.id, label]),
    [
      [512, 63 * 512, 'Apple_partition_map', 'name'],
      [164 * 512, 200 * 512, 'Apple_HFS', 'name'],
    ],
  )
  assert.deepEqual(
    tableOf(
      apmDisk({
        blockSize: 2048,
        step: 2048,
        entries: [
          ['Apple_partition_map', 1, 15],
          ['Apple_HFS', 16, 20],
        ],
      }),
    ).partitions.map(({ start, length }) => [start, length]),
    [
      [2048, 15 * 2048],
      [16 * 2048, 20 * 2048],
    ],
  )
  assert.deepEqual(summary(apmDisk({ blockSize: 2048, step: 512 })), ['apm', [1, 3], []])
  assert.deepEqual(summary(apmDisk({ blockSize: 0 })), ['apm', [1, 3], []])
  assert.deepEqual(summary(apmDisk({ signature: '\0\0' })), ['apm', [1, 3], []])
  assert.deepEqual(summary(apmDisk({ signature: '\0\0', entries: [['Apple_HFS', 1, 5]] }))[0], 'none')
  assert.deepEqual(summary(apmDisk({ count: 0xffffffff })), ['apm', [1, 3], ['E_APM', 'E_APM']])
  assert.deepEqual(summary(apmDisk({ count: 0 })), ['apm', [], []])
  assert.deepEqual(summary(apmDisk({ count: 9 })), ['apm', [1, 3], ['E_APM']])
  assert.deepEqual(
    summary(
      apmDisk({
        entries: [
          ['Apple_partition_map', 1, 63],
          ['Apple_HFS', 164, 200, 'TS'],
        ],
      }),
    ),
    ['apm', [1], ['E_APM']],
  )
  assert.deepEqual(
    summary(
      apmDisk({
        entries: [
          ['Apple_partition_map', 1, 63],
          ['Apple_HFS', 0xffffffff, 0xffffffff],
        ],
      }),
    ),
    ['apm', [1, 2], ['W_PART_PAST_END']],
  )
  assert.deepEqual(
    summary(
      apmDisk({
        entries: [
          ['Apple_partition_map', 1, 63],
          ['Apple_HFS', 30, 100],
        ],
      }),
    ),
    ['apm', [1, 2], ['W_OVERLAP']],
  )
  assert.deepEqual(summary(apmDisk({}, 2048)), ['apm', [1, 3], ['W_PART_PAST_END', 'W_PART_PAST_END']])
  assert.deepEqual(summary(apmDisk({}, 1000))[0], 'none')
  // The other byte order is no map.
  assert.deepEqual(summary(apmDisk({ entries: [['Apple_partition_map', 1, 63, 'MP']] }))[0], 'none')
  // Beside an MBR in the same block, and below a GPT.
  const both = apmDisk({})
  const record = bootRecord([0x83, 400, 10])
  both.write(446, record.subarray(446))
  assert.deepEqual(tableOf(both).also, ['mbr'])
  const gpt = gptDisk()
  gpt.write(0, Buffer.from('ER'))
  assert.equal(tableOf(gpt).scheme, 'gpt')
})

interface Bsd {
  readonly at?: number
  readonly sectorSize?: number
  readonly count?: number
  readonly entries?: readonly (readonly [size: number, offset: number, type: number])[]
  readonly magic2?: number
  readonly broken?: boolean
}

function bsdLabel({
  at = 512,
  sectorSize = 512,
  count,
  entries = [
    [100, 16, 7],
    [50, 200, 1],
    [2000, 0, 7],
  ],
  magic2 = 0x82564557,
  broken = false,
}: Bsd): Buffer {
  const bytes = Buffer.alloc(1536)
  bytes.writeUInt32LE(0x82564557, at)
  bytes.writeUInt32LE(sectorSize, at + 40)
  bytes.writeUInt32LE(magic2, at + 132)
  bytes.writeUInt16LE(count ?? entries.length, at + 138)
  for (const [index, [size, offset, type]] of entries.entries()) {
    bytes.writeUInt32LE(size >>> 0, at + 148 + index * 16)
    bytes.writeUInt32LE(offset >>> 0, at + 148 + index * 16 + 4)
    bytes[at + 148 + index * 16 + 12] = type
  }
  const end = at + 148 + Math.min(22, count ?? entries.length) * 16
  bytes.writeUInt16LE(xorOfWords(bytes.subarray(at, end)), at + 136)
  if (broken) bytes[at + 20] = 1
  return bytes
}

function bsdDisk(label: Bsd, at = 0): MemoryStore {
  const store = new MemoryStore(undefined, 'disk')
  store.write(at, bsdLabel(label))
  store.truncate(1048576)
  return store
}

test('BSD labels: their places, counts, checksums and sectors', () => {
  // `c` is the whole disk, and no partition of it.
  assert.deepEqual(summary(bsdDisk({})), ['bsd', [1, 2], []])
  assert.deepEqual(
    tableOf(bsdDisk({})).partitions.map(({ label, start, length, type }) => [label, start, length, type.name]),
    [
      ['a', 8192, 51200, '4.2BSD'],
      ['b', 102400, 25600, 'swap'],
    ],
  )
  assert.deepEqual(summary(bsdDisk({ at: 64 })), ['bsd', [1, 2], []])
  assert.deepEqual(summary(bsdDisk({ broken: true })), ['bsd', [1, 2], ['W_BSD_CHECKSUM']])
  assert.deepEqual(summary(bsdDisk({ magic2: 1 })), ['none', [], []])
  assert.deepEqual(summary(bsdDisk({ count: 0 })), ['bsd', [], []])
  assert.deepEqual(summary(bsdDisk({ count: 65535 })), ['bsd', [1, 2], ['W_BSD_COUNT']])
  assert.deepEqual(
    summary(bsdDisk({ entries: Array.from({ length: 22 }, (_, index) => [1, index * 4, 7]) }))[1].length,
    21,
  )
  assert.deepEqual(tableOf(bsdDisk({ sectorSize: 2048 })).partitions[0]!.start, 16 * 2048)
  assert.deepEqual(tableOf(bsdDisk({ sectorSize: 0xffff })).partitions[0]!.start, 16 * 512)
  assert.deepEqual(summary(bsdDisk({ entries: [[0xffffffff, 0xffffffff, 7]] })), ['bsd', [1], ['W_PART_PAST_END']])
  // In a slice of an MBR, and beside a GPT.
  const slice = mbrDisk({ 0: bootRecord([0xa5, 2048, 4096], [0x83, 8192, 100]) })
  slice.write(2048 * 512, bsdLabel({}))
  assert.deepEqual(summary(slice), ['mbr', [1, 2], ['W_NESTED_TABLE']])
  const gpt = gptDisk()
  gpt.write(64, bsdLabel({ at: 0, entries: [] }).subarray(0, 148))
  assert.equal(tableOf(gpt).scheme, 'gpt')
})

test('noise and patterns are no tables', () => {
  const random = new Random(20261123, 4)
  let odd = 0
  for (let round = 0; round < 300; round++) {
    const store = new MemoryStore(undefined, 'disk')
    const bytes = new Uint8Array(20480)
    for (let at = 0; at < bytes.length; at++) bytes[at] = random.below(256)
    if (round % 3 === 0) bytes.set([0x55, 0xaa], 510)
    if (round === 1) bytes.fill(0xff)
    if (round === 2) bytes.fill(0)
    store.write(0, bytes)
    const [scheme, partitions] = summary(store)
    assert.deepEqual([scheme, partitions], ['none', []], String(round))
    odd += Number(tableOf(store).issues.some(({ code }) => code === 'W_MBR_ODD'))
  }
  assert.equal(odd, 100)
})
