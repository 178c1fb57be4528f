import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { isImageError } from '../../../src/errors.js'
import { vhdx } from '../../../src/formats/vhdx/index.js'
import { openContext } from '../../support/drivers.js'
import { testRepairs } from '../../support/repairs.js'
import { StoppingStore } from '../../support/stopping-store.js'
import {
  batEntry,
  dataWriteGuid,
  headerBytes,
  imageBytes,
  logEntryBytes,
  logGuid,
  mib,
  places,
  type ImageFields,
} from '../../support/vhdx-bytes.js'

const { payload } = places
const [one, two] = [payload, payload + mib]
const fill = (byte: number): Buffer => Buffer.alloc(mib, byte)

function disk(fields: Partial<ImageFields> = {}): MemoryStore {
  return new MemoryStore(
    imageBytes({
      capacity: BigInt(3 * mib),
      size: 6 * mib,
      bytes: { [one]: fill(1), [two]: fill(2) },
      ...fields,
      bat: { 0: batEntry(6, one), 1: batEntry(6, two), ...fields.bat },
    }),
    'test.vhdx',
  )
}

function patched(
  store: MemoryStore,
  ...changes: readonly (readonly [position: number, bytes: Uint8Array | readonly number[]])[]
): MemoryStore {
  for (const [position, bytes] of changes) store.write(position, Uint8Array.from(bytes))
  return store
}

function cut(store: MemoryStore, size: number): MemoryStore {
  store.truncate(size)
  return store
}

const flip = [0xff] as const
const moreThanOne = { flushed: 6 * mib, last: 8 * mib }
/**
 * Moves block 1 from the file's last MiB to one that only the log knows, and changes a sector of block 0's entry's
 * table.
 */
const log = {
  0: logEntryBytes({
    sequence: 5n,
    tail: 0,
    ...moreThanOne,
    changes: [
      {
        at: places.bat,
        data: Buffer.concat([
          entryBytes(batEntry(6, one)),
          entryBytes(batEntry(2)),
          entryBytes(batEntry(6, 7 * mib)),
          Buffer.alloc(4072),
        ]),
      },
      { at: two, zero: mib },
    ],
  }),
  8192: logEntryBytes({
    sequence: 6n,
    tail: 0,
    ...moreThanOne,
    changes: [{ at: 7 * mib, data: Buffer.alloc(4096, 9) }],
  }),
}

function entryBytes(entry: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(entry)
  return bytes
}

testRepairs(vhdx, [
  { what: 'nothing is wrong', make: () => disk(), mends: [] },
  { what: 'header 1 is damaged', make: () => patched(disk(), [65536 + 20, flip]), mends: ['E_HEADER_INVALID'] },
  { what: 'header 2 is damaged', make: () => patched(disk(), [131072 + 20, flip]), mends: ['E_HEADER_INVALID'] },
  {
    what: 'header 2 is gone',
    make: () => patched(disk(), [131072, new Uint8Array(4096)]),
    mends: ['E_HEADER_INVALID'],
  },
  {
    what: 'a log that was not replayed',
    make: () => disk({ header: { logGuid }, log }),
    mends: ['W_LOG_REPLAYED'],
    left: ['L_UNREFERENCED'],
  },
  {
    what: 'a log that was not replayed, and a damaged header',
    make: () => patched(disk({ header: { logGuid }, log }), [65536, flip]),
    mends: ['E_HEADER_INVALID', 'W_LOG_REPLAYED'],
    left: ['L_UNREFERENCED'],
  },
  {
    what: 'a log without changes',
    make: () =>
      disk({
        header: { logGuid },
        log: { 0: logEntryBytes({ sequence: 5n, tail: 0, flushed: 6 * mib, last: 6 * mib }) },
      }),
    mends: ['W_LOG_REPLAYED'],
  },
  {
    what: 'a log without any whole entry, abandoned',
    make: () => disk({ header: { logGuid } }),
    mends: ['W_LOG_IGNORED'],
    options: { 'ignore-log': true },
  },
  {
    what: 'region table 1 is damaged',
    make: () => patched(disk(), [196608 + 40, flip]),
    mends: ['E_REGION_TABLE_COPY_USED'],
  },
  {
    what: 'region table 2 is damaged',
    make: () => patched(disk(), [262144 + 40, flip]),
    mends: ['E_REGION_TABLE_INVALID'],
  },
  {
    what: 'both of one kind',
    make: () => patched(disk(), [65536 + 20, flip], [262144 + 40, flip]),
    mends: ['E_HEADER_INVALID', 'E_REGION_TABLE_INVALID'],
  },
  {
    what: 'a zero block that names a place',
    make: () => disk({ bat: { 1: batEntry(2, two), 2: batEntry(6, two) } }),
    mends: ['W_BAT_STALE_POSITION'],
  },
  {
    what: 'an absent block of a child that names a place',
    make: () =>
      disk({
        locator: {
          entries: [
            ['parent_linkage', `{${dataWriteGuid}}`],
            ['relative_path', '.\\p.vhdx'],
          ],
        },
        bat: { 1: batEntry(6, two), 2: batEntry(0, 64 * mib) },
      }),
    mends: ['W_BAT_STALE_POSITION'],
  },
  {
    what: 'half a MiB at the end',
    make: () => cut(disk({ size: 7 * mib }), 6 * mib + 524288),
    mends: ['W_TRAILING_PARTIAL_MIB'],
  },
  {
    what: 'the last block is cut off behind the end of the disk',
    make: () => cut(disk({ capacity: BigInt(mib + 4096) }), 5 * mib + 8192),
    mends: ['W_TRAILING_PARTIAL_MIB'],
  },
  {
    what: 'the last block is cut off, which nothing brings back',
    make: () => cut(disk(), 6 * mib - 512),
    mends: [],
    left: ['E_TRUNCATED', 'W_TRAILING_PARTIAL_MIB'],
  },
  {
    what: 'a block past the end is not guessed',
    make: () => disk({ bat: { 2: batEntry(6, 100 * mib) } }),
    mends: [],
    left: ['E_BAT_RANGE'],
  },
  { what: 'a reserved state is left', make: () => disk({ bat: { 2: batEntry(5) } }), mends: [], left: ['E_BAT_STATE'] },
  {
    what: 'two blocks in one place are left',
    make: () => disk({ bat: { 1: batEntry(6, one) } }),
    mends: [],
    left: ['E_OVERLAP', 'L_UNREFERENCED'],
  },
])

test('vhdx repair: what cannot be opened is left as it is', () => {
  for (const [make, code] of [
    [() => disk({ header: { logGuid } }), 'E_LOG_CORRUPT'],
    [() => patched(disk(), [65536 + 20, flip], [131072 + 20, flip]), 'E_HEADER'],
    [() => patched(disk(), [196608 + 40, flip], [262144 + 40, flip]), 'E_REGION_CRC'],
    // The headers could be mended, the rest is none.
    [() => patched(disk(), [65536 + 20, flip], [places.metadata, flip]), 'E_META_TABLE'],
    [
      () =>
        disk({
          header: { logGuid },
          log: { 0: logEntryBytes({ sequence: 5n, tail: 0, flushed: 64 * mib, last: 64 * mib }) },
        }),
      'E_TRUNCATED',
    ],
  ] as const) {
    const store = new StoppingStore(make().contents(), 'test.vhdx')
    assert.throws(
      () => [...vhdx.repair!(store, openContext)],
      (error) => isImageError(error) && error.code === code,
    )
    assert.equal(store.changes, 0, code)
  }
})

test('vhdx repair: headers keep what they say, with a new FileWriteGuid and a higher sequence number', () => {
  const store = patched(disk({ header: { sequence: 7n } }), [131072, new Uint8Array(4096)])
  assert.equal([...vhdx.repair!(store, openContext)].filter((item) => 'code' in item).length, 1)
  const bytes = Buffer.from(store.contents())
  const before = headerBytes({ sequence: 7n })
  for (const position of [65536, 131072]) {
    const header = bytes.subarray(position, position + 4096)
    assert.ok(header.readBigUInt64LE(8) > 7n)
    assert.notEqual(header.compare(before, 16, 32, 16, 32), 0, 'FileWriteGuid')
    assert.equal(header.compare(before, 32, 4096, 32, 4096), 0, 'everything else')
  }
})
