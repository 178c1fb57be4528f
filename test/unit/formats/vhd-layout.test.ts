import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from '../../../src/binary/checksum.js'
import { runEnd, setBits, testBit } from '../../../src/formats/vhd/format/entries.js'
import {
  bitmapLength,
  blockPosition,
  geometryBytes,
  geometryOf,
  tableLength,
  timeText,
  vhdTime,
} from '../../../src/formats/vhd/format/layout.js'
import { footer, sealedDynamicHeader, sealedFooter, dynamicHeader } from '../../../src/formats/vhd/format/structs.js'
import { footerBytes, headerBytes } from '../../support/vhd-bytes.js'

const mebibyte = 1048576
const uuid = '00010203-0405-0607-0809-0a0b0c0d0e0f'
const base = {
  cookie: 'conectix',
  features: 2n,
  fileFormatVersion: 0x00010000,
  dataOffset: 512n,
  timeStamp: 0x30000000,
  creatorApplication: 'win ',
  creatorVersion: 0x000a0000,
  creatorHostOs: 'Wi2k',
  originalSize: 67108864n,
  currentSize: 67108864n,
  cylinders: 963,
  heads: 8,
  sectorsPerTrack: 17,
  diskType: 3,
  uniqueId: uuid,
  savedState: 0,
}

test('the worked footers of the specification sheet', () => {
  const dynamic = sealedFooter(base)
  assert.equal(footer.read(dynamic).checksum, 0xfffff836)
  assert.equal(crc32(dynamic), 0x00da819d)
  const fixed = sealedFooter({
    ...base,
    originalSize: 4194304n,
    currentSize: 4194304n,
    cylinders: 240,
    heads: 4,
    dataOffset: 0xffffffffffffffffn,
    diskType: 2,
  })
  assert.equal(footer.read(fixed).checksum, 0xffffefa3)
  assert.deepEqual(Buffer.from(fixed), Buffer.from(footerBytes({ type: 2 })))
})

test('the worked dynamic headers of the specification sheet', () => {
  const values = {
    cookie: 'cxsparse',
    dataOffset: 0xffffffffffffffffn,
    tableOffset: 1536n,
    headerVersion: 0x00010000,
    maxTableEntries: 32,
    blockSize: 2097152,
    parentUniqueId: '00000000-0000-0000-0000-000000000000',
    parentTimeStamp: 0,
    parentUnicodeName: '',
    parentLocators: new Uint8Array(192),
  }
  const header = sealedDynamicHeader(values)
  assert.equal(dynamicHeader.read(header).checksum, 0xfffff457)
  assert.deepEqual(Buffer.from(header), Buffer.from(headerBytes({ entries: 32 })))
  assert.equal(dynamicHeader.read(sealedDynamicHeader({ ...values, maxTableEntries: 512 })).checksum, 0xfffff475)
})

test('the geometry of the specification, for the sizes of the sheet', () => {
  const rows: [number, string, number | undefined][] = [
    [mebibyte, '30/4/17', 1044480],
    [8 * mebibyte, '240/4/17', 8355840],
    [64 * mebibyte, '963/8/17', 67055616],
    [127 * mebibyte, '1019/15/17', 133040640],
    [504 * mebibyte, '1024/16/63', 528482304],
    [512 * mebibyte, '1040/16/63', 536739840],
    [1024 * mebibyte, '2080/16/63', 1073479680],
    [10240 * mebibyte, '20805/16/63', undefined],
    [32768 * mebibyte, '16448/16/255', undefined],
    [130048 * mebibyte, '65278/16/255', undefined],
    [4 * 1024 ** 4, '65535/16/255', 136899993600],
    [512, '0/4/17', 0],
  ]
  for (const [bytes, text, product] of rows) {
    const geometry = geometryOf(bytes / 512)
    assert.equal(`${geometry.cylinders}/${geometry.heads}/${geometry.sectorsPerTrack}`, text)
    if (product !== undefined) assert.equal(geometryBytes(geometry), product)
    assert.ok(geometryBytes(geometry) <= bytes)
  }
})

test('bitmaps and tables take whole sectors; aligned blocks have aligned data', () => {
  assert.deepEqual([512, 4096, 524288, 2097152, 4194304, 2 ** 31].map(bitmapLength), [512, 512, 512, 512, 1024, 524288])
  assert.deepEqual([0, 1, 128, 129].map(tableLength), [0, 512, 512, 1024])
  assert.equal(blockPosition(2048, 512, 4096), 3584)
  assert.equal(blockPosition(3584, 512, 4096), 3584)
  assert.equal(blockPosition(2048, 512, 512), 2048)
})

test('times begin in 2000 and end in 2136', () => {
  assert.equal(timeText(0), '2000-01-01T00:00:00Z')
  assert.equal(timeText(0xffffffff), '2136-02-07T06:28:15Z')
  assert.equal(vhdTime(946684800), 0)
  assert.equal(vhdTime(946684801.9), 1)
  assert.equal(vhdTime(-5), 0)
  assert.equal(vhdTime(1e12), 0xffffffff)
})

test('the first sector of a bitmap byte is its highest bit', () => {
  assert.deepEqual(
    Array.from({ length: 8 }, (_, sector) => testBit(Uint8Array.of(0xa0), sector)),
    [true, false, true, false, false, false, false, false],
  )
  const bitmap = new Uint8Array(8)
  setBits(bitmap, 3, 5)
  setBits(bitmap, 7, 33)
  setBits(bitmap, 63, 64)
  assert.deepEqual([...bitmap], [0x19, 0xff, 0xff, 0xff, 0x80, 0, 0, 1])
})

test('runs of bits end where the naive walk says', () => {
  let state = 7
  const bitmap = Uint8Array.from({ length: 64 }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return [0, 0xff, (state >>> 8) & 0xff][(state >>> 20) % 3] ?? 0
  })
  for (let from = 0; from < 512; from++) {
    for (const to of [from + 1, Math.min(512, from + 13), 512]) {
      let end = from + 1
      while (end < to && testBit(bitmap, end) === testBit(bitmap, from)) end++
      assert.equal(runEnd(bitmap, from, to), end, `${from} to ${to}`)
    }
  }
})
