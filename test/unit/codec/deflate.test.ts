import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import zlib from 'node:zlib'
import { codecFor, compressorFor, isShared } from '../../../src/codec/registry.js'
import { deflateRaw, deflateCodec } from '../../../src/codec/deflate.js'
import { codecLibraries } from '../../../src/sys/codec-libraries.js'
import { skipReason } from '../../support/complete.js'
import { diskLike } from '../../support/content.js'
import { walkDeflate } from '../../support/deflate-walk.js'

const damaged = { kind: 'corrupt', code: 'E_COMPRESSED' }

function decode(stored: Uint8Array, length: number): Uint8Array {
  const target = new Uint8Array(length).fill(0xee)
  deflateCodec.decode(stored, target)
  return target
}

test('deflate: what is compressed is decoded, at any level and length', () => {
  for (const length of [1, 512, 4096, 65536, 2097152]) {
    const plain = diskLike(length, length)
    for (const level of [undefined, 1, 6, 9])
      assert.equal(Buffer.compare(decode(deflateRaw(plain, level), length), plain), 0)
  }
})

test('deflate: other readers set a window of 4 KiB, and must be able to read what we write', () => {
  // Repeats at a distance of 20 KiB: a larger window would refer back that far.
  const plain = new Uint8Array(65536)
  const noise = diskLike(20480, 5)
  for (let at = 0; at < plain.length; at += noise.length)
    plain.set(noise.subarray(0, Math.min(noise.length, plain.length - at)), at)
  const packed = deflateRaw(plain)
  assert.equal(Buffer.compare(zlib.inflateRawSync(packed, { windowBits: 12 }), plain), 0)
  // The streams of others may use the whole 32 KiB.
  assert.equal(Buffer.compare(decode(zlib.deflateRawSync(plain, { windowBits: 15 }), 65536), plain), 0)
})

test('deflate: a stored block written by hand', () => {
  // RFC 1951, 3.2.4: final, stored, LEN and its complement.
  assert.deepEqual(decode(Uint8Array.from([1, 3, 0, 0xfc, 0xff, 65, 66, 67]), 3), Uint8Array.from([65, 66, 67]))
})

test('deflate: trailing bytes belong to something else', () => {
  const plain = diskLike(4096, 2)
  const packed = deflateRaw(plain)
  for (const garbage of [[0], new Array<number>(511).fill(0xff), [...packed]]) {
    assert.deepEqual(decode(Buffer.concat([packed, Buffer.from(garbage)]), 4096), plain)
  }
})

test('deflate: too short, too long, cut off', () => {
  const plain = diskLike(4096, 3)
  const packed = deflateRaw(plain)
  assert.throws(() => decode(packed, 4097), damaged)
  assert.throws(() => decode(packed, 4095), damaged)
  for (let length = 0; length < packed.length - 8; length++)
    assert.throws(() => decode(packed.subarray(0, length), 4096), damaged, `${length} bytes`)
  assert.throws(() => decode(new Uint8Array(0), 4096), damaged)
})

test('deflate: a zlib header is no raw deflate', () => {
  assert.throws(() => decode(zlib.deflateSync(diskLike(4096, 4)), 4096), damaged)
})

test('deflate: a bomb is refused without room for it', () => {
  const bomb = zlib.deflateRawSync(Buffer.alloc(256 * 1024 * 1024), { level: 9 })
  const before = process.memoryUsage.rss()
  assert.throws(() => decode(bomb, 65536), damaged)
  assert.ok(process.memoryUsage.rss() - before < 64 * 1024 * 1024)
})

test('deflate: any byte changed gives an error or a result, nothing else', () => {
  const packed = deflateRaw(diskLike(1024, 9))
  for (let at = 0; at < packed.length; at++) {
    const changed = Uint8Array.from(packed)
    changed[at]! ^= 0x91
    try {
      decode(changed, 1024)
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'E_COMPRESSED')
    }
  }
})

test('codecs are found by their ids', () => {
  assert.equal(codecFor('deflate'), deflateCodec)
  assert.ok(isShared(deflateCodec))
  assert.ok(!isShared({ ...deflateCodec }), 'another codec of the same id is not ours')
  assert.throws(() => codecFor('no-such'), { kind: 'unsupported', code: 'E_CODEC' })
  assert.throws(() => compressorFor('no-such'), { kind: 'unsupported', code: 'E_CODEC' })
  assert.ok((compressorFor('deflate')(new Uint8Array(4096))?.length ?? 4096) < 100)
  const noise = createHash('shake256', { outputLength: 512 }).update('noise').digest()
  assert.equal(compressorFor('deflate')(noise), undefined)
})

/** Repeats of a noise at a distance, so that a match of exactly that distance is worth most. */
function repeated(distance: number, length: number): Uint8Array {
  const noise = Uint8Array.from({ length: distance }, (_, at) => (Math.imul(at + 1, 2654435761) >>> 13) % 256)
  return Uint8Array.from({ length }, (_, at) => noise[at % distance] ?? 0)
}

/** Contents that tempt a compressor to reach far back. */
function* tempting(): Generator<Uint8Array> {
  for (const length of [512, 4096, 65536, 2097152]) {
    yield diskLike(length, length + 1)
    yield new Uint8Array(length)
    for (const distance of [100, 4095, 4096, 4097, 5000, 20480, 32768]) yield repeated(distance, length)
  }
}

test('deflate: no match reaches further back than the 4 KiB that QCOW2 allows', () => {
  // The walk sees what is too far: zlib with its usual window is.
  assert.ok(walkDeflate(zlib.deflateRawSync(repeated(20480, 65536))).furthest > 4096)
  for (const plain of tempting()) {
    const packed = deflateRaw(plain)
    const { furthest, length } = walkDeflate(packed)
    assert.equal(length, plain.length)
    assert.ok(furthest <= 4096, `${furthest} bytes back`)
    assert.equal(Buffer.compare(zlib.inflateRawSync(packed, { windowBits: 12 }), plain), 0)
  }
})

const inherited = process.env['VDISK_NO_NATIVE_CODECS']
const missing =
  inherited !== undefined
    ? 'turned off'
    : skipReason(
        codecLibraries().deflate === undefined || codecLibraries().inflate === undefined
          ? 'needs koffi, libisal.so.2 and libdeflate.so.0'
          : undefined,
      )

test('deflate: the libraries of the system are used, and agree with zlib', { skip: missing }, () => {
  const { deflate, inflate } = codecLibraries()
  for (const plain of tempting()) {
    const packed = deflate!(plain)!
    assert.deepEqual(deflateRaw(plain), packed)
    assert.equal(Buffer.compare(zlib.inflateRawSync(packed), plain), 0)
    const target = new Uint8Array(new SharedArrayBuffer(plain.length + 100), 50, plain.length)
    assert.ok(inflate!(zlib.deflateRawSync(plain), target))
    assert.equal(Buffer.compare(target, plain), 0)
  }
})

test('deflate: with SOURCE_DATE_EPOCH, and at a level, zlib compresses', (t) => {
  const plain = diskLike(65536, 3)
  const before = process.env['SOURCE_DATE_EPOCH']
  t.after(() => {
    if (before === undefined) delete process.env['SOURCE_DATE_EPOCH']
    else process.env['SOURCE_DATE_EPOCH'] = before
  })
  const byZlib = (level: number): Buffer => zlib.deflateRawSync(plain, { level, windowBits: 12 })
  assert.deepEqual(Buffer.from(deflateRaw(plain, 9)), byZlib(9))
  process.env['SOURCE_DATE_EPOCH'] = '0'
  assert.deepEqual(Buffer.from(deflateRaw(plain)), byZlib(6))
})

test('codecs: the same holds without the libraries of the system', { skip: inherited !== undefined }, () => {
  const files = ['deflate.test.js', 'zstd.test.js'].map((name) => fileURLToPath(new URL(name, import.meta.url)))
  const env: NodeJS.ProcessEnv = { ...process.env, VDISK_NO_NATIVE_CODECS: '1' }
  delete env['NODE_TEST_CONTEXT']
  const { status, stdout } = spawnSync(process.execPath, ['--test', ...files], {
    encoding: 'utf8',
    env,
  })
  assert.equal(status, 0, stdout)
})
