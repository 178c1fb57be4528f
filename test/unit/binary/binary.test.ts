import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BitSet } from '../../../src/binary/bit-set.js'
import { crc32, crc32c, onesComplementSum } from '../../../src/binary/checksum.js'
import { derivedUuid, guidText, parseGuid, parseUuid, uuidText } from '../../../src/binary/guid.js'
import { randomUuid } from '../../../src/sys/random-uuid.js'
import { ceilDivide, isPowerOfTwo, roundUp, safeNumber } from '../../../src/binary/integers.js'
import { ascii, bytes, flags32, guid, offset64, struct, u16, u32, u64, u8, utf16 } from '../../../src/binary/struct.js'
import { isZero } from '../../../src/binary/zero.js'
import { isImageError, printable } from '../../../src/errors.js'

test('CRC-32C gives the published values, whole and in pieces', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(new Uint8Array(4096)), 0x98f94189)
  assert.equal(crc32c(new Uint8Array(65536)), 0x72c0c4a4)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
  const data = Uint8Array.from({ length: 1000 }, (_, index) => (index * 7) & 0xff)
  for (const cut of [1, 7, 8, 9, 500])
    assert.equal(crc32c(data.subarray(cut), crc32c(data.subarray(0, cut))), crc32c(data))
})

test('CRC-32 gives the published values', () => {
  assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926)
  assert.equal(crc32(new Uint8Array(16384)), 0xab54d286)
})

test('the sum of a VHD footer is the complement of all its bytes', () => {
  assert.equal(onesComplementSum(Uint8Array.of(1, 2, 3)), 0xfffffff9)
  assert.equal(onesComplementSum(new Uint8Array(512)), 0xffffffff)
})

test('GUIDs are written in mixed order, UUIDs in plain order', () => {
  const text = '11223344-5566-7788-99aa-bbccddeeff00'
  assert.equal(Buffer.from(parseGuid(text)!).toString('hex'), '44332211665588779' + '9aabbccddeeff00')
  assert.equal(guidText(parseGuid(`{${text.toUpperCase()}}`)!), text)
  assert.equal(uuidText(parseUuid(text)!), text)
  assert.equal(parseUuid('no uuid'), undefined)
  assert.match(randomUuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.equal(derivedUuid(text, 'a'), derivedUuid(text.toUpperCase(), 'a'))
  assert.notEqual(derivedUuid(text, 'a'), derivedUuid(text, 'b'))
})

test('numbers above 2^53 are refused, not rounded', () => {
  assert.equal(safeNumber(2n ** 53n - 1n, 'size'), Number.MAX_SAFE_INTEGER)
  assert.throws(
    () => safeNumber(2n ** 53n, 'size'),
    (error) => isImageError(error) && error.code === 'E_TOO_LARGE',
  )
  assert.equal(roundUp(2 ** 52 + 1, 512), 2 ** 52 + 512)
  assert.equal(ceilDivide(2 ** 45 + 1, 2 ** 20), 2 ** 25 + 1)
  for (const value of [1, 2, 4096, 2 ** 40, 2 ** 52]) assert.ok(isPowerOfTwo(value))
  for (const value of [0, -2, 3, 1.5, 2 ** 40 + 1, NaN, Infinity]) assert.ok(!isPowerOfTwo(value))
})

test('a declared structure reads what it wrote, at the right places', () => {
  const layout = struct('big', 64, {
    magic: ascii(0, 4),
    small: u8(4),
    short: u16(6),
    word: u32(8),
    flags: flags32(12),
    wide: u64(16),
    size: offset64(24, 'size'),
    id: guid(32),
    name: utf16(48, 8, 'little'),
    tail: bytes(56, 8),
  })
  const values = {
    magic: 'ab',
    small: 1,
    short: 0x0203,
    word: 0x04050607,
    flags: 0x80000001n,
    wide: 2n ** 64n - 1n,
    size: 2 ** 40,
    id: '11223344-5566-7788-99aa-bbccddeeff00',
    name: 'höi',
    tail: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  }
  const written = layout.write(values)
  assert.equal(
    Buffer.from(written.subarray(0, 16)).toString('hex'),
    '61620000' + '0100' + '0203' + '04050607' + '80000001',
  )
  assert.deepEqual(layout.read(written), values)
  assert.deepEqual(
    layout.rows(written, 1000).find(({ name }) => name === 'word'),
    { name: 'word', position: 1008, length: 4, value: 0x04050607, display: 'decimal' },
  )
  assert.equal(layout.without('word', written)[8], 0)
  assert.equal(written[8], 4)
  const base = new Uint8Array(64).fill(0xee)
  assert.equal(layout.write(values, base)[5], 0xee, 'undeclared bytes survive a rewrite')
  assert.throws(
    () => layout.read(written.subarray(1)),
    (error) => isImageError(error) && error.code === 'E_TRUNCATED',
  )
  layout.write(values).fill(0xff, 24, 32)
  const huge = Uint8Array.from(written).fill(0xff, 24, 32)
  assert.throws(
    () => layout.read(huge),
    (error) => isImageError(error) && error.code === 'E_TOO_LARGE',
  )
})

test('a field outside its structure is a mistake found at once', () => {
  assert.throws(() => struct('big', 8, { late: u32(6) }), RangeError)
})

test('zeros are found, and one byte anywhere is seen', () => {
  const data = new Uint8Array(3 * 1024 * 1024 + 17)
  assert.ok(isZero(data))
  assert.ok(isZero(data, 5, 0))
  for (const at of [0, 1, 1024 * 1024, 1234567, data.length - 1]) {
    data[at] = 1
    assert.ok(!isZero(data), `byte ${at}`)
    assert.ok(isZero(data, at + 1))
    assert.ok(isZero(data, 0, at))
    data[at] = 0
  }
})

test('names from images cannot steer a terminal', () => {
  assert.equal(printable('a\u001b[31m\n\u202eb\ud800'), 'a\\u001b[31m\\u000a\\u202eb\\ud800')
  assert.equal(printable('größe 😀'), 'größe 😀')
})

test('a range of bits is full when each of them is set', () => {
  const bits = new BitSet(40)
  for (let index = 3; index < 35; index++) bits.set(index)
  assert.deepEqual(
    [bits.isFull(3, 35), bits.isFull(8, 24), bits.isFull(2, 35), bits.isFull(3, 36), bits.isFull(5, 5)],
    [true, true, false, false, true],
  )
})
