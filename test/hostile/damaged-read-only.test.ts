import assert from 'node:assert/strict'
import { test } from 'node:test'
import { androidSparseImage, bochsImage, cloopImage } from '../../fixtures/spec-writer/read-only.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { isImageError } from '../../src/errors.js'
import type { FormatDriver } from '../../src/formats/driver.js'
import { bochs } from '../../src/formats/bochs/index.js'
import { cloop } from '../../src/formats/cloop/index.js'
import { qed } from '../../src/formats/qed/index.js'
import { simg } from '../../src/formats/simg/index.js'
import { diskLike, readAll } from '../support/content.js'
import { findingsOf } from '../support/damaged.js'
import { openContext } from '../support/drivers.js'
import { ProcessorTime } from '../support/processor-time.js'

const cluster = 65536
const content = Buffer.alloc(6 * cluster)
for (const index of [0, 1, 2, 4]) content.set(diskLike(cluster, index + 1), index * cluster)

/** Header and L1 table in clusters 0 and 1, the L2 table in cluster 2, data in descending order behind them. */
function qedImage(): Buffer {
  const bytes = Buffer.alloc(3 * cluster)
  bytes.write('QED\0')
  for (const [at, value] of [
    [4, cluster],
    [8, 1],
    [12, 1],
    [40, cluster],
    [48, content.length],
  ] as const)
    bytes.writeUInt32LE(value, at)
  bytes.writeUInt32LE(2 * cluster, cluster)
  const data: Buffer[] = []
  for (const index of [4, 2, 1, 0]) {
    bytes.writeUInt32LE((3 + data.length) * cluster, 2 * cluster + index * 8)
    data.push(content.subarray(index * cluster, (index + 1) * cluster))
  }
  bytes.writeUInt32LE(1, 2 * cluster + 3 * 8)
  return Buffer.concat([bytes, ...data])
}

type Change = (bytes: Buffer) => Buffer
const u32 =
  (position: number, value: number): Change =>
  (bytes) => {
    bytes.writeUInt32LE(value, position)
    return bytes
  }
const big =
  (position: number, value: number): Change =>
  (bytes) => {
    bytes.writeUInt32BE(value, position)
    return bytes
  }
const cut =
  (length: number): Change =>
  (bytes) =>
    bytes.subarray(0, length < 0 ? bytes.length + length : length)

interface Kind {
  readonly driver: FormatDriver
  readonly make: () => Buffer
  /** A change, and the right answer: what opening is refused with, else what check finds and reading ends in. */
  readonly cases: readonly (readonly [what: string, change: Change, answer: string])[]
}

const kinds: readonly Kind[] = [
  {
    driver: qed,
    make: qedImage,
    cases: [
      ['a header cut off', cut(63), 'refused E_TRUNCATED'],
      ['a cluster of 2 KiB', u32(4, 2048), 'refused E_HEADER'],
      ['a cluster of 0', u32(4, 0), 'refused E_HEADER'],
      ['a table of 3 clusters', u32(8, 3), 'refused E_HEADER'],
      ['a header of no clusters', u32(12, 0), 'refused E_HEADER'],
      ['an unknown feature', u32(16, 8), 'refused E_UNSUPPORTED_FEATURE'],
      ['a name that is nowhere', u32(16, 1), 'refused E_HEADER'],
      ['an L1 table inside a cluster', u32(40, cluster + 512), 'refused E_HEADER'],
      ['an L1 table on the header', u32(40, 0), 'refused E_OVERLAP'],
      ['an L1 table past the end', u32(40, 90 * cluster), 'refused E_TRUNCATED'],
      ['a disk of 2^63 bytes', u32(52, 0x80000000), 'refused E_TOO_LARGE'],
      ['an L2 table past the end', u32(cluster, 90 * cluster), 'E_TRUNCATED'],
      ['an L2 table inside a cluster', u32(cluster, 2 * cluster + 8), 'E_MAP'],
      ['a cluster past the end', u32(2 * cluster, 90 * cluster), 'E_TRUNCATED'],
      ['a cluster at 2^63', u32(2 * cluster + 4, 0x80000000), 'E_TRUNCATED'],
      ['a cluster on the header', u32(2 * cluster, 512), 'E_MAP'],
      ['two entries with one cluster', u32(2 * cluster + 24, 3 * cluster), 'E_OVERLAP'],
      ['a cluster on the L1 table', u32(2 * cluster, cluster), 'E_OVERLAP'],
      ['a cluster on its own L2 table', u32(2 * cluster, 2 * cluster), 'E_OVERLAP'],
      ['an L2 table on the L1 table', u32(cluster, cluster), 'E_OVERLAP'],
      ['cut off in the last cluster', cut(-1), 'E_TRUNCATED'],
    ],
  },
  {
    driver: bochs,
    make: () => bochsImage(content, 2),
    cases: [
      ['a header cut off', cut(95), 'refused E_TRUNCATED'],
      ['version 3', u32(64, 0x30000), 'refused E_VERSION'],
      [
        'a volatile disk',
        (bytes) => Buffer.concat([bytes.subarray(0, 48), Buffer.from('Volatile'), bytes.subarray(56)]),
        'refused E_TYPE',
      ],
      ['2^31 entries', u32(72, 2 ** 31), 'refused E_HEADER'],
      ['an extent of 0 bytes', u32(80, 0), 'refused E_HEADER'],
      ['an extent of 2^31 bytes', u32(80, 2 ** 31), 'refused E_HEADER'],
      ['a bitmap that is too small', u32(76, 1), 'refused E_HEADER'],
      ['a disk larger than its catalog', u32(88, 7 * cluster), 'refused E_HEADER'],
      ['a catalog past the end', u32(68, 90 * cluster), 'refused E_TRUNCATED'],
      ['an extent past the end', u32(512, 90), 'E_TRUNCATED'],
      ['an extent at 2^32-2', u32(512, 0xfffffffe), 'E_TRUNCATED'],
      ['two entries with one extent', u32(512 + 12, 0), 'E_OVERLAP'],
      ['cut off in the last extent', cut(-4096), 'E_TRUNCATED'],
    ],
  },
  {
    driver: cloop,
    make: () => cloopImage(content),
    cases: [
      ['a header cut off', cut(130), 'refused E_TRUNCATED'],
      ['a block of no bytes', big(128, 0), 'refused E_HEADER'],
      ['a block of 100 bytes', big(128, 100), 'refused E_HEADER'],
      ['a block of 2^31 bytes', big(128, 2 ** 31), 'refused E_HEADER'],
      ['2^31 blocks', big(132, 2 ** 31), 'refused E_HEADER'],
      ['2^20 blocks', big(132, 2 ** 20), 'refused E_TRUNCATED'],
      ['a smaller block than is stored', big(128, 512), 'E_MAP'],
      ['a larger block than is stored', big(128, 131072), 'E_COMPRESSED'],
      ['an offset in the table', big(140, 10), 'E_MAP'],
      ['an offset past the end', big(140 + 5 * 8, 2 ** 31), 'E_MAP'],
      ['an offset of 2^63', big(136 + 5 * 8, 2 ** 31), 'E_MAP'],
      ['cut off in the last block', cut(-4), 'E_TRUNCATED'],
      [
        'a byte of a stream is another',
        (bytes) => (bytes.writeUInt8(bytes.readUInt8(1000) ^ 0xff, 1000), bytes),
        'E_COMPRESSED',
      ],
    ],
  },
  {
    driver: simg,
    make: () => androidSparseImage(content),
    cases: [
      ['a header cut off', cut(27), 'refused E_TRUNCATED'],
      ['version 2', u32(4, 2), 'refused E_VERSION'],
      ['a header of 20 bytes', u32(8, 20), 'refused E_HEADER'],
      ['a block of 0 bytes', u32(12, 0), 'refused E_HEADER'],
      ['a block of 6 bytes', u32(12, 6), 'refused E_HEADER'],
      ['other blocks than the chunks have', u32(16, 95), 'refused E_MAP'],
      ['2^32-1 chunks', u32(20, 0xffffffff), 'refused E_HEADER'],
      ['2^20 chunks', u32(20, 2 ** 20), 'refused E_TRUNCATED'],
      ['one chunk less', u32(20, 1), 'refused E_MAP'],
      ['one chunk more', u32(20, 40), 'refused E_TRUNCATED'],
      ['a chunk of an unknown type', u32(28, 0xcac9), 'refused E_TYPE'],
      ['a chunk with other bytes than blocks', u32(32, 1), 'refused E_MAP'],
      ['a chunk of no bytes', u32(36, 0), 'refused E_TRUNCATED'],
      ['a chunk past the end', u32(36, 2 ** 31), 'refused E_TRUNCATED'],
      ['cut off', cut(-1), 'refused E_TRUNCATED'],
      ['a wrong checksum', u32(24, 12345), 'E_CHECKSUM'],
    ],
  },
]

for (const { driver, make, cases } of kinds) {
  test(`${driver.id}: sound`, () => {
    const image = driver.open(new MemoryStore(make(), 'sound'), openContext)
    assert.ok(Buffer.from(readAll(image)).subarray(0, content.length).equals(content))
    assert.deepEqual(findingsOf(driver, new MemoryStore(make(), 'sound'), {}, true), [])
  })
  for (const [what, change, answer] of cases)
    test(`${driver.id}: ${what}`, () => {
      const store = (): MemoryStore => new MemoryStore(change(make()), 'damaged')
      const begun = new ProcessorTime()
      let found: string
      try {
        const codes = new Set(findingsOf(driver, store(), {}, true).map(({ code }) => code))
        found = codes.has(answer) ? answer : [...codes].join(' ')
        // The checksum of a whole disk is compared by check alone.
        if (answer !== 'E_CHECKSUM')
          assert.throws(() => readAll(driver.open(store(), openContext)), { code: answer, kind: 'corrupt' })
      } catch (error) {
        if (!isImageError(error)) throw error
        found = `refused ${error.code}`
      }
      assert.equal(found, answer)
      begun.atMost(2000)
    })
}
