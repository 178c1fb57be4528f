import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { compressorFor, codecFor, isShared } from '../../../src/codec/registry.js'
import { decodeFrames, zstdCodec, zstdCompress, zstdEngines } from '../../../src/codec/zstd.js'
import { diskLike } from '../../support/content.js'

const { encoders, decoders } = zstdEngines()

const magic = [0x28, 0xb5, 0x2f, 0xfd]

/** A block header (RFC 8878, 3.1.1.2): 0 raw, 1 run length, 2 compressed, 3 reserved. */
function block(type: number, size: number, last: boolean, body: Uint8Array): Uint8Array {
  const header = Buffer.alloc(3)
  header.writeUIntLE((size << 3) | (type << 1) | (last ? 1 : 0), 0, 3)
  return Buffer.concat([header, body])
}

/** A frame written by hand: a window descriptor, no content size. */
function frame(blocks: Uint8Array[], { descriptor = 0, window = 0x10, checksum = [] as number[] } = {}): Uint8Array {
  return Buffer.concat([Buffer.from([...magic, descriptor, window]), ...blocks, Buffer.from(checksum)])
}

const rawFrame = (bytes: Uint8Array, options = {}): Uint8Array => frame([block(0, bytes.length, true, bytes)], options)

function skippable(length: number): Uint8Array {
  const bytes = Buffer.alloc(8 + length, 0xaa)
  bytes.writeUInt32LE(0x184d2a53, 0)
  bytes.writeUInt32LE(length, 4)
  return bytes
}

const sample = diskLike(1000, 3).fill(7, 0, 300)
const damaged = { kind: 'corrupt', code: 'E_COMPRESSED' }

test('WebAssembly is always among the engines', () => {
  assert.equal(encoders.at(-1)?.name, 'wasm')
  assert.equal(decoders.at(-1)?.name, 'wasm')
})

for (const engine of decoders) {
  const decode = (stored: Uint8Array, length: number): Uint8Array => {
    const target = new Uint8Array(length).fill(0xee)
    decodeFrames(engine, stored, target)
    return target
  }

  test(`zstd by ${engine.name}: what is compressed it decodes, at several levels and lengths`, () => {
    for (const length of [512, 4096, 65536, 2097152]) {
      const plain = diskLike(length, length)
      for (const level of [1, 3, 19]) {
        if (level === 19 && length > 65536) continue
        const packed = zstdCompress(plain, level)
        assert.equal(Buffer.compare(decode(packed, length), plain), 0)
      }
    }
  })

  test(`zstd by ${engine.name}: trailing garbage is not part of the stream, whatever it is`, () => {
    const packed = zstdCompress(sample)
    for (const garbage of [[0], [0xff, 0xff, 0xff, 0xff], [...magic], new Array<number>(600).fill(0x55)]) {
      assert.deepEqual(decode(Buffer.concat([packed, Buffer.from(garbage)]), 1000), sample)
    }
  })

  test(`zstd by ${engine.name}: cut short anywhere is damage`, () => {
    const packed = zstdCompress(sample)
    for (let length = 0; length < packed.length; length++)
      assert.throws(() => decode(packed.subarray(0, length), 1000), damaged, `${length} bytes`)
  })

  test(`zstd by ${engine.name}: a frame without content size, one of 128 MiB window`, () => {
    assert.deepEqual(decode(rawFrame(sample), 1000), sample)
    assert.deepEqual(decode(rawFrame(sample, { window: 0x88 }), 1000), sample)
    assert.throws(() => decode(rawFrame(sample, { window: 0xff }), 1000), damaged)
  })

  test(`zstd by ${engine.name}: two frames, a skippable frame, empty frames`, () => {
    const halves = Buffer.concat([zstdCompress(sample.subarray(0, 400), 3), rawFrame(sample.subarray(400))])
    assert.deepEqual(decode(halves, 1000), sample)
    assert.deepEqual(decode(Buffer.concat([skippable(0), skippable(33), halves]), 1000), sample)
    assert.deepEqual(decode(Buffer.concat([rawFrame(new Uint8Array(0)), halves]), 1000), sample)
    assert.throws(() => decode(skippable(100), 1000), damaged)
    const beyond = skippable(100)
    beyond[4] = 200
    assert.throws(() => decode(Buffer.concat([beyond, halves]).subarray(0, 150), 1000), damaged)
  })

  test(`zstd by ${engine.name}: a checksum is checked`, () => {
    // The low four bytes of XXH64 of no bytes at all are 0x51d8e999 (the published value for seed 0 is
    // 0xef46db3751d8e999).
    const empty = frame([block(0, 0, true, new Uint8Array(0))], { descriptor: 4, checksum: [0x99, 0xe9, 0xd8, 0x51] })
    assert.deepEqual(decode(Buffer.concat([empty, rawFrame(sample)]), 1000), sample)
    const wrong = Uint8Array.from(empty)
    wrong[wrong.length - 1]! ^= 1
    assert.throws(() => decode(Buffer.concat([wrong, rawFrame(sample)]), 1000), damaged)
    assert.throws(() => decode(rawFrame(sample, { descriptor: 4, checksum: [1, 2, 3, 4] }), 1000), damaged)
  })

  test(`zstd by ${engine.name}: too much and too little`, () => {
    assert.throws(() => decode(zstdCompress(sample), 999), damaged)
    assert.throws(() => decode(rawFrame(sample), 999), damaged)
    assert.throws(() => decode(zstdCompress(sample), 1001), damaged)
  })

  test(`zstd by ${engine.name}: a bomb is refused without room for it`, () => {
    // Each run length block gives 128 KiB for four bytes.
    const runs = Array.from({ length: 30_000 }, (_, index) => block(1, 131072, index === 29_999, Uint8Array.of(0)))
    const before = process.memoryUsage.rss()
    assert.throws(() => decode(frame(runs, { window: 0x38 }), 65536), damaged)
    assert.ok(process.memoryUsage.rss() - before < 200 * 1024 * 1024)
    const empty = Buffer.concat(Array.from({ length: 200_000 }, () => Buffer.from([...magic, 0x20, 0, 1, 0, 0])))
    assert.throws(() => decode(empty, 65536), damaged)
  })

  test(`zstd by ${engine.name}: header bits that must not be`, () => {
    assert.throws(() => decode(rawFrame(sample, { descriptor: 8 }), 1000), damaged)
    assert.throws(() => decode(frame([block(3, 10, true, new Uint8Array(10))]), 10), damaged)
    assert.throws(() => decode(new Uint8Array(1000), 1000), damaged)
    assert.throws(() => decode(Uint8Array.from(magic), 1000), damaged)
    // Lies about its size: 1000 bytes stated, 10 there.
    assert.throws(
      () =>
        decode(
          Buffer.concat([Buffer.from([...magic, 0x60, 0xe8, 0x02]), block(0, 10, true, new Uint8Array(10))]),
          1000,
        ),
      damaged,
    )
  })

  test(`zstd by ${engine.name}: any byte changed gives an error or a result, nothing else`, () => {
    const packed = zstdCompress(sample)
    for (let at = 0; at < packed.length; at++) {
      const changed = Uint8Array.from(packed)
      changed[at]! ^= 0x41
      try {
        decode(changed, 1000)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'E_COMPRESSED', `byte ${at}: ${String(error)}`)
      }
    }
  })
}

test('zstd: every engine reads what every other wrote', () => {
  const plain = diskLike(65536, 11)
  for (const writer of encoders) {
    const packed = writer.compress(plain, 3)
    for (const reader of decoders) {
      const target = new Uint8Array(65536)
      decodeFrames(reader, packed, target)
      assert.equal(Buffer.compare(target, plain), 0, `${writer.name} to ${reader.name}`)
    }
  }
})

test('zstd: the door chooses an engine, and a compressor gives nothing where nothing is gained', () => {
  assert.equal(codecFor('zstd'), zstdCodec)
  assert.ok(isShared(zstdCodec))
  const plain = new Uint8Array(65536).fill(3)
  const packed = compressorFor('zstd')(plain)
  assert.ok(packed !== undefined && packed.length < 100)
  const target = new Uint8Array(65536)
  zstdCodec.decode(packed, target)
  assert.deepEqual(target, plain)
  const noise = createHash('shake256', { outputLength: 4096 }).update('noise').digest()
  assert.equal(compressorFor('zstd', 19)(noise), undefined)
  assert.ok(zstdCompress(noise).length >= noise.length)
})
