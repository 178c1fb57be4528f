import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeLznt1 } from '../../../src/codec/lznt1.js'
import { isImageError } from '../../../src/errors.js'

function decode(hex: string, length: number): Buffer {
  const target = Buffer.alloc(length, 0xaa)
  decodeLznt1(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'), target)
  return target
}

test('the example of [MS-XCA] 3.3', () => {
  const packed =
    '38 b0 88 46 23 20 00 20 47 20 41 00 10 a2 47 01 a0 45 20 44 00 08 45 01 50 79 00 c0 45 20 05 ' +
    '24 13 88 05 b4 02 4a 44 ef 03 58 02 8c 09 16 01 48 45 00 be 00 9e 00 04 01 18 90 00'
  assert.equal(
    decode(packed, 4096).toString('latin1').replace(/\0+$/, ''),
    'F# F# G A A G F# E D D E F# F# E E F# F# G A A G F# E D D E F# E D D E E F# D E F# G F# D E F# G F# E D ' +
      'E A F# F# G A A G F# E D D E F# E D D',
  )
})

test('plain chunks, short chunks, and the end', () => {
  assert.equal(decode('02 30 61 62 63 00 00', 8).toString('latin1'), 'abc\0\0\0\0\0')
  const two = decode('02 30 61 62 63 01 30 78 79', 4100)
  assert.equal(two.subarray(0, 5).toString('latin1'), 'abc\0\0')
  assert.equal(two.subarray(4095).toString('latin1'), '\0xy\0\0')
  assert.equal(decode('', 4).toString('hex'), '00000000')
  // One byte, then the rest of the chunk from it: the longest reference there is.
  assert.deepEqual(decode('03 b0 02 7a fc 0f', 4096), Buffer.alloc(4096, 'z'))
})

test('damaged chunks are reported', () => {
  for (const hex of ['ff bf 00', '02 b0 01 00 00', '01 b0 01 00', '03 b0 02 61 00 10', '06 b0 0e 7a fc 0f fc 0f']) {
    assert.throws(
      () => decode(hex, 4096),
      (error) => isImageError(error) && error.code === 'E_COMPRESSED',
      hex,
    )
  }
})
