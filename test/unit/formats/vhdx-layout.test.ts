import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from '../../../src/binary/checksum.js'
import { bitRunEnd, EntryTable, setBits, testBit } from '../../../src/formats/vhdx/format/entries.js'
import {
  batLength,
  bitmapIndex,
  defaultBlockSize,
  geometryOf,
  isBlockSize,
  payloadIndex,
} from '../../../src/formats/vhdx/format/layout.js'
import {
  header,
  logEntryHeader,
  regionEntry,
  regionGuids,
  regionTableHeader,
} from '../../../src/formats/vhdx/format/structs.js'
import { dataWriteGuid, fileWriteGuid, logGuid, mib, referenceCrc } from '../../support/vhdx-bytes.js'

const kib = 1024
const gib = 1024 * mib
const tib = 1024 * gib

test('CRC-32C of the known vectors', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(new Uint8Array(4096)), 0x98f94189)
  assert.equal(crc32c(new Uint8Array(64 * kib)), 0x72c0c4a4)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
  assert.equal(referenceCrc(Buffer.from('123456789')), 0xe3069283)
})

test('a header has the checksum of the worked example', () => {
  const bytes = header.write({
    signature: 'head',
    checksum: 0xdeadbeef,
    sequenceNumber: 1n,
    fileWriteGuid,
    dataWriteGuid,
    logGuid: '00000000-0000-0000-0000-000000000000',
    logVersion: 0,
    version: 1,
    logLength: mib,
    logOffset: BigInt(mib),
  })
  assert.equal(crc32c(header.without('checksum', bytes)), 0x1d44bc4b)
})

test('a region table has the checksum of the worked example', () => {
  const bytes = new Uint8Array(64 * kib)
  bytes.set(regionTableHeader.write({ signature: 'regi', checksum: 0, entryCount: 2, reserved: 0 }))
  bytes.set(regionEntry.write({ guid: regionGuids.bat, fileOffset: BigInt(2 * mib), length: mib, required: 1n }), 16)
  bytes.set(
    regionEntry.write({ guid: regionGuids.metadata, fileOffset: BigInt(3 * mib), length: mib, required: 1n }),
    48,
  )
  assert.equal(crc32c(bytes), 0x24453396)
})

test('a log entry has the checksum of the worked example', () => {
  const bytes = new Uint8Array(4096)
  bytes.set(
    logEntryHeader.write({
      signature: 'loge',
      checksum: 0,
      entryLength: 4096,
      tail: 0,
      sequenceNumber: 7n,
      descriptorCount: 0,
      reserved: 0,
      logGuid,
      flushedFileOffset: BigInt(5 * mib),
      lastFileOffset: BigInt(5 * mib),
    }),
  )
  assert.equal(crc32c(bytes), 0xf6a5d13d)
})

test('table entries: the worked example, the greatest position, reserved bits', () => {
  const bytes = Buffer.alloc(24)
  bytes.writeBigUInt64LE(0x0000000000a00006n, 0)
  bytes.writeBigUInt64LE(0xfffffffffff00007n, 8)
  bytes.writeBigUInt64LE(0x0000000000080002n, 16)
  const table = new EntryTable(bytes)
  assert.deepEqual(table.payload(0), { kind: 'full', position: 10 * mib })
  assert.equal(table.reserved(0), false)
  assert.deepEqual(table.payload(1), { kind: 'partial', position: (2 ** 44 - 1) * mib })
  assert.equal(table.reserved(1), false)
  assert.deepEqual(table.payload(2), { kind: 'zero' })
  assert.equal(table.reserved(2), true)
  const written = Buffer.alloc(16)
  new EntryTable(written).set(0, 6, 10 * mib)
  new EntryTable(written).set(1, 7, 70 * tib + 3 * mib)
  assert.equal(written.readBigUInt64LE(0), 0x0000000000a00006n)
  assert.equal(written.readBigUInt64LE(8), BigInt(70 * tib + 3 * mib) + 7n)
})

test('geometry of the worked examples', () => {
  // capacity, block, logical sector → chunk ratio, payload blocks, chunks, entries without and with a parent
  const rows: [number, number, 512 | 4096, number, number, number, number, number][] = [
    [8 * mib, mib, 512, 4096, 8, 1, 8, 4097],
    [4 * gib, mib, 512, 4096, 4096, 1, 4096, 4097],
    [4 * gib + 512, mib, 512, 4096, 4097, 2, 4098, 8194],
    [127 * gib, 32 * mib, 512, 128, 4064, 32, 4095, 4128],
    [2 * tib, 2 * mib, 512, 2048, 1048576, 512, 1049087, 1049088],
    [tib, 32 * mib, 4096, 1024, 32768, 32, 32799, 32800],
    [64 * tib, 64 * mib, 512, 64, 1048576, 16384, 1064959, 1064960],
  ]
  for (const [capacity, blockSize, sectorSize, ratio, blocks, chunks, dynamic, differencing] of rows) {
    const plain = geometryOf(capacity, blockSize, sectorSize, false)
    assert.deepEqual(
      [plain.chunkRatio, plain.payloadBlocks, plain.chunks, plain.tableEntries],
      [ratio, blocks, chunks, dynamic],
    )
    const child = geometryOf(capacity, blockSize, sectorSize, true)
    assert.equal(child.tableEntries, differencing)
    if (blocks > 0) assert.equal(payloadIndex(plain, blocks - 1), dynamic - 1)
    assert.equal(bitmapIndex(child, chunks - 1), differencing - 1)
  }
  assert.equal(batLength(geometryOf(64 * tib, 64 * mib, 512, false)), 9 * mib)
  assert.equal(geometryOf(0, mib, 512, false).tableEntries, 0)
})

test('block sizes: powers of two from 1 to 256 MiB; the default is one of them and the table stays small', () => {
  for (const size of [1, 2, 4, 32, 256]) assert.equal(isBlockSize(size * mib), true)
  for (const size of [0, 1, 512 * kib, 3 * mib, 512 * mib, 1.5 * mib]) assert.equal(isBlockSize(size), false)
  for (const capacity of [0, 512, mib, 100 * mib, gib, gib + 512, 127 * gib, tib, 64 * tib]) {
    for (const differencing of [false, true]) {
      const size = defaultBlockSize(capacity, differencing)
      assert.equal(isBlockSize(size), true)
      assert.ok(batLength(geometryOf(capacity, size, 512, differencing)) <= 257 * mib)
    }
  }
})

test('bits: least significant first, runs across bytes', () => {
  const bits = new Uint8Array(8)
  setBits(bits, 0, 1)
  setBits(bits, 7, 26)
  assert.deepEqual([...bits], [0x81, 0xff, 0xff, 0x03, 0, 0, 0, 0])
  assert.equal(testBit(bits, 0), true)
  assert.equal(testBit(bits, 1), false)
  assert.equal(bitRunEnd(bits, 0, 64), 1)
  assert.equal(bitRunEnd(bits, 1, 64), 7)
  assert.equal(bitRunEnd(bits, 7, 64), 26)
  assert.equal(bitRunEnd(bits, 7, 20), 20)
  assert.equal(bitRunEnd(bits, 26, 64), 64)
})
