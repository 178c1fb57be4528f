import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import type { DiskImage } from '../../../src/formats/driver.js'
import {
  batEntry,
  headerBytes,
  imageBytes,
  logEntryBytes,
  logGuid,
  mib,
  places,
  regionTableBytes,
  guids,
  seal,
} from '../../support/vhdx-bytes.js'
import type { ImageFields, LogChange } from '../../support/vhdx-bytes.js'
import { assertTiles, open, readAll, refuses } from '../../support/vhdx-open.js'

const { payload } = places
const sector = (fill: number): Buffer => Buffer.alloc(4096, fill)
/** The first 4 KiB of the table with block 0 (or another) present. */
function table(entries: Record<number, bigint>): Buffer {
  const bytes = Buffer.alloc(4096)
  for (const [index, entry] of Object.entries(entries)) bytes.writeBigUInt64LE(entry, Number(index) * 8)
  return bytes
}

function dirty(log: Record<number, Buffer>, fields: Partial<ImageFields> = {}): Buffer {
  return imageBytes({
    capacity: BigInt(2 * mib),
    header: { logGuid },
    log,
    bytes: { [payload]: Buffer.alloc(2 * mib, 0x11) },
    ...fields,
  })
}

/** Opens the bytes, reads everything, and checks that the store holds what it held. */
function opened(bytes: Buffer): DiskImage {
  const before = Buffer.from(bytes)
  const store = new MemoryStore(bytes, 'test.vhdx')
  const disk = open(store)
  readAll(disk)
  assertTiles(disk)
  assert.equal(Buffer.compare(store.contents(), before), 0)
  return disk
}

const show = (block: number, position: number): LogChange => ({
  at: places.bat,
  data: table({ [block]: batEntry(6, position) }),
})
const replayedFacts = (disk: DiskImage): unknown[] =>
  ['logEntries', 'logDataSectors', 'logZeroRanges', 'logLastSequenceNumber'].map(
    (name) =>
      disk
        .describe()
        .flatMap((section) => section.facts)
        .find((fact) => fact.name === name)?.value,
  )

test('one entry with a change of the table: replayed, and the file is untouched', () => {
  const disk = opened(dirty({ 0: logEntryBytes({ sequence: 7n, tail: 0, changes: [show(0, payload)] }) }))
  assert.deepEqual(
    disk.notes.map((note) => note.code),
    ['W_LOG_REPLAYED'],
  )
  assert.match(disk.notes[0]!.message, /1 log entries \(1 sectors of 4 KiB, 0 zero ranges\)/)
  assert.deepEqual(replayedFacts(disk), [1, 1, 0, 7n])
  assert.deepEqual(readAll(disk), Buffer.concat([Buffer.alloc(mib, 0x11), Buffer.alloc(mib)]))
})

test('a sector comes back byte for byte: leading 8 and trailing 4 from the descriptor', () => {
  const data = Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 256))
  const disk = opened(
    dirty(
      { 0: logEntryBytes({ sequence: 7n, tail: 0, changes: [{ at: payload + 4096, data }] }) },
      { bat: { 0: batEntry(6, payload) } },
    ),
  )
  assert.deepEqual(readAll(disk, 4096, 4096), data)
})

test('payload that no change touches stays in the file itself', () => {
  const bytes = dirty(
    {
      0: logEntryBytes({
        sequence: 7n,
        tail: 0,
        changes: [
          { at: payload + 8192, data: sector(0x55) },
          { at: payload + 16384, zero: 12288 },
        ],
      }),
    },
    { bat: { 0: batEntry(6, payload) } },
  )
  const store = new MemoryStore(bytes, 'test.vhdx')
  const disk = open(store)
  const runs = []
  for (let offset = 0; offset < mib;) {
    const extent = disk.extentAt(offset, mib - offset)
    runs.push([extent.kind, extent.length, extent.kind === 'data' && extent.store === store])
    offset += extent.length
  }
  assert.deepEqual(runs, [
    ['data', 8192, true],
    ['data', 4096, false],
    ['data', 4096, true],
    ['zero', 12288, false],
    ['data', mib - 28672, true],
  ])
  assert.deepEqual(
    readAll(disk, 0, 32768),
    Buffer.concat([Buffer.alloc(8192, 0x11), sector(0x55), sector(0x11), Buffer.alloc(12288), sector(0x11)]),
  )
  assert.equal(disk.grain, 4096)
})

test('an entry without descriptors changes nothing', () => {
  const disk = opened(dirty({ 0: logEntryBytes({ sequence: 1n, tail: 0 }) }))
  assert.deepEqual(replayedFacts(disk), [1, 0, 0, 1n])
  assert.deepEqual(readAll(disk), Buffer.alloc(2 * mib))
})

test('a sequence of two is replayed in order', () => {
  const first = logEntryBytes({ sequence: 7n, tail: 0, changes: [show(0, payload)] })
  const second = logEntryBytes({ sequence: 8n, tail: 0, changes: [{ at: places.bat, zero: 4096 }] })
  assert.deepEqual(readAll(opened(dirty({ 0: first, [first.length]: second }))), Buffer.alloc(2 * mib))
  const other = logEntryBytes({ sequence: 8n, tail: 0, changes: [show(1, payload)] })
  assert.deepEqual(replayedFacts(opened(dirty({ 0: first, [first.length]: other }))), [2, 2, 0, 8n])
  assert.equal(readAll(opened(dirty({ 0: first, [first.length]: other })), mib, 1)[0], 0x11)
})

test('entries before the tail are done already and are not replayed', () => {
  const first = logEntryBytes({ sequence: 7n, tail: 0, changes: [show(0, payload)] })
  const second = logEntryBytes({ sequence: 8n, tail: first.length, changes: [{ at: payload, data: sector(3) }] })
  const disk = opened(dirty({ 0: first, [first.length]: second }))
  assert.deepEqual(replayedFacts(disk), [1, 1, 0, 8n])
  assert.deepEqual(readAll(disk), Buffer.alloc(2 * mib))
})

test('stale entries: of another log, or older, do not count', () => {
  const entry = logEntryBytes({ sequence: 7n, tail: 0, changes: [show(0, payload)] })
  const foreign = logEntryBytes({
    sequence: 8n,
    tail: 0,
    guid: '00000000-0000-0000-0000-0000000000ff',
    changes: [show(1, payload)],
  })
  assert.deepEqual(replayedFacts(opened(dirty({ 0: entry, [entry.length]: foreign }))), [1, 1, 0, 7n])
  const old = logEntryBytes({ sequence: 3n, tail: 65536, changes: [show(1, payload)] })
  assert.deepEqual(replayedFacts(opened(dirty({ 0: entry, 65536: old }))), [1, 1, 0, 7n])
  // The newest is not the first in the ring.
  const newer = logEntryBytes({ sequence: 30n, tail: 65536, changes: [show(1, payload)] })
  assert.deepEqual(replayedFacts(opened(dirty({ 0: entry, 65536: newer }))), [1, 1, 0, 30n])
})

test('a gap in the sequence numbers ends a sequence; the newest complete one is replayed', () => {
  const entry = logEntryBytes({ sequence: 7n, tail: 0, changes: [show(0, payload)] })
  // 9 follows 7 in the ring, but its tail says that it needs what is not there any more.
  const incomplete = logEntryBytes({ sequence: 9n, tail: 0, changes: [show(1, payload)] })
  assert.deepEqual(replayedFacts(opened(dirty({ 0: entry, [entry.length]: incomplete }))), [1, 1, 0, 7n])
})

test('a sequence wraps around the end of the ring, and so does an entry', () => {
  const first = logEntryBytes({ sequence: 7n, tail: mib - 12288, changes: [show(0, payload)] })
  const second = logEntryBytes({ sequence: 8n, tail: mib - 12288, changes: [{ at: payload, data: sector(0x77) }] })
  const third = logEntryBytes({
    sequence: 9n,
    tail: mib - 12288,
    changes: [{ at: payload + 4096, data: sector(0x78) }],
  })
  assert.equal(second.length, 8192)
  const disk = opened(dirty({ [mib - 12288]: first, [mib - 4096]: second, 4096: third }))
  assert.deepEqual(replayedFacts(disk), [3, 3, 0, 9n])
  assert.deepEqual(readAll(disk, 0, 12288), Buffer.concat([sector(0x77), sector(0x78), sector(0x11)]))
})

test('a ring that is one whole sequence', () => {
  const count = mib / 8192
  const log = Object.fromEntries(
    Array.from({ length: count }, (_, index) => [
      index * 8192,
      logEntryBytes({ sequence: BigInt(index + 1), tail: 0, changes: [show(0, payload)] }),
    ]),
  )
  assert.deepEqual(replayedFacts(opened(dirty(log))), [count, count, 0, BigInt(count)])
})

test('damage ends the sequence before it', () => {
  const first = logEntryBytes({ sequence: 7n, tail: 0, changes: [show(0, payload)] })
  const damage = (act: (entry: Buffer) => void, resealed: boolean): Buffer => {
    const entry = logEntryBytes({ sequence: 8n, tail: 0, changes: [show(1, payload), { at: payload, zero: 4096 }] })
    act(entry)
    return resealed ? seal(entry) : entry
  }
  const cases: [string, Buffer][] = [
    [
      'checksum',
      damage((entry) => {
        entry[5000] = 1
      }, false),
    ],
    [
      'signature',
      damage((entry) => {
        entry[0] = 0
      }, true),
    ],
    [
      'data sector signature',
      damage((entry) => {
        entry[4096] = 0
      }, true),
    ],
    ['sequence number at the start of a sector', damage((entry) => entry.writeUInt32LE(9, 4100), true)],
    ['sequence number at the end of a sector', damage((entry) => entry.writeUInt32LE(9, 8188), true)],
    ['sequence number of a descriptor', damage((entry) => entry.writeUInt32LE(9, 64 + 24), true)],
    ['descriptor signature', damage((entry) => entry.write('xxxx', 64), true)],
    ['zero length not of 4 KiB', damage((entry) => entry.writeUInt32LE(512, 96 + 8), true)],
    ['place not of 4 KiB', damage((entry) => entry.writeUInt32LE(payload + 512, 96 + 16), true)],
    ['descriptor count', damage((entry) => entry.writeUInt32LE(0xffffffff, 24), true)],
    ['entry length 0', damage((entry) => entry.writeUInt32LE(0, 8), true)],
    ['entry length 4095', damage((entry) => entry.writeUInt32LE(4095, 8), true)],
    ['entry length 2^31', damage((entry) => entry.writeUInt32LE(2 ** 31, 8), true)],
    ['tail outside the ring', damage((entry) => entry.writeUInt32LE(mib, 12), true)],
    ['tail unaligned', damage((entry) => entry.writeUInt32LE(1, 12), true)],
  ]
  for (const [what, second] of cases) {
    assert.deepEqual(replayedFacts(opened(dirty({ 0: first, [first.length]: second }))), [1, 1, 0, 7n], what)
  }
})

test('nothing valid in a log that should hold something: refused, unless the user says so', () => {
  const stale = logEntryBytes({ sequence: 7n, tail: 65536, changes: [show(0, payload)] })
  for (const bytes of [dirty({}), dirty({ 0: Buffer.alloc(4096, 0x6c) }), dirty({ 0: stale })]) {
    refuses(() => open(bytes), 'corrupt', 'E_LOG_CORRUPT')
    const disk = open(bytes, { 'ignore-log': true })
    assert.deepEqual(
      disk.notes.map((note) => note.code),
      ['W_LOG_IGNORED'],
    )
    assert.deepEqual(readAll(disk), Buffer.alloc(2 * mib))
  }
})

test('a file shorter than when the log was written is refused; a longer one is extended in memory', () => {
  refuses(
    () => open(dirty({ 0: logEntryBytes({ sequence: 1n, tail: 0, flushed: 9 * mib, last: 9 * mib }) })),
    'corrupt',
    'E_TRUNCATED',
  )
  const disk = opened(
    dirty({
      0: logEntryBytes({
        sequence: 1n,
        tail: 0,
        last: 10 * mib,
        changes: [{ at: places.bat, data: table({ 0: batEntry(6, 8 * mib), 1: batEntry(6, payload) }) }],
      }),
    }),
  )
  assert.deepEqual(readAll(disk), Buffer.concat([Buffer.alloc(mib), Buffer.alloc(mib, 0x11)]))
  assert.equal(disk.extentAt(0, mib).kind, 'zero')
})

test('a change may write past the end of the file', () => {
  const disk = opened(
    dirty({
      0: logEntryBytes({
        sequence: 1n,
        tail: 0,
        last: 9 * mib,
        changes: [show(0, 8 * mib), { at: 8 * mib + 4096, data: sector(0x42) }],
      }),
    }),
  )
  assert.deepEqual(readAll(disk, 0, 12288), Buffer.concat([sector(0), sector(0x42), sector(0)]))
})

test('region table and metadata are read as the log leaves them', () => {
  const bytes = dirty(
    {
      0: logEntryBytes({
        sequence: 1n,
        tail: 0,
        changes: [
          {
            at: 196608,
            data: regionTableBytes([
              { guid: guids.bat, position: BigInt(5 * mib), length: mib },
              { guid: guids.metadata, position: BigInt(places.metadata), length: mib },
            ]).subarray(0, 4096),
          },
        ],
      }),
    },
    { bytes: { [5 * mib]: table({ 1: batEntry(6, 7 * mib) }), [7 * mib]: Buffer.alloc(mib, 0x99) } },
  )
  const disk = opened(bytes)
  assert.deepEqual(
    disk.notes.map((note) => note.code),
    ['W_LOG_REPLAYED', 'W_REGION_TABLES_DIFFER'],
  )
  assert.deepEqual(readAll(disk), Buffer.concat([Buffer.alloc(mib), Buffer.alloc(mib, 0x99)]))
})

test('changes of the identifier, the headers or the log itself are refused', () => {
  for (const change of [
    { at: 0, data: sector(1) },
    { at: 65536, data: headerBytes() },
    { at: 131072, zero: 4096 },
    { at: 4096, zero: 196608 },
    { at: mib + 65536, data: sector(1) },
    { at: 196608, zero: mib },
  ]) {
    refuses(
      () => open(dirty({ 0: logEntryBytes({ sequence: 1n, tail: 0, changes: [change] }) })),
      'corrupt',
      'E_LOG_RANGE',
    )
  }
  assert.equal(
    opened(dirty({ 0: logEntryBytes({ sequence: 1n, tail: 0, changes: [{ at: 0, zero: 0 }] }) })).capacity,
    2 * mib,
  )
})

test('a place or an end beyond 2^53 is refused', () => {
  const huge = logEntryBytes({ sequence: 1n, tail: 0, changes: [{ at: payload, zero: 4096 }] })
  huge.writeBigUInt64LE(2n ** 63n, 64 + 8)
  refuses(() => open(dirty({ 0: seal(huge) })), 'corrupt', 'E_TOO_LARGE')
})

test('a very long log is refused before it is read', () => {
  const bytes = imageBytes({
    capacity: BigInt(mib),
    header: { logGuid, logLength: 0xfff00000, logOffset: BigInt(8 * mib) },
  })
  const store = new MemoryStore(bytes, 'test.vhdx')
  store.truncate(8 * 2 ** 30)
  refuses(() => open(store), 'unsupported', 'E_LOG_TOO_LARGE')
})

test('more descriptors than fit in the first sector', () => {
  const changes: LogChange[] = Array.from({ length: 127 }, (_, index) => ({ at: payload + index * 8192, zero: 4096 }))
  const disk = opened(
    dirty(
      {
        0: logEntryBytes({ sequence: 1n, tail: 0, changes: [...changes, { at: payload + 4096, data: sector(0x44) }] }),
      },
      { bat: { 0: batEntry(6, payload) } },
    ),
  )
  assert.deepEqual(replayedFacts(disk), [1, 1, 127, 1n])
  assert.deepEqual(readAll(disk, 0, 12288), Buffer.concat([sector(0), sector(0x44), sector(0)]))
})
