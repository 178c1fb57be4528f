import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { ByteStore } from '../../src/block/types.js'
import { isImageError } from '../../src/errors.js'
import {
  batEntry,
  dataWriteGuid,
  guids,
  headerBytes,
  imageBytes,
  logEntryBytes,
  logGuid,
  metadataBytes,
  mib,
  places,
  regionTableBytes,
  seal,
} from '../support/vhdx-bytes.js'
import { open } from '../support/vhdx-open.js'
import { ProcessorTime } from '../support/processor-time.js'

const { payload } = places

/** A child with everything in it: a dirty log, partial and full blocks, a sector bitmap. */
const hostileImage = (): Buffer =>
  imageBytes({
    capacity: BigInt(4 * mib),
    header: { logGuid },
    size: 8 * mib,
    locator: {
      entries: [
        ['parent_linkage', `{${dataWriteGuid}}`],
        ['relative_path', '.\\p.vhdx'],
      ],
    },
    bat: {
      0: batEntry(6, payload),
      1: batEntry(7, payload + mib),
      2: batEntry(2),
      4096: batEntry(6, payload + 2 * mib),
    },
    bytes: { [payload + 2 * mib + 256]: Buffer.alloc(16, 0x5a) },
    log: {
      0: logEntryBytes({
        sequence: 5n,
        tail: 0,
        changes: [
          { at: payload, data: Buffer.alloc(4096, 1) },
          { at: payload + 8192, zero: 8192 },
        ],
      }),
    },
  })

/**
 * Opens, describes, walks and reads a disk as far as a user could; any error must be an ImageError, and quick. Says
 * whether it opened.
 */
function survives(store: ByteStore, what: string): boolean {
  const start = new ProcessorTime()
  let opened = false
  try {
    const disk = open(store)
    opened = true
    disk.describe()
    const sector = Buffer.alloc(512)
    for (let offset = 0, steps = 0; offset < disk.capacity && steps < 200; steps++) {
      let length: number
      try {
        const extent = disk.extentAt(offset, disk.capacity)
        length = extent.length
        assert.ok(extent.offset === offset && length > 0 && offset + length <= disk.capacity, what)
        if (extent.kind === 'data')
          assert.ok(extent.position >= mib && extent.position + length <= extent.store.size, what)
        disk.read(offset, sector)
      } catch (error) {
        if (!isImageError(error)) throw error
        length = mib
      }
      offset += length
    }
  } catch (error) {
    assert.ok(isImageError(error), `${what}: ${error instanceof Error ? error.stack : String(error)}`)
    assert.notEqual(error.kind, 'internal', what)
    assert.match(error.message, /test\.vhdx/, what)
  }
  start.atMost(2000, what)
  return opened
}

/** Puts bytes over a store for one trial and takes them back. */
function withBytes(
  store: MemoryStore,
  changes: readonly (readonly [position: number, bytes: Uint8Array])[],
  act: () => void,
): void {
  const kept = changes.map(([position, bytes]) => {
    const before = Buffer.alloc(bytes.length)
    store.read(position, before)
    return [position, before] as const
  })
  for (const [position, bytes] of changes) store.write(position, bytes)
  act()
  for (const [position, bytes] of kept.reverse()) store.write(position, bytes)
}

/** Every aligned word of 4 and 8 bytes of a structure at its extremes, and every word of 2 bytes at all ones. */
function* extremes(structure: Buffer, from: number, to: number): Generator<[string, Buffer]> {
  for (let at = from; at < to; at += 2) {
    for (const length of [2, 4, 8]) {
      if (at + length > to || (length > 2 && at % 4 !== 0)) continue
      const half = Buffer.alloc(length)
      half[length - 1] = 0x80
      const one = Buffer.alloc(length)
      one[0] = 1
      for (const value of length === 2
        ? [Buffer.alloc(2, 0xff)]
        : [Buffer.alloc(length), Buffer.alloc(length, 0xff), half, one]) {
        const changed = Buffer.from(structure)
        value.copy(changed, at)
        yield [`byte ${at}: ${value.toString('hex')}`, changed]
      }
    }
  }
}

test('every word of every structure at its extremes, checksums made right again', () => {
  const bytes = hostileImage()
  const store = new MemoryStore(bytes, 'test.vhdx')
  assert.equal(survives(store, 'as it is'), true)
  const cut = (position: number, length: number): Buffer => Buffer.from(bytes.subarray(position, position + length))
  const structures: [string, number[], Buffer, number, number, boolean][] = [
    ['header', [65536, 131072], cut(131072, 4096), 0, 88, true],
    ['region table', [196608, 262144], cut(196608, 65536), 0, 88, true],
    ['metadata table', [places.metadata], cut(places.metadata, 256), 0, 232, false],
    ['metadata items', [places.metadata + 65536], cut(places.metadata + 65536, 120), 0, 120, false],
    ['table', [places.bat], cut(places.bat, 24), 0, 24, false],
    ['table, sector bitmap', [places.bat + 4096 * 8], cut(places.bat + 4096 * 8, 8), 0, 8, false],
    ['log entry', [places.log], cut(places.log, 8192), 0, 128, true],
  ]
  let refused = 0
  for (const [name, positions, structure, from, to, sealed] of structures) {
    for (const [what, changed] of extremes(structure, from, to)) {
      withBytes(
        store,
        positions.map((position) => [position, sealed ? seal(changed) : changed]),
        () => {
          if (!survives(store, `${name}, ${what}`)) refused++
        },
      )
    }
  }
  assert.ok(refused > 500, `only ${refused} refused`)
})

test('every truncation', () => {
  const bytes = hostileImage()
  const store = new MemoryStore(bytes, 'test.vhdx')
  const sizes = [0, 1, 7, 8, 519, 520, 65535, 65536, 69631, 131072, 196608, 262144, 327679]
  for (let size = 327680; size < bytes.length; size += 64 * 1024 - 1) sizes.push(size)
  for (const size of sizes.reverse()) {
    store.truncate(size)
    assert.equal(survives(store, `cut to ${size}`), false, `cut to ${size}`)
  }
  // Without a log that knows the file's size a cut shows where it is read.
  const clean = new MemoryStore(
    imageBytes({ capacity: BigInt(2 * mib), bat: { 0: batEntry(6, payload), 1: batEntry(6, payload + mib) } }),
    'test.vhdx',
  )
  for (let size = 8 * mib; size > 0; size -= 129 * 1024) {
    clean.truncate(size)
    survives(clean, `clean, cut to ${size}`)
    if (size < payload + 2 * mib && size > payload)
      assert.throws(
        () => open(clean).extentAt(mib, mib),
        (error) => isImageError(error) && error.kind === 'corrupt',
      )
  }
})

test('random damage', () => {
  const store = new MemoryStore(hostileImage(), 'test.vhdx')
  const places64 = fc.constantFrom(
    0,
    65536,
    131072,
    196608,
    262144,
    places.log,
    places.bat,
    places.metadata,
    places.metadata + 65536,
    places.log + 4096,
  )
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ base: places64, within: fc.nat(256), bytes: fc.uint8Array({ minLength: 1, maxLength: 16 }) }),
        { minLength: 1, maxLength: 6 },
      ),
      (damages) => {
        withBytes(
          store,
          damages.map(({ base, within, bytes }) => [base + within, bytes]),
          () => {
            survives(store, JSON.stringify(damages))
          },
        )
      },
    ),
    { numRuns: 300 },
  )
})

test('tables full of entries', () => {
  const bytes = hostileImage()
  const store = new MemoryStore(bytes, 'test.vhdx')
  const unknown = (index: number): Buffer => Buffer.from(index.toString(16).padStart(32, 'a'), 'hex')
  const regions = Array.from({ length: 2045 }, (_, index) => ({
    guid: unknown(index),
    position: BigInt(100 + index) * BigInt(mib),
    length: mib,
    required: 0,
  }))
  const table = regionTableBytes([
    { guid: guids.bat, position: BigInt(places.bat), length: mib },
    { guid: guids.metadata, position: BigInt(places.metadata), length: mib },
    ...regions,
  ])
  withBytes(
    store,
    [
      [196608, table],
      [262144, table],
    ],
    () => assert.equal(survives(store, '2047 regions'), true),
  )
  const items = Array.from({ length: 2047 }, (_, index) => ({
    guid: unknown(index),
    flags: 0,
    bytes: Buffer.alloc(16),
  }))
  withBytes(store, [[places.metadata, metadataBytes(items)]], () => assert.equal(survives(store, '2047 items'), false))
})

/** A log at 8 MiB of 16 MiB, the longest that is replayed, filled by `fill`. */
function longLog(fill: (log: Buffer) => void): MemoryStore {
  const log = Buffer.alloc(16 * mib)
  fill(log)
  const store = new MemoryStore(
    imageBytes({
      capacity: BigInt(mib),
      bat: { 0: batEntry(6, payload) },
      header: { logGuid, logLength: log.length, logOffset: BigInt(8 * mib) },
    }),
    'test.vhdx',
  )
  store.write(8 * mib, log)
  return store
}

test(
  'logs made to cost time: entries that claim the whole ring, sequences that never close, as many changes as ' + 'fit',
  () => {
    const rest = (log: Buffer, entry: Buffer, at: number): void => {
      entry.copy(log, at)
    }
    survives(
      longLog((log) => {
        // Every sector begins an entry as long as the ring.
        const entry = headerOnly(1n, 0)
        entry.writeUInt32LE(log.length, 8)
        entry.writeUInt32LE(log.length / 4096 - 200, 24)
        for (let at = 0; at < log.length; at += 4096) rest(log, entry, at)
      }),
      'claims',
    )
    survives(
      longLog((log) => {
        // One sequence of 4096 valid entries whose tail is nowhere in it.
        for (let index = 0; index < 4095; index++)
          rest(log, seal(headerOnly(BigInt(index + 1), log.length - 4096)), index * 4096)
      }),
      'never closes',
    )
    survives(
      longLog((log) => {
        // Sequences of one entry each, every one complete.
        for (let index = 0; index < 4096; index++)
          rest(log, seal(headerOnly(BigInt(2 * index + 1), index * 4096)), index * 4096)
      }),
      'many sequences',
    )
    const full = (count: number): MemoryStore =>
      longLog((log) => {
        const changes = Array.from({ length: count }, (_, index) => ({
          at: payload + ((index * 7919) % 256) * 4096,
          zero: 4096 * (1 + (index % 64)),
        }))
        rest(log, logEntryBytes({ sequence: 1n, tail: 0, changes, flushed: 8 * mib, last: 8 * mib }), 0)
      })
    assert.equal(survives(full(2 ** 18), 'as many changes as may be'), true)
    assert.equal(survives(full(2 ** 18 + 1), 'too many changes'), false)
  },
)

function headerOnly(sequence: bigint, tail: number): Buffer {
  return logEntryBytes({ sequence, tail, flushed: 8 * mib, last: 8 * mib })
}

test('64 TiB in blocks of 1 MiB: a table of 512 MiB is read by pieces', () => {
  const capacity = 2 ** 46
  const bytes = imageBytes({
    capacity: BigInt(capacity),
    regions: ([bat, metadata]) => [{ ...bat!, position: BigInt(8 * mib), length: 513 * mib }, metadata!],
  })
  // Pages of the table that were never written cost nothing.
  const store = new MemoryStore(bytes, 'test.vhdx')
  store.truncate(521 * mib)
  const before = process.memoryUsage().rss
  const start = new ProcessorTime()
  const disk = open(store)
  const extent = disk.extentAt(0, capacity)
  assert.deepEqual(extent, { kind: 'absent', offset: 0, length: capacity })
  start.atMost(4000)
  assert.ok(process.memoryUsage().rss - before < 256 * mib)
})

test('headers alone', () => {
  const bytes = Buffer.alloc(mib)
  bytes.write('vhdxfile')
  assert.equal(survives(new MemoryStore(bytes, 'test.vhdx'), 'identifier'), false)
  headerBytes().copy(bytes, 65536)
  assert.equal(survives(new MemoryStore(bytes, 'test.vhdx'), 'header'), false)
})
