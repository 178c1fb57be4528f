import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { vhdx } from '../../../src/formats/vhdx/index.js'
import {
  batEntry,
  dataWriteGuid,
  guidBytes,
  guids,
  headerBytes,
  imageBytes,
  mib,
  places,
  seal,
} from '../../support/vhdx-bytes.js'
import type { ImageFields } from '../../support/vhdx-bytes.js'
import { assertTiles, open, readAll, refuses } from '../../support/vhdx-open.js'

const { payload } = places
const codes = (bytes: Uint8Array): string[] => open(bytes).notes.map((note) => note.code)
const image = (fields: Partial<ImageFields> = {}): Buffer => imageBytes({ capacity: BigInt(4 * mib), ...fields })

test('a plain dynamic image: facts, identity, extents', () => {
  const bytes = image({
    bat: { 1: batEntry(6, payload), 2: batEntry(6, payload + mib) },
    bytes: { [payload]: Buffer.alloc(mib, 0xa1), [payload + mib]: Buffer.alloc(mib, 0xa2) },
  })
  const disk = open(bytes)
  assert.deepEqual(
    [disk.format, disk.subformat, disk.capacity, disk.sectorSize, disk.identity],
    ['vhdx', 'dynamic', 4 * mib, 512, dataWriteGuid],
  )
  assert.deepEqual(disk.notes, [])
  assert.equal(disk.parentReference, undefined)
  assertTiles(disk)
  // Two neighbours in the file are one run.
  const run = disk.extentAt(mib, 4 * mib)
  assert.ok(run.kind === 'data')
  assert.deepEqual([run.offset, run.length, run.position], [mib, 2 * mib, payload])
  assert.deepEqual(disk.extentAt(3 * mib + 512, 100), { kind: 'absent', offset: 3 * mib + 512, length: 100 })
  assert.deepEqual(
    readAll(disk),
    Buffer.concat([Buffer.alloc(mib), Buffer.alloc(mib, 0xa1), Buffer.alloc(mib, 0xa2), Buffer.alloc(mib)]),
  )
  const facts = new Map(
    disk
      .describe()
      .flatMap((section) => section.facts)
      .map((fact) => [fact.name, fact.value]),
  )
  assert.equal(facts.get('creator'), 'by hand')
  assert.equal(facts.get('virtualDiskId'), '01020304-0506-0708-090a-0b0c0d0e0f10')
  assert.equal(facts.get('fullyPresent'), 2)
  assert.equal(facts.get('logState'), 'clean')
})

test('every field of every structure has its row at its byte', () => {
  const bytes = image()
  const rows = open(bytes)
    .describe()
    .flatMap((section) => section.fields ?? [])
  const row = (name: string) => rows.find((candidate) => candidate.name === name)
  assert.equal(row('sequenceNumber')?.position, 131072 + 8)
  assert.equal(row('fileParameters.blockSize')?.value, mib)
  assert.equal(row('fileParameters.blockSize')?.position, places.metadata + 65536)
  assert.equal(row('entry1.fileOffset')?.value, BigInt(places.metadata))
})

test('payload states 0 to 3 are empty, 6 is data, 4, 5 and a partial block without a parent are refused on use', () => {
  const bytes = image({
    capacity: BigInt(8 * mib),
    bat: Object.fromEntries(
      Array.from({ length: 8 }, (_, state) => [state, batEntry(state, state >= 6 ? payload + (state - 6) * mib : 0)]),
    ),
  })
  const disk = open(bytes)
  for (const [state, kind] of ['absent', 'zero', 'zero', 'zero'].entries())
    assert.equal(disk.extentAt(state * mib, 1).kind, kind)
  for (const state of [4, 5, 7])
    refuses(
      () => disk.extentAt(state * mib, 1),
      'corrupt',
      'E_BAT_STATE',
      new RegExp(`block ${state} .*byte ${places.bat + state * 8}`),
    )
  assert.equal(disk.extentAt(6 * mib, 1).kind, 'data')
})

test('places of blocks: each refusal is of that block only', () => {
  const cases: [bigint, string][] = [
    [batEntry(6, 0), 'E_BAT_RANGE'],
    [batEntry(6, mib), 'E_BAT_RANGE'],
    [batEntry(6, places.bat), 'E_BAT_RANGE'],
    [batEntry(6, places.metadata), 'E_BAT_RANGE'],
    [batEntry(6, 8 * mib), 'E_BAT_RANGE'],
    [batEntry(6, 100 * mib), 'E_BAT_RANGE'],
    [0xfffffffffff00006n, 'E_BAT_RANGE'],
    [0x8000000000000006n, 'E_BAT_RANGE'],
  ]
  for (const [entry, code] of cases) {
    const disk = open(image({ bat: { 0: batEntry(6, payload), 1: entry } }))
    refuses(() => disk.extentAt(mib, 1), 'corrupt', code, /block 1 .*byte 2097160/)
    assert.equal(disk.extentAt(0, 1).kind, 'data')
  }
})

test('a damaged block ends a run of good ones, which stay readable', () => {
  const disk = open(
    image({
      size: 6 * mib,
      bat: { 0: batEntry(6, payload), 1: batEntry(6, payload + mib), 2: batEntry(6, payload + 2 * mib) },
    }),
  )
  assert.equal(disk.extentAt(0, 4 * mib).length, 2 * mib)
  refuses(() => disk.extentAt(2 * mib, 1), 'corrupt', 'E_BAT_RANGE', /block 2 .*past the end/)
})

test('blocks that share a place are refused, also when they only overlap; others are not', () => {
  const twice = open(
    image({ bat: { 0: batEntry(6, payload), 1: batEntry(6, payload), 2: batEntry(6, payload + mib) } }),
  )
  refuses(() => twice.extentAt(0, 1), 'corrupt', 'E_OVERLAP')
  refuses(() => twice.extentAt(mib, 1), 'corrupt', 'E_OVERLAP')
  assert.equal(twice.extentAt(2 * mib, 1).kind, 'data')
  const overlapping = open(
    image({ blockSize: 2 * mib, bat: { 0: batEntry(6, payload), 1: batEntry(6, payload + mib) } }),
  )
  refuses(() => overlapping.extentAt(2 * mib, 1), 'corrupt', 'E_OVERLAP')
})

test('the last block: the part that the disk shows must be in the file, the rest may be cut off', () => {
  const fields = { capacity: BigInt(2 * mib + 1024), blockSize: 2 * mib, bat: { 1: batEntry(6, payload) } }
  const disk = open(image({ ...fields, size: payload + 1024 }))
  assert.ok(disk.notes.some((note) => note.code === 'W_TRAILING_PARTIAL_MIB'))
  assert.equal(disk.extentAt(2 * mib, mib).length, 1024)
  refuses(() => open(image({ ...fields, size: payload + 1023 })).extentAt(2 * mib, 1), 'corrupt', 'E_TRUNCATED')
})

test('reserved bits and stale places in the table are reported and ignored', () => {
  const disk = open(
    image({ bat: { 0: batEntry(6, payload) + 0x80008n, 1: batEntry(2, payload), 2: batEntry(1, payload) } }),
  )
  assert.deepEqual(
    disk.notes.map((note) => note.code),
    ['W_BAT_RESERVED_BITS', 'W_BAT_STALE_POSITION'],
  )
  assert.equal(disk.extentAt(0, 1).kind, 'data')
  assert.equal(disk.extentAt(mib, 1).kind, 'zero')
})

test('headers: the newer valid one counts; one bad is reported; none, or a tie of different ones, is refused', () => {
  const change = (act: (bytes: Buffer) => void): Buffer => {
    const bytes = image()
    act(bytes)
    return bytes
  }
  const put = (bytes: Buffer, position: number, header: Buffer) => header.copy(bytes, position)
  const other = '99999999-9999-9999-9999-999999999999'
  assert.equal(
    open(change((bytes) => put(bytes, 65536, headerBytes({ sequence: 9n, dataWriteGuid: other })))).identity,
    other,
  )
  const broken = change((bytes) => {
    put(bytes, 65536, headerBytes({ sequence: 9n, dataWriteGuid: other }))
    bytes[65536 + 100] = 1
  })
  assert.equal(open(broken).identity, dataWriteGuid)
  assert.deepEqual(codes(broken), ['W_HEADER_INVALID'])
  assert.deepEqual(codes(change((bytes) => put(bytes, 131072, headerBytes({ version: 2, sequence: 9n })))), [
    'W_HEADER_INVALID',
  ])
  refuses(
    () =>
      open(
        change((bytes) => {
          bytes[65536 + 8] = 77
          bytes[131072 + 8] = 77
        }),
      ),
    'corrupt',
    'E_HEADER',
  )
  refuses(
    () =>
      open(
        change((bytes) => {
          for (const at of [65536, 131072]) put(bytes, at, headerBytes({ version: 2 }))
        }),
      ),
    'unsupported',
    'E_VERSION',
  )
  refuses(
    () => open(change((bytes) => put(bytes, 65536, headerBytes({ sequence: 2n, dataWriteGuid: other })))),
    'corrupt',
    'E_HEADER_AMBIGUOUS',
  )
  assert.deepEqual(codes(change((bytes) => put(bytes, 65536, headerBytes({ sequence: 2n })))), [])
})

test('log fields of the header', () => {
  const dirty = { logGuid: '4c4c4c4c-4c4c-4c4c-4c4c-4c4c4c4c4c4c' }
  assert.deepEqual(codes(image({ header: { logVersion: 1 } })), [])
  refuses(() => open(image({ header: { ...dirty, logVersion: 1 } })), 'unsupported', 'E_LOG_VERSION')
  refuses(() => open(image({ header: { logOffset: 65536n } })), 'corrupt', 'E_LOG_RANGE')
  refuses(() => open(image({ header: { logOffset: BigInt(mib) + 512n } })), 'corrupt', 'E_LOG_RANGE')
  refuses(() => open(image({ header: { ...dirty, logLength: 0 } })), 'corrupt', 'E_LOG_RANGE')
  assert.deepEqual(codes(image({ header: { logLength: 4096 } })), ['W_LOG_LENGTH'])
  refuses(
    () => open(image({ header: { logLength: 2 * mib } })),
    'corrupt',
    'E_OVERLAP',
    /log .*overlaps the BAT region/,
  )
  refuses(() => open(image({ header: { ...dirty, logOffset: BigInt(8 * mib) } })), 'corrupt', 'E_TRUNCATED')
  assert.deepEqual(codes(image({ header: { logOffset: BigInt(8 * mib) } })), ['W_LOG_BEYOND_END'])
  refuses(() => open(image({ header: { logOffset: 2n ** 60n } })), 'corrupt', 'E_TOO_LARGE')
})

test('region tables: the second stands in for the first, and it is said', () => {
  const first = image()
  first[196608 + 20] = 0
  assert.deepEqual(codes(first), ['W_REGION_TABLE_COPY_USED'])
  const second = image()
  second[262144] = 0
  assert.deepEqual(codes(second), ['W_REGION_TABLE_INVALID'])
  first[262144] = 0
  refuses(() => open(first), 'corrupt', 'E_REGION_CRC')
  refuses(() => open(image({ regionCount: 2048 })), 'corrupt', 'E_REGION_CRC', /2048 entries/)
})

test('regions: unknown, missing, twice, unaligned, overlapping', () => {
  const unknown = guidBytes('deadbeef-0000-0000-0000-000000000001')
  const extra = (position: bigint, length: number, required: number): Buffer =>
    image({ regions: (regions) => [...regions, { guid: unknown, position, length, required }] })
  assert.deepEqual(codes(extra(BigInt(payload), mib, 0)), [])
  refuses(() => open(extra(BigInt(payload), mib, 1)), 'unsupported', 'E_UNSUPPORTED_FEATURE', /deadbeef-0000/)
  refuses(() => open(extra(BigInt(places.bat), mib, 0)), 'corrupt', 'E_OVERLAP')
  refuses(() => open(extra(BigInt(places.log), mib, 0)), 'corrupt', 'E_OVERLAP')
  refuses(() => open(image({ regions: (regions) => regions.slice(0, 1) })), 'corrupt', 'E_REGION', /no metadata region/)
  refuses(() => open(image({ regions: (regions) => regions.slice(1) })), 'corrupt', 'E_REGION', /no BAT region/)
  refuses(
    () =>
      open(image({ regions: (regions) => [...regions, { guid: guids.bat, position: BigInt(payload), length: mib }] })),
    'corrupt',
    'E_REGION',
    /second of its kind/,
  )
  for (const change of [{ position: 2n * BigInt(mib) + 4096n }, { position: 0n }, { length: 0 }, { length: 4096 }]) {
    refuses(() => open(image({ regions: ([bat, ...rest]) => [{ ...bat!, ...change }, ...rest] })), 'corrupt', 'E_ALIGN')
  }
  refuses(
    () => open(image({ regions: ([bat, ...rest]) => [{ ...bat!, position: BigInt(64 * mib) }, ...rest] })),
    'corrupt',
    'E_TRUNCATED',
  )
  // QEMU leaves Required clear on both.
  assert.deepEqual(codes(image({ regions: (regions) => regions.map((region) => ({ ...region, required: 0 })) })), [])
})

test('payload may not lie in a region that is unknown but optional', () => {
  const disk = open(
    image({
      bat: { 0: batEntry(6, payload) },
      regions: (regions) => [
        ...regions,
        {
          guid: guidBytes('deadbeef-0000-0000-0000-000000000001'),
          position: BigInt(payload),
          length: mib,
          required: 0,
        },
      ],
    }),
  )
  refuses(() => disk.extentAt(0, 1), 'corrupt', 'E_BAT_RANGE', /region deadbeef/)
})

test('metadata items: limits of each value', () => {
  for (const blockSize of [512 * 1024, 3 * mib, 512 * mib, 0])
    refuses(() => open(image({ blockSize })), 'corrupt', 'E_BLOCK_SIZE')
  for (const blockSize of [mib, 256 * mib]) assert.equal(open(image({ blockSize })).capacity, 4 * mib)
  for (const sector of [1024, 520, 0]) {
    refuses(() => open(image({ logicalSector: sector })), 'corrupt', 'E_SECTOR')
    refuses(() => open(image({ physicalSector: sector })), 'corrupt', 'E_SECTOR')
  }
  assert.equal(open(image({ logicalSector: 4096 })).sectorSize, 4096)
  refuses(() => open(image({ capacity: 513n })), 'corrupt', 'E_DISK_SIZE')
  refuses(() => open(image({ capacity: 512n, logicalSector: 4096 })), 'corrupt', 'E_DISK_SIZE')
  refuses(() => open(image({ capacity: 2n ** 46n + 512n })), 'corrupt', 'E_DISK_SIZE')
  refuses(() => open(image({ capacity: 2n ** 64n - 512n })), 'corrupt', 'E_TOO_LARGE')
  assert.equal(open(image({ capacity: 0n })).capacity, 0)
  refuses(() => open(image({ capacity: 2n ** 46n })), 'corrupt', 'E_BAT_TOO_SHORT')
  refuses(() => open(image({ capacity: BigInt(131073 * mib) })), 'corrupt', 'E_BAT_TOO_SHORT')
  assert.deepEqual(codes(image({ parameterFlags: 4 })), ['W_RESERVED_BITS'])
  assert.equal(open(image({ parameterFlags: 1 })).subformat, 'fixed')
  refuses(() => open(image({ parameterFlags: 3 })), 'corrupt', 'E_PARENT_LOCATOR')
})

test('the table is long enough to the entry', () => {
  // One MiB holds 131,072 entries; with a chunk ratio of 4096, 31 of them are for sector bitmaps.
  const blocks = 131072 - 31
  assert.equal(open(image({ capacity: BigInt(blocks * mib) })).capacity, blocks * mib)
  refuses(() => open(image({ capacity: BigInt((blocks + 1) * mib) })), 'corrupt', 'E_BAT_TOO_SHORT')
})

test('blocks of the second chunk skip the entry of the sector bitmap', () => {
  const disk = open(
    image({
      capacity: BigInt(4097 * mib),
      bat: { 4095: batEntry(6, payload), 4096: batEntry(6, payload + 2 * mib), 4097: batEntry(6, payload + mib) },
    }),
  )
  const positionAt = (offset: number): number => {
    const extent = disk.extentAt(offset, 1)
    assert.ok(extent.kind === 'data')
    return extent.position
  }
  assert.equal(positionAt(4095 * mib), payload)
  assert.equal(positionAt(4096 * mib), payload + mib)
})

test('metadata table: unknown, missing, twice, out of range', () => {
  const unknown = guidBytes('deadbeef-0000-0000-0000-000000000002')
  const extra = (item: { flags: number; offset?: number; length?: number }): Buffer =>
    image({ items: (items) => [...items, { guid: unknown, bytes: Buffer.alloc(16), ...item }] })
  assert.deepEqual(codes(extra({ flags: 0 })), [])
  assert.deepEqual(codes(extra({ flags: 1 })), [])
  assert.deepEqual(codes(extra({ flags: 0, offset: 0, length: 0 })), [])
  refuses(
    () => open(extra({ flags: 4 })),
    'unsupported',
    'E_UNSUPPORTED_FEATURE',
    /deadbeef-0000-0000-0000-000000000002/,
  )
  for (const bad of [
    { offset: 65535 },
    { offset: mib - 15 },
    { offset: 70000, length: mib + 1 },
    { offset: 0xffffffff },
  ])
    refuses(() => open(extra({ flags: 0, ...bad })), 'corrupt', 'E_META_RANGE')
  refuses(() => open(extra({ flags: 0, offset: 65540 })), 'corrupt', 'E_META_RANGE', /overlap/)
  refuses(() => open(image({ items: (items) => [...items, items[0]!] })), 'corrupt', 'E_META_DUP')
  for (let index = 0; index < 5; index++) {
    refuses(() => open(image({ items: (items) => items.filter((_, at) => at !== index) })), 'corrupt', 'E_META_MISSING')
    refuses(
      () => open(image({ items: (items) => items.map((item, at) => (at === index ? { ...item, length: 1 } : item)) })),
      'corrupt',
      'E_META_RANGE',
    )
  }
  refuses(() => open(image({ itemCount: 2048 })), 'corrupt', 'E_META_TABLE')
  const bytes = image()
  bytes[places.metadata] = 0
  refuses(() => open(bytes), 'corrupt', 'E_META_TABLE')
})

test('identifier: probe and open; a file that is cut short', () => {
  const bytes = image()
  assert.equal(vhdx.probe(bytes.subarray(0, 65536), bytes.subarray(-65536), bytes.length), 'certain')
  assert.equal(vhdx.probe(new Uint8Array(0), new Uint8Array(0), 0), 'no')
  assert.equal(vhdx.probe(Buffer.from('vhdxfil'), Buffer.from('vhdxfil'), 7), 'no')
  for (const size of [0, 8, 65536, mib - 1])
    refuses(() => open(new MemoryStore(bytes.subarray(0, size), 'test.vhdx')), 'corrupt', 'E_TRUNCATED')
  bytes[0] = 0x56
  refuses(() => open(bytes), 'corrupt', 'E_NOT_VHDX')
})

test('the creator is shown without its control characters', () => {
  const creator = `\u001b[31m\u202e${'x'.repeat(252)}`
  const fact = open(image({ creator })).describe()[0]?.facts[0]
  assert.equal(fact?.value, `\\u001b[31m\\u202e${'x'.repeat(250)}`)
})

test('a repaired checksum is what makes a changed region table count', () => {
  const bytes = image()
  const table = bytes.subarray(196608, 262144)
  table.writeUInt32LE(1, 8)
  seal(table)
  refuses(() => open(bytes), 'corrupt', 'E_REGION')
})
