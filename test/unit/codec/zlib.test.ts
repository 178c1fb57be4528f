import assert from 'node:assert/strict'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { codecFor, poolCodec } from '../../../src/codec/registry.js'
import { codecLibraries } from '../../../src/sys/codec-libraries.js'
import { skipReason } from '../../support/complete.js'
import { diskLike } from '../../support/content.js'

const damaged = { kind: 'corrupt', code: 'E_COMPRESSED' }

function decode(stored: Uint8Array, length: number): Uint8Array {
  const target = new Uint8Array(length).fill(0xee)
  codecFor('zlib').decode(stored, target)
  return target
}

/** A stream with one of its last four bytes, the checksum, changed. */
function wrongChecksum(packed: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(packed)
  changed[changed.length - 1]! ^= 1
  return changed
}

test('zlib: streams of every level and window, with bytes behind them', () => {
  for (const length of [1, 512, 32768, 65536])
    for (const level of [0, 1, 6, 9])
      for (const windowBits of [9, 15]) {
        const plain = diskLike(length, level)
        const packed = zlib.deflateSync(plain, { level, windowBits })
        assert.equal(Buffer.compare(decode(packed, length), plain), 0)
        assert.equal(Buffer.compare(decode(Buffer.concat([packed, Buffer.alloc(511, 0xa5)]), length), plain), 0)
      }
})

test('zlib: wrong checksums and headers, cut, shorter and longer streams are refused, whatever decodes them', () => {
  const plain = diskLike(4096, 7)
  const packed = zlib.deflateSync(plain)
  for (const [name, stored, length] of [
    ['its checksum', wrongChecksum(packed), 4096],
    ['its header', Buffer.concat([Buffer.of(0x79), packed.subarray(1)]), 4096],
    ['half of it', packed.subarray(0, packed.length / 2), 4096],
    ['without its checksum', packed.subarray(0, -4), 4096],
    ['nothing', new Uint8Array(0), 4096],
    ['less than is asked for', packed, 4097],
    ['more than is asked for', packed, 4095],
    ['raw deflate', zlib.deflateRawSync(plain), 4096],
  ] as const)
    assert.throws(() => decode(stored, length), damaged, name)
})

const missing = skipReason(codecLibraries().inflateZlib === undefined ? 'needs koffi and libdeflate.so.0' : undefined)

test('zlib in the pool: as in this thread', { skip: missing }, async () => {
  const inPool = async (input: Uint8Array, output: Uint8Array): Promise<boolean | undefined> =>
    (await poolCodec('zlib').decode?.([{ input, output }]))?.[0]
  const plain = diskLike(65536, 8)
  const packed = zlib.deflateSync(plain)
  const target = new Uint8Array(new SharedArrayBuffer(plain.length))
  assert.equal(await inPool(packed, target), true)
  assert.equal(Buffer.compare(target, plain), 0)
  assert.equal(await inPool(wrongChecksum(packed), target), false)
  assert.equal(await inPool(packed.subarray(0, 100), target), false)
  assert.equal(await inPool(packed, target.subarray(1)), false)
})
