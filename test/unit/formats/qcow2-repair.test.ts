import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { qcow2 } from '../../../src/formats/qcow2/index.js'
import { readHeader } from '../../../src/formats/qcow2/format/header.js'
import { readSnapshots } from '../../../src/formats/qcow2/format/snapshots.js'
import { checkQcow2 } from '../../../src/formats/qcow2/judge/check.js'
import { repairQcow2 } from '../../../src/formats/qcow2/judge/repair.js'
import type { WorkProgress } from '../../../src/block/work.js'
import type { Finding } from '../../../src/formats/driver.js'
import { diskLike, readAll } from '../../support/content.js'
import { findingsOf } from '../../support/damaged.js'
import { openWith } from '../../support/drivers.js'
import { CutStore, randomOf } from '../../support/power-cut.js'
import { HandImage, type FileBytes } from '../../support/qcow2-bytes.js'
import { damageAtRandom } from '../../support/qcow2-places.js'
import { bitmapImage, counted, refcount, snapshotImage, soundImage } from '../../support/qcow2-sound.js'
import { testRepairs, type Repair } from '../../support/repairs.js'

const cluster = 4096
const copied = 1n << 63n
const at = (host: number): bigint => BigInt(host * cluster)
const changed = (change: (file: HandImage) => FileBytes) => (): MemoryStore => change(soundImage()).store()

const repairs: readonly Repair[] = [
  { what: 'nothing to do', make: changed((file) => file), mends: [] },
  {
    what: 'a cluster that nothing uses',
    make: () => counted(soundImage().pad(9 * cluster)).store(),
    mends: ['L_REFCOUNT'],
  },
  {
    what: 'two entries with one cluster',
    make: changed((file) => file.map(2, copied | at(6))),
    mends: ['E_REFCOUNT', 'L_REFCOUNT', 'E_COPIED'],
  },
  { what: 'flags', make: changed((file) => file.map(0, at(5)).map(1, at(6)).u64(file.l1, at(4))), mends: ['E_COPIED'] },
  {
    what: 'a compressed cluster with the flag',
    make: changed((file) => file.map(2, copied | (1n << 62n) | at(7))),
    mends: ['E_COPIED'],
    left: ['E_COMPRESSED'],
  },
  {
    what: 'every refcount zero, dirty and marked corrupt',
    make: changed((file) => file.put(2 * cluster, Buffer.alloc(cluster)).u64(72, 3)),
    mends: ['E_REFCOUNT', 'W_DIRTY', 'W_CORRUPT'],
  },
  { what: 'dirty, and nothing wrong', make: changed((file) => file.u64(72, 1)), mends: ['W_DIRTY'] },
  {
    what: 'marked corrupt, and an error that cannot be mended',
    make: changed((file) => file.map(2, copied | at(90)).u64(72, 3)),
    mends: ['E_COPIED', 'W_DIRTY'],
    left: ['E_TRUNCATED', 'L_REFCOUNT', 'W_CORRUPT'],
  },
  { what: 'an empty refcount table', make: changed((file) => file.u64(cluster, 0)), mends: ['E_REFCOUNT_TABLE'] },
  {
    what: 'a refcount table entry past the end',
    make: changed((file) => file.u64(cluster, at(900))),
    mends: ['E_REFCOUNT_TABLE'],
  },
  {
    what: 'a refcount table entry that begins no cluster',
    make: changed((file) => file.u64(cluster, at(2) + 512n)),
    mends: ['E_REFCOUNT_TABLE'],
  },
  {
    what: 'a refcount table that is nowhere',
    make: changed((file) => file.u64(48, 2 ** 40)),
    mends: ['E_REFCOUNT_TABLE'],
    content: readAll(openWith('qcow2', soundImage().store())),
  },
  {
    what: 'a refcount table of 2^31 clusters, version 2',
    make: () =>
      soundImage({ version: 2 })
        .u32(56, 2 ** 31)
        .store(),
    mends: ['E_REFCOUNT_TABLE'],
    content: readAll(openWith('qcow2', soundImage().store())),
  },
  {
    what: 'data upon the refcount block',
    make: changed((file) => file.map(2, copied | at(2))),
    mends: ['E_REFCOUNT_TABLE'],
  },
  {
    what: 'data upon the L1 table',
    make: changed((file) => file.map(2, copied | at(3))),
    mends: ['E_REFCOUNT', 'L_REFCOUNT', 'E_COPIED'],
    left: ['E_OVERLAP'],
  },
  {
    what: 'data upon its own L2 table: nothing is written there',
    make: changed((file) => file.map(2, copied | at(4))),
    mends: ['E_REFCOUNT', 'L_REFCOUNT', 'E_COPIED'],
    left: ['E_COPIED', 'E_OVERLAP'],
  },
  {
    what: 'refcounts of one bit that need two',
    make: () =>
      soundImage()
        .u32(96, 0)
        .put(2 * cluster, Buffer.alloc(cluster))
        .put(2 * cluster, Uint8Array.of(0x7f))
        .u64(4 * cluster + 16, copied | at(6))
        .store(),
    mends: ['E_REFCOUNT_TABLE', 'E_COPIED'],
  },
  {
    what: 'reserved bits',
    make: changed((file) => file.map(2, copied | (1n << 60n) | at(7))),
    mends: ['E_RESERVED_BITS'],
  },
  {
    what: 'a zero cluster in the middle of one',
    make: changed((file) => file.map(2, copied | (at(7) + 512n) | 1n)),
    mends: ['E_L2_ENTRY', 'L_REFCOUNT'],
  },
  {
    what: 'an entry that leads nowhere: what it may have meant is kept',
    make: changed((file) => file.map(2, at(90))),
    mends: [],
    left: ['E_TRUNCATED', 'L_REFCOUNT'],
  },
  {
    what: 'the same, while the refcounts are made anew',
    make: changed((file) => file.map(2, at(90)).u64(cluster + 8, at(2) | 1n)),
    mends: ['E_REFCOUNT_TABLE'],
    left: ['E_TRUNCATED', 'L_REFCOUNT'],
  },
  { what: 'stale bitmaps', make: () => bitmapImage(false).store(), mends: ['W_BITMAPS_STALE', 'L_REFCOUNT'] },
  {
    what: 'damaged bitmaps',
    make: () => bitmapImage(true, { count: 3 }).store(),
    mends: ['E_BITMAPS', 'E_BITMAPS', 'L_REFCOUNT'],
  },
  {
    what: 'autoclear features of nothing',
    make: changed((file) => file.u64(88, 3)),
    mends: ['W_RAW_DATA_FILE', 'W_BITMAPS'],
  },
  {
    what: 'an unknown autoclear feature, and nothing to do',
    make: changed((file) => file.u64(88, 1n << 40n)),
    mends: [],
  },
  {
    what: 'an unknown autoclear feature, and a leak',
    make: () =>
      counted(
        soundImage()
          .u64(88, 1n << 40n)
          .pad(9 * cluster),
      ).store(),
    mends: ['W_AUTOCLEAR', 'L_REFCOUNT'],
  },
  {
    what: 'a snapshot whose clusters are counted once',
    make: () => counted(snapshotImage()).store(),
    mends: ['E_REFCOUNT'],
  },
  {
    what: 'a snapshot that is nowhere',
    make: () =>
      snapshotImage()
        .u64(8 * cluster, 90 * cluster)
        .store(),
    mends: ['E_TRUNCATED', 'L_REFCOUNT', 'E_COPIED'],
  },
  {
    what: 'version 2',
    make: () => refcount(refcount(soundImage({ version: 2 }), 5, 0), 6, 9).store(),
    mends: ['E_REFCOUNT', 'L_REFCOUNT'],
  },
]

testRepairs(qcow2, repairs)

/** Images with more clusters than a small budget counts at once. */
function manyClusters(): Buffer {
  const clusters = 140_000
  const file = new HandImage({ clusterBits: 9, size: 60 * 512 })
  const bytes = Buffer.concat([file.bytes(), Buffer.alloc(clusters * 512 - file.size)])
  // Refcount blocks of 256 clusters each from cluster 10 on, their table at cluster 700.
  const blocks = Math.ceil(clusters / 256)
  bytes.writeBigUInt64BE(700n * 512n, 48)
  bytes.writeUInt32BE(Math.ceil(blocks / 64), 56)
  for (let index = 0; index < blocks; index++) bytes.writeBigUInt64BE(BigInt((10 + index) * 512), 700 * 512 + index * 8)
  const count = (host: number): void =>
    void bytes.writeUInt16BE(1, (10 + Math.floor(host / 256)) * 512 + (host % 256) * 2)
  for (const host of [0, 3, 4, 900]) count(host)
  for (let index = 0; index < blocks; index++) count(10 + index)
  for (let index = 0; index < Math.ceil(blocks / 64); index++) count(700 + index)
  for (let guest = 0; guest < 60; guest++) {
    const host = 1000 + guest * 2317
    bytes.writeBigUInt64BE(copied | BigInt(host * 512), 4 * 512 + guest * 8)
    bytes.fill(guest + 1, host * 512, (host + 1) * 512)
    count(host)
  }
  return bytes
}

const small = 3 * 65536

function check(bytes: Uint8Array, budget?: number): { findings: Finding[]; progress: WorkProgress[] } {
  const store = new MemoryStore(bytes)
  const header = readHeader(store)
  const items = [...checkQcow2({ store, header, snapshots: readSnapshots(store, header), data: store }, true, budget)]
  return {
    findings: items.filter((item) => 'severity' in item),
    progress: items.flatMap((item) => ('severity' in item ? [] : [item])),
  }
}

test('qcow2 check in rounds finds the same as in one, and its progress only goes up', () => {
  for (let seed = 0; seed < 4; seed++) {
    const bytes = manyClusters()
    if (seed > 0) damageAtRandom(bytes, seed * 31)
    bytes.writeUInt16BE(seed + 1, (10 + 500) * 512)
    const sorted = ({ findings }: { findings: Finding[] }): string[] =>
      findings.map(({ code, structure }) => `${code} ${structure}`).sort()
    const rounds = check(bytes, small)
    assert.deepEqual(sorted(rounds), sorted(check(bytes)))
    assert.ok(sorted(rounds).length >= 1)
    for (const [index, { done, total }] of rounds.progress.entries())
      assert.ok(done <= total && done >= (rounds.progress[index - 1]?.done ?? 0))
  }
})

test('qcow2 repair in rounds, in place and anew', () => {
  for (const rebuild of [false, true]) {
    const bytes = manyClusters()
    const content = readAll(openWith('qcow2', new MemoryStore(bytes)))
    damageAtRandom(bytes, 5)
    for (let index = 0; index < 40; index++) bytes.writeUInt16BE(index % 3, (10 + index * 13) * 512 + 20)
    if (rebuild) bytes.fill(0, 700 * 512, 700 * 512 + 800)
    const store = new MemoryStore(bytes)
    const before = readAll(openWith('qcow2', new MemoryStore(bytes)))
    assert.ok([...repairQcow2(store, small)].some((item) => 'code' in item))
    assert.deepEqual(findingsOf(qcow2, new MemoryStore(store.contents())), [])
    assert.equal(Buffer.compare(readAll(openWith('qcow2', store)), before), 0)
    assert.equal(content.length, before.length)
  }
})

test('qcow2 repair: a power cut anywhere leaves the content, and an image that can be repaired', () => {
  const random = randomOf(99)
  const kinds: (() => MemoryStore)[] = repairs
    .filter(({ mends, content }) => mends.length > 0 && content === undefined)
    .map(({ make }) => make)
  for (const make of kinds) {
    const damaged = make().contents()
    const expected = read(damaged)
    const errors = errorsOf(damaged)
    const store = new CutStore(damaged)
    const cuts: MemoryStore[] = []
    store.onChange = () => {
      cuts.push(store.cut(random))
    }
    assert.ok([...repairQcow2(store)].length > 0)
    for (const cut of cuts) {
      const bytes = cut.contents()
      assert.ok(holds(bytes, expected))
      assert.ok(errorsOf(bytes) <= errors, 'there are more errors than before')
      const again = new MemoryStore(bytes)
      assert.ok([...repairQcow2(again)].length > 0)
      assert.deepEqual(codes(new MemoryStore(again.contents())), codes(new MemoryStore(store.contents())))
      assert.ok(holds(again.contents(), expected))
    }
  }
})

/**
 * A flag that says "one" of a cluster with two owners is as dangerous before the refcount says "two" as it is after.
 */
function errorsOf(bytes: Uint8Array): number {
  return findingsOf(qcow2, new MemoryStore(bytes)).filter(
    ({ severity, code }) => severity === 'error' && code !== 'E_COPIED',
  ).length
}

function codes(store: MemoryStore): string[] {
  return findingsOf(qcow2, store, {}, true)
    .map(({ code, severity }) => (severity === 'leak' ? '' : code))
    .filter((code) => code !== '')
    .sort()
}

/** Whether everything that could be read is as it was. */
function holds(bytes: Uint8Array, expected: readonly (Buffer | string)[]): boolean {
  return read(bytes).every((piece, index) => {
    const before = expected[index]
    return typeof before === 'string' || (typeof piece !== 'string' && before?.equals(piece) === true)
  })
}

/** All that can be read of the disk, cluster by cluster. */
function read(bytes: Uint8Array): (Buffer | string)[] {
  using image = openWith('qcow2', new MemoryStore(bytes))
  return Array.from({ length: image.capacity / cluster }, (_, index) => {
    const target = Buffer.alloc(cluster)
    try {
      image.read(index * cluster, target)
      return target
    } catch (error) {
      return (error as { code: string }).code
    }
  })
}

test('the sample holds what it should', () => {
  assert.deepEqual(
    readAll(openWith('qcow2', soundImage().store())).subarray(cluster, 2 * cluster),
    diskLike(cluster, 2),
  )
})
