import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  compressedPositionLimit,
  encodeAllocated,
  encodeCompressed,
  encodeSubclusters,
  encodeState,
  encodeZero,
  L1Entry,
  L2Entry,
  skipEmpty,
} from '../../../src/formats/qcow2/format/entries.js'
import { geometryOf, planRefcounts } from '../../../src/formats/qcow2/format/layout.js'
import { decodeRefcount, encodeRefcount } from '../../../src/formats/qcow2/format/refcount-entries.js'

function view(...words: bigint[]): DataView {
  const table = new DataView(new ArrayBuffer(words.length * 8))
  for (const [index, word] of words.entries()) table.setBigUint64(index * 8, word)
  return table
}

interface Rules {
  version?: number
  clusterBits?: number
  extended?: boolean
  dataFile?: boolean
}

function l2Entry({ version = 3, clusterBits = 16, extended = false, dataFile = false }: Rules = {}): L2Entry {
  return new L2Entry({ version, extendedL2: extended, dataFile, geometry: geometryOf(clusterBits, extended) })
}

/** What a reader makes of an entry. */
type Meaning =
  | { kind: 'absent' | 'zero' | 'invalid' | 'mixed' }
  | { kind: 'data'; position: number; reserved: boolean }
  | { kind: 'packed'; position: number; storedLength: number }

function meaning(entry: L2Entry): Meaning {
  const { kind, position, storedLength, reserved } = entry
  if (entry.fault !== undefined) return { kind: 'invalid' }
  if (kind === 'packed') return { kind, position, storedLength }
  if (entry.runEnd(0) < entry.units) return { kind: 'mixed' }
  const status = entry.status(0)
  return status === 'data' ? { kind: status, position, reserved } : { kind: status }
}

function decodeL2(table: DataView, rules: Rules = {}): Meaning {
  const entry = l2Entry(rules)
  entry.read(table, 0)
  return meaning(entry)
}

const copied = 1n << 63n

test('L1 entries: unallocated, a table, reserved bits, unaligned', () => {
  const entry = new L1Entry()
  assert.equal(entry.read(view(0n), 0), false)
  assert.equal(entry.isEmpty, true)
  // The flag alone leads nowhere: a reader passes over it, a check reports it.
  assert.equal(entry.read(view(copied), 0), true)
  assert.equal(entry.isEmpty, true)
  for (const [word, isCopied] of [
    [copied | 0x40000n, true],
    [0x40000n, false],
  ] as const) {
    assert.equal(entry.read(view(word), 0), true)
    assert.deepEqual([entry.position, entry.copied, entry.fault(65536)], [0x40000, isCopied, undefined])
  }
  entry.read(view(0x00ff_ffff_ffff_0000n), 0)
  assert.deepEqual([entry.position, entry.fault(65536)], [0x00ff_ffff_ffff_0000, undefined])
  for (const bit of [0, 1, 8, 9, 15, 56, 62]) {
    entry.read(view(copied | 0x40000n | (1n << BigInt(bit))), 0)
    assert.notEqual(entry.fault(65536), undefined, `bit ${bit}`)
  }
  assert.deepEqual([entry.next(view(0n, 0n, 1n, 0n), 0), entry.next(view(1n, 0n), 1)], [2, -1])
})

test('empty L1 entries are skipped, with or without the copied flag', () => {
  const table = view(0n, copied, 0n, 0x40000n, 0n)
  assert.equal(skipEmpty(table, 0, 5), 3)
  assert.equal(skipEmpty(table, 3, 5), 3)
  assert.equal(skipEmpty(table, 4, 5), 5)
})

test('standard L2 entries', () => {
  const decode = (word: bigint, rules: Rules = {}): Meaning => decodeL2(view(word), rules)
  assert.deepEqual(decode(0n), { kind: 'absent' })
  assert.deepEqual(decode(1n), { kind: 'zero' })
  assert.deepEqual(decode(copied | 0x50001n), { kind: 'zero' })
  assert.deepEqual(decode(copied | 0x50000n), { kind: 'data', position: 0x50000, reserved: false })
  assert.deepEqual(decode(0x50000n), { kind: 'data', position: 0x50000, reserved: false })
  assert.deepEqual(decode(copied | 0x50002n), { kind: 'data', position: 0x50000, reserved: true })
  assert.deepEqual(decode((1n << 61n) | 0x50000n), { kind: 'data', position: 0x50000, reserved: true })
  assert.equal(decode(copied | 0x50200n).kind, 'invalid')
  // Version 2 has no zero flag: reading it either way could be wrong.
  assert.equal(decode(1n, { version: 2 }).kind, 'invalid')
  // Position 0 is a place only in an external data file.
  assert.deepEqual(decode(copied), { kind: 'absent' })
  assert.deepEqual(decode(copied, { dataFile: true }), { kind: 'data', position: 0, reserved: false })
  assert.deepEqual(decode(0n, { dataFile: true }), { kind: 'absent' })
})

test('compressed descriptors: the examples of the specification, both ways', () => {
  for (const [clusterBits, position, length, word] of [
    [9, 0xa13, 19, 0x4000000000000a13n],
    [12, 0x5000, 4000, 0x5c00000000005000n],
    [16, 0x5009e, 79, 0x400000000005009en],
    [16, 0x501f0, 100, 0x40400000000501f0n],
    [21, 0x200000, 70000, 0x4110000000200000n],
  ] as const) {
    const table = view(0n)
    encodeCompressed(table, 0, position, length, clusterBits)
    assert.equal(table.getBigUint64(0), word)
    const mapping = decodeL2(table, { clusterBits })
    assert.ok(mapping.kind === 'packed')
    assert.equal(mapping.position, position)
    assert.equal(mapping.storedLength, (Math.floor((position + length - 1) / 512) + 1) * 512 - position)
  }
})

test('compressed descriptors: every cluster size, the longest stream, the highest position', () => {
  for (let clusterBits = 9; clusterBits <= 21; clusterBits++) {
    for (const position of [0x1000, 0x1001, 0x11ff, compressedPositionLimit(clusterBits) - 1]) {
      for (const length of [1, 511, 2 ** clusterBits - 1]) {
        const table = view(0n)
        encodeCompressed(table, 0, position, length, clusterBits)
        const mapping = decodeL2(table, { clusterBits })
        assert.ok(mapping.kind === 'packed' && mapping.position === position, `bits ${clusterBits}, ${position}`)
        assert.ok(mapping.storedLength >= length && mapping.storedLength < length + 512)
      }
    }
  }
  assert.equal(decodeL2(view(1n << 62n), { dataFile: true }).kind, 'invalid')
})

test('extended entries: the examples of the specification', () => {
  const decode = (word: bigint, bitmap: bigint): Meaning =>
    decodeL2(view(word, bitmap), { clusterBits: 17, extended: true })
  // 128 KiB clusters, 4 KiB written at 4 KiB, zeros at 8 KiB.
  const mixed = l2Entry({ clusterBits: 17, extended: true })
  mixed.read(view(0x80000000000a0000n, 0x0000000400000002n), 0)
  assert.equal(mixed.position, 0xa0000)
  assert.deepEqual(
    [0, 1, 2, 3].map((first) => [mixed.status(first), mixed.runEnd(first)]),
    [
      ['absent', 1],
      ['data', 2],
      ['zero', 3],
      ['absent', 32],
    ],
  )
  assert.deepEqual(decode(0n, 0xffffffff00000000n), { kind: 'zero' })
  assert.deepEqual(decode(0n, 0n), { kind: 'absent' })
  assert.deepEqual(decode(0x80000000000a0000n, 0n), { kind: 'absent' })
  assert.deepEqual(decode(0x80000000000a0000n, 0x00000000ffffffffn), {
    kind: 'data',
    position: 0xa0000,
    reserved: false,
  })
  assert.equal(decode(0x80000000000a0000n, 0x0000000100000001n).kind, 'invalid', 'allocated and zero')
  assert.equal(decode(0n, 1n).kind, 'invalid', 'allocated without a cluster')
  assert.equal(decode(1n, 0n).kind, 'invalid', 'the zero flag')
  assert.equal(decode(1n << 62n, 1n).kind, 'invalid', 'compressed with subclusters')
  assert.equal(decode((1n << 62n) | 0x5001n, 0n).kind, 'packed', 'an odd position is no zero flag')
  const last = l2Entry({ clusterBits: 17, extended: true })
  last.read(view(0x80000000000a0000n, 0x7fffffff80000000n), 0)
  assert.deepEqual([last.status(31), last.runEnd(31), last.runEnd(0)], ['data', 32, 31])
})

test('what is read of an entry and written again is the same, of every kind that is not compressed', () => {
  for (const extended of [false, true]) {
    for (const word of [0n, 1n, copied | 0x50000n, 0x50000n, copied | 0x50001n, (1n << 45n) | copied]) {
      if (extended && (word & 1n) === 1n) continue
      const entry = l2Entry({ extended })
      const from = view(word, extended ? 0x0000000400000002n : 0n)
      const to = view(0n, 0n)
      entry.read(from, 0)
      encodeState(to, 0, extended, entry.use())
      assert.deepEqual([to.getBigUint64(0), to.getBigUint64(8)], [from.getBigUint64(0), from.getBigUint64(8)])
    }
  }
})

test('entries that are written are those of the specification', () => {
  const table = view(0n, 0n)
  encodeAllocated(table, 0, 0x50000)
  assert.equal(table.getBigUint64(0), 0x8000000000050000n)
  encodeAllocated(table, 0, 2 ** 45)
  assert.equal(table.getBigUint64(0), copied | (1n << 45n))
  encodeZero(table, 0)
  assert.equal(table.getBigUint64(0), 1n)
  encodeSubclusters(table, 0, 'zero')
  assert.equal(table.getBigUint64(8), 0xffffffff00000000n)
  encodeSubclusters(table, 0, 'data')
  assert.equal(table.getBigUint64(8), 0x00000000ffffffffn)
})

test('refcounts of all widths: lowest bit first below a byte, big-endian above', () => {
  const bytes = (order: number): Uint8Array => {
    const block = new DataView(new ArrayBuffer(16))
    for (let index = 0; index < 4; index++) encodeRefcount(block, index, order, 1)
    return new Uint8Array(block.buffer)
  }
  assert.equal(bytes(0)[0], 0x0f)
  assert.equal(bytes(1)[0], 0x55)
  assert.deepEqual([...bytes(2).subarray(0, 2)], [0x11, 0x11])
  assert.deepEqual([...bytes(4).subarray(0, 4)], [0, 1, 0, 1])
  for (let order = 0; order <= 6; order++) {
    const block = new DataView(new ArrayBuffer(256))
    const highest = Math.min(2 ** (2 ** order) - 1, 0xfffff)
    for (let index = 0; index < 24; index++) encodeRefcount(block, index, order, highest)
    encodeRefcount(block, 5, order, 0)
    assert.deepEqual(
      [4, 5, 6].map((index) => decodeRefcount(block, index, order)),
      [highest, 0, highest],
    )
  }
})

test('the refcount structures count themselves', () => {
  for (const clusterSize of [512, 4096, 65536]) {
    for (const bits of [1, 16, 64]) {
      const entriesPerBlock = (clusterSize * 8) / bits
      for (const used of [
        2,
        entriesPerBlock - 2,
        entriesPerBlock - 1,
        entriesPerBlock,
        10 * entriesPerBlock - 1,
        65 * entriesPerBlock,
      ]) {
        const { blocks, tableClusters, totalClusters } = planRefcounts(used, 0, clusterSize, entriesPerBlock)
        assert.equal(totalClusters, used + blocks + tableClusters)
        assert.ok(blocks * entriesPerBlock >= totalClusters && (blocks - 1) * entriesPerBlock < totalClusters)
        assert.ok(tableClusters * clusterSize >= blocks * 8)
      }
    }
  }
})

test('a run of entries ends where one leads elsewhere, has other flags, or the table ends', () => {
  const copied = 1n << 63n
  const cluster = 65536n
  const table = view(
    ...[0n, 1n, 2n].map((index) => copied | ((0xffffn + index) * cluster)),
    // Right behind, and one flag less.
    0x10002n * cluster,
    0x10003n * cluster,
    (0x10004n * cluster) | 1n,
    0n,
    copied | (0x10006n * cluster),
  )
  const entry = new L2Entry({
    version: 3,
    extendedL2: false,
    dataFile: false,
    geometry: { ...geometryOf(16, false), entriesPerTable: 8 },
  })
  const runs = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => {
    entry.read(table, index)
    return entry.run(table, index, 65536)
  })
  assert.deepEqual(runs, [3, 2, 1, 2, 1, 1, 1, 1])
})
