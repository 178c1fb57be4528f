import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { parallelsImage } from '../../fixtures/spec-writer/read-only.js'
import type { MemoryStore } from '../../src/block/memory-store.js'
import { parallels } from '../../src/formats/parallels/index.js'
import { diskLike, readAll } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { openContext } from '../support/drivers.js'
import { ImageBytes } from '../support/image-bytes.js'

const cluster = 65536
const capacity = 6 * cluster
/** Clusters 0, 1, 2 and 4 are stored, in descending order: at clusters 4, 3, 2 and 1 of the file. */
const content = Buffer.alloc(capacity)
for (const index of [0, 1, 2, 4]) content.set(diskLike(cluster, index + 1), index * cluster)

class Bytes extends ImageBytes {
  constructor(isNew: boolean) {
    super(parallelsImage(content, cluster / 512, isNew))
  }
  entry(index: number, value: number): this {
    return this.u32(64 + index * 4, value)
  }
  override store(): MemoryStore {
    return super.store('damaged.hds')
  }
}

type Change = (file: Bytes) => Bytes
const found = (what: string, answer: readonly string[], change: Change, isNew = false): Damaged => ({
  what: `${isNew ? 'new' : 'old'}: ${what}`,
  make: () => change(new Bytes(isNew)).store(),
  answer,
})
const refused = (what: string, code: string, change: Change, isNew = false): Damaged => ({
  what: `${isNew ? 'new' : 'old'}: ${what}`,
  make: () => change(new Bytes(isNew)).store(),
  answer: `refused ${code}`,
})

/** A format extension of one cluster with one feature, behind everything. */
function extension(magic: bigint, flags: bigint, spoil = false): Change {
  return (file) => {
    const bytes = Buffer.alloc(cluster)
    bytes.writeBigUInt64LE(0xab234cef23dcea87n, 0)
    bytes.writeBigUInt64LE(magic, 24)
    bytes.writeBigUInt64LE(flags, 32)
    bytes.writeUInt32LE(16, 40)
    createHash('md5').update(bytes.subarray(24)).digest().copy(bytes, 8)
    if (spoil) bytes.writeUInt8(1, 1000)
    return file.u64(56, BigInt(file.bytes.length / 512)).add(bytes)
  }
}

const images: readonly Damaged[] = [
  found('sound', [], (file) => file),
  found('sound', [], (file) => file, true),
  refused('64 bytes', 'E_TRUNCATED', (file) => file.cut(64)),
  refused('63 bytes', 'E_TRUNCATED', (file) => file.cut(63)),
  refused('another mark', 'E_HEADER', (file) => file.text(0, 'x')),
  refused('version 1', 'E_VERSION', (file) => file.u32(16, 1)),
  refused('version 3', 'E_VERSION', (file) => file.u32(16, 3)),
  found('a geometry of rubbish', [], (file) => file.u32(20, 0xffffffff).u32(24, 0xffffffff)),
  refused('a cluster of no sectors', 'E_HEADER', (file) => file.u32(28, 0)),
  refused('a cluster of 2^31 sectors', 'E_HEADER', (file) => file.u32(28, 2 ** 31)),
  refused('a cluster of 2^32-1 sectors', 'E_HEADER', (file) => file.u32(28, 0xffffffff)),
  refused('a cluster of one sector', 'E_HEADER', (file) => file.u32(28, 1)),
  refused('no entries', 'E_HEADER', (file) => file.u32(32, 0)),
  refused('too few entries', 'E_HEADER', (file) => file.u32(32, 5)),
  refused('2^31 entries', 'E_TRUNCATED', (file) => file.u32(32, 2 ** 31)),
  refused('2^32-1 entries', 'E_TRUNCATED', (file) => file.u32(32, 0xffffffff), true),
  found('more entries than are needed', [], (file) => file.u32(32, 7)),
  found('rubbish in the upper half of the size', [], (file) => file.u32(40, 0xffffffff)),
  refused('a disk of 2^64-1 sectors', 'E_TOO_LARGE', (file) => file.u64(36, 2n ** 64n - 1n), true),
  refused('a disk of 2^40 sectors', 'E_HEADER', (file) => file.u64(36, 2n ** 40n), true),
  found('an empty disk', [], (file) => file.u64(36, 0n)),
  found('a disk that ends in a cluster', [], (file) => file.u64(36, BigInt(5 * 128 + 3))),
  found('not closed', ['W_DIRTY'], (file) => file.u32(44, 0x746f6e59)),
  found('an unknown state', [], (file) => file.u32(44, 5)),
  found('no data offset', [], (file) => file.u32(48, 0)),
  refused('data inside the table', 'E_HEADER', (file) => file.u32(48, 0).u32(32, 6).u32(48, 0).u32(32, 200).u32(48, 1)),
  found('data offset past the end', ['E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP'], (file) =>
    file.u32(48, 0xffffffff),
  ),
  found('an entry that leads to the header', ['E_OVERLAP'], (file) => file.entry(3, 1).u32(48, 0).u32(32, 300), false),
  found('an entry that leads to the table', ['E_OVERLAP'], (file) => file.entry(3, 1)),
  found('an entry past the end', ['E_TRUNCATED'], (file) => file.entry(3, 128 * 6)),
  found('an entry past the end', ['E_TRUNCATED'], (file) => file.entry(3, 6), true),
  found('an entry of 2^32-1', ['E_TRUNCATED'], (file) => file.entry(3, 0xffffffff)),
  found('an entry of 2^32-1', ['E_TRUNCATED'], (file) => file.entry(3, 0xffffffff), true),
  found('two entries with one cluster', ['E_OVERLAP'], (file) => file.entry(3, 128)),
  found('two entries with one cluster', ['E_OVERLAP'], (file) => file.entry(3, 1), true),
  found('two clusters that overlap by a sector', ['E_OVERLAP'], (file) => file.entry(3, 129)),
  found('all entries with one cluster', ['E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP', 'E_OVERLAP'], (file) => {
    for (let index = 0; index < 6; index++) file.entry(index, 128)
    return file
  }),
  found('cut off within the last cluster', ['E_TRUNCATED'], (file) => file.cut(5 * cluster - 1)),
  found('cut off before the last cluster', ['E_TRUNCATED'], (file) => file.cut(4 * cluster), true),
  found('cut off before all clusters', ['E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED', 'E_TRUNCATED'], (file) =>
    file.cut(cluster),
  ),
  found('rubbish behind the end', [], (file) => file.add(Buffer.alloc(1000, 0xdd))),
  found('a dirty bitmap', [], extension(0x20385fae252cb34an, 0n)),
  found('an unknown feature that need not be known', [], extension(7n, 0n), true),
  refused('an unknown feature that must be known', 'E_UNSUPPORTED_FEATURE', extension(7n, 1n), true),
  found('an extension with a wrong checksum', ['W_EXTENSION_DAMAGED'], extension(7n, 1n, true)),
  found('an extension past the end', ['W_EXTENSION_DAMAGED'], (file) => file.u64(56, 2n ** 40n)),
  refused('an extension beyond every file', 'E_TOO_LARGE', (file) => file.u64(56, 2n ** 64n - 1n)),
  found('an extension that is none', ['W_EXTENSION_DAMAGED'], (file) => file.u64(56, 128n)),
]

testDamaged(parallels, images)

test('parallels: damage is met when it is read, never zeros in its place', () => {
  for (const [code, change] of [
    ['E_TRUNCATED', (file: Bytes): Bytes => file.cut(5 * cluster - 1)],
    ['E_OVERLAP', (file: Bytes): Bytes => file.entry(3, 128)],
    ['E_TRUNCATED', (file: Bytes): Bytes => file.entry(3, 0xffffffff)],
  ] as const)
    assert.throws(() => readAll(parallels.open(change(new Bytes(false)).store(), openContext)), {
      code,
      kind: 'corrupt',
    })
  for (const isNew of [false, true])
    assert.ok(Buffer.from(readAll(parallels.open(new Bytes(isNew).store(), openContext))).equals(content))
})
