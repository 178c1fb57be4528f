import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noise } from '../../fixtures/content.js'
import { ntfscloneImage } from '../../fixtures/spec-writer/backups.js'
import type { MemoryStore } from '../../src/block/memory-store.js'
import { ntfsclone } from '../../src/formats/ntfsclone/index.js'
import { readAll } from '../support/content.js'
import { testDamaged, type Damaged } from '../support/damaged.js'
import { openContext } from '../support/drivers.js'
import { ImageBytes } from '../support/image-bytes.js'

const cluster = 4096
/** Clusters 0, 1, 10, 11 and 12 of 40 are stored, and the 512 bytes behind them. */
const content = Buffer.alloc(40 * cluster + 512)
for (const index of [0, 1, 10, 11, 12]) content.set(noise(index + 1, cluster), index * cluster)
content.set(noise(99, 512), 40 * cluster)
const data = 56
/** Where the commands stand: two clusters, a gap of 8, three clusters, a gap of 27, the last sector. */
const gap = data + 2 * (cluster + 1)
const third = gap + 9
const secondGap = third + 3 * (cluster + 1)
const last = secondGap + 9
const end = last + 1 + 512

class Bytes extends ImageBytes {
  constructor(bytes = ntfscloneImage(content)) {
    super(bytes)
  }
  override store(): MemoryStore {
    return super.store('damaged.ntfsclone')
  }
}

type Change = (file: Bytes) => Bytes
const found = (what: string, answer: readonly string[], change: Change): Damaged => ({
  what,
  make: () => change(new Bytes()).store(),
  answer,
})
const refused = (what: string, code: string, change: Change): Damaged => ({
  what,
  make: () => change(new Bytes()).store(),
  answer: `refused ${code}`,
})

const images: readonly Damaged[] = [
  found('sound', [], (file) => file),
  refused('49 bytes', 'E_TRUNCATED', (file) => file.cut(49)),
  refused('a header alone', 'E_TRUNCATED', (file) => file.cut(56)),
  refused('version 9', 'E_VERSION', (file) => file.u8(16, 9)),
  refused('version 11', 'E_VERSION', (file) => file.u8(16, 11)),
  found('version 10.9', [], (file) => file.u8(17, 9)),
  refused('clusters of no bytes', 'E_HEADER', (file) => file.u32(18, 0)),
  refused('clusters of 3000 bytes', 'E_HEADER', (file) => file.u32(18, 3000)),
  refused('clusters of 256 bytes', 'E_HEADER', (file) => file.u32(18, 256)),
  refused('clusters of 2^31 bytes', 'E_HEADER', (file) => file.u32(18, 2 ** 31)),
  found('clusters of 2048 bytes', ['E_MAP'], (file) => file.u32(18, 2048)),
  refused('clusters of 8192 bytes', 'E_HEADER', (file) => file.u32(18, 8192)),
  refused('a device smaller than its clusters', 'E_HEADER', (file) => file.u64(22, BigInt(40 * cluster - 1))),
  refused('a device of 2^64-1 bytes', 'E_TOO_LARGE', (file) => file.u64(22, 2n ** 64n - 1n)),
  found('a device without a last sector', ['E_TRAILING_DATA'], (file) => file.u64(22, BigInt(40 * cluster))),
  found('a larger device', ['E_TRUNCATED'], (file) => file.u64(22, BigInt(40 * cluster + 1024))),
  found('a device of 2^50 bytes', ['E_TRUNCATED'], (file) => file.u64(22, 2n ** 50n)),
  refused('no clusters', 'E_HEADER', (file) => file.u64(30, 0n)),
  refused('clusters of -1', 'E_TOO_LARGE', (file) => file.u64(30, 2n ** 64n - 1n)),
  refused('2^50 clusters', 'E_HEADER', (file) => file.u64(30, 2n ** 50n)),
  refused('one cluster more', 'E_HEADER', (file) => file.u64(30, 41n)),
  found('one cluster less', ['E_TRAILING_DATA'], (file) => file.u64(30, 11n)),
  refused('more in use than there are', 'E_HEADER', (file) => file.u64(38, 41n)),
  found('another count of clusters in use', ['W_USED_COUNT'], (file) => file.u64(38, 6n)),
  refused('data in the header', 'E_HEADER', (file) => file.u32(46, 49)),
  refused('data behind the end', 'E_TRUNCATED', (file) => file.u32(46, 0xffffffff)),
  found('data a byte further on', ['E_MAP'], (file) => file.u32(46, 57)),
  found('data a byte earlier', ['E_MAP'], (file) => file.u32(46, 55)),
  found('an unknown first command', ['E_MAP'], (file) => file.u8(data, 2)),
  found('an unknown command in the middle', ['E_MAP'], (file) => file.u8(third, 0xff)),
  found('an unknown last command', ['E_MAP'], (file) => file.u8(last, 7)),
  found('a gap in place of a cluster', ['E_MAP'], (file) => file.u8(third, 0)),
  found('a cluster in place of a gap', ['E_MAP'], (file) => file.u8(gap, 1)),
  found('a gap of nothing', ['E_MAP'], (file) => file.u64(gap + 1, 0n)),
  found('a gap of 2^64-1', ['E_MAP'], (file) => file.u64(gap + 1, 2n ** 64n - 1n)),
  found('a gap of 2^63', ['E_MAP'], (file) => file.u64(gap + 1, 2n ** 63n)),
  found('a gap of one more', ['E_TRAILING_DATA'], (file) => file.u64(gap + 1, 9n)),
  found('a gap of one less', ['E_TRUNCATED'], (file) => file.u64(gap + 1, 7n)),
  found('a gap up to the end', ['E_TRAILING_DATA'], (file) => file.u64(gap + 1, 39n)),
  found('a last gap that passes the end', ['E_MAP'], (file) => file.u64(secondGap + 1, 29n)),
  found('cut off within a cluster', ['E_TRUNCATED'], (file) => file.cut(data + 100)),
  found('cut off within a gap', ['E_TRUNCATED'], (file) => file.cut(gap + 4)),
  found('cut off before a gap', ['E_TRUNCATED'], (file) => file.cut(gap)),
  found('cut off within the last sector', ['E_TRUNCATED'], (file) => file.cut(end - 1)),
  found('without the last sector, as version 10.0', [], (file) => file.cut(last)),
  found('bytes behind the end', ['E_TRAILING_DATA'], (file) => file.add(9)),
]

testDamaged(ntfsclone, images)

test('ntfsclone: damage is met when it is read, never zeros in its place', () => {
  for (const [code, change] of [
    ['E_MAP', (file: Bytes): Bytes => file.u8(third, 0xff)],
    ['E_TRUNCATED', (file: Bytes): Bytes => file.cut(third + 5)],
    ['E_TRUNCATED', (file: Bytes): Bytes => file.cut(gap)],
    ['E_TRAILING_DATA', (file: Bytes): Bytes => file.u64(gap + 1, 9n)],
  ] as const) {
    const image = ntfsclone.open(change(new Bytes()).store(), openContext)
    const bytes = new Uint8Array(2 * cluster)
    image.read(0, bytes)
    assert.ok(Buffer.from(bytes).equals(content.subarray(0, 2 * cluster)))
    assert.throws(() => readAll(image), { code, kind: 'corrupt' })
  }
  assert.ok(Buffer.from(readAll(ntfsclone.open(new Bytes().store(), openContext))).equals(content))
})
