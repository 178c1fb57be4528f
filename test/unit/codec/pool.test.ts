import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import zlib from 'node:zlib'
import { poolRoom } from '../../../src/block/types.js'
import { codecFor, poolCodec } from '../../../src/codec/registry.js'
import { codecLibraries } from '../../../src/sys/codec-libraries.js'
import { skipReason } from '../../support/complete.js'
import { diskLike } from '../../support/content.js'

const libraries = codecLibraries()
const missing = skipReason(
  Object.values(libraries).filter((found) => found !== undefined).length < 4
    ? 'needs koffi, libisal.so.2, libdeflate.so.0 and libzstd.so.1'
    : undefined,
)
const shared = (length: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(length))

for (const id of ['deflate', 'zstd']) {
  test(`${id} in the pool: many units at a time come back as they were`, { skip: missing }, async () => {
    const { decode, encoder } = poolCodec(id)
    const encode = encoder?.()
    assert.ok(decode !== undefined && encode !== undefined)
    const batch = async (first: number): Promise<void> => {
      const units = Array.from({ length: 10 }, (_, index) => ({
        input: diskLike(65536, first + index),
        output: shared(poolRoom(65536)),
      }))
      const lengths = await encode(units)
      const packed = units.map(({ output }, index) => ({
        input: Uint8Array.from(output.subarray(0, lengths[index])),
        output: shared(65536),
      }))
      // One that is damaged among others.
      const damaged = { input: new Uint8Array(100).fill(0xff), output: shared(65536) }
      const given = [...packed.slice(0, 4), damaged, ...packed.slice(4)]
      assert.deepEqual(
        await decode(given),
        given.map((unit) => unit !== damaged),
      )
      for (const [index, { input: plain }] of units.entries()) {
        const here = new Uint8Array(plain.length)
        codecFor(id).decode(packed[index]!.input, here)
        assert.equal(Buffer.compare(packed[index]!.output, plain), 0)
        assert.equal(Buffer.compare(here, plain), 0)
      }
    }
    assert.deepEqual(await encode([]), [])
    await Promise.all([0, 10, 20, 30].map(batch))
  })

  test(`${id} in the pool: what cannot be compressed has room`, { skip: missing }, async () => {
    for (const size of [512, 65536, 2097152]) {
      const plain = Buffer.alloc(size)
      for (let at = 0; at < size; at += 4) plain.writeUInt32LE(Math.imul(at + 1, 2654435761) >>> 0, at)
      const output = shared(poolRoom(size))
      const [length] = (await poolCodec(id).encoder?.()?.([{ input: plain, output }])) ?? []
      assert.ok(length !== undefined && length <= output.length)
      const target = shared(size)
      assert.deepEqual(await poolCodec(id).decode?.([{ input: output.subarray(0, length), output: target }]), [true])
      assert.equal(Buffer.compare(target, plain), 0)
    }
  })

  test(`${id} in the pool: damaged, cut and longer units are refused`, { skip: missing }, async () => {
    const plain = diskLike(4096, 9)
    const packed = Uint8Array.from(codecFor(id).encode!(plain))
    const target = shared(plain.length)
    const decode = async (input: Uint8Array, output: Uint8Array): Promise<boolean | undefined> =>
      (await poolCodec(id).decode?.([{ input, output }]))?.[0]
    assert.equal(await decode(packed.subarray(0, packed.length / 2), target), false)
    assert.equal(await decode(new Uint8Array(100).fill(0xff), target), false)
    assert.equal(await decode(new Uint8Array(0), target), false)
    assert.equal(await decode(packed, shared(plain.length - 1)), false)
    assert.equal(await decode(packed, shared(plain.length + 1)), false)
    assert.equal(await decode(Buffer.concat([packed, Buffer.alloc(700, 0xa5)]), target), true)
    assert.equal(Buffer.compare(target, plain), 0)
  })
}

test('deflate in the pool: the same bytes as in a thread of its own', { skip: missing }, async () => {
  for (const seed of [1, 2, 3]) {
    const plain = diskLike(65536, seed)
    const output = shared(poolRoom(plain.length))
    const [length] = (await poolCodec('deflate').encoder?.()?.([{ input: plain, output }])) ?? []
    assert.deepEqual(Uint8Array.from(output.subarray(0, length)), Uint8Array.from(codecFor('deflate').encode!(plain)))
    assert.equal(Buffer.compare(zlib.inflateRawSync(output.subarray(0, length)), plain), 0)
  }
})

test('in the pool nothing is compressed where output is to be the same everywhere', { skip: missing }, (t) => {
  const before = process.env['SOURCE_DATE_EPOCH']
  t.after(() => {
    if (before === undefined) delete process.env['SOURCE_DATE_EPOCH']
    else process.env['SOURCE_DATE_EPOCH'] = before
  })
  assert.equal(poolCodec('deflate').encoder?.(6), undefined)
  process.env['SOURCE_DATE_EPOCH'] = '0'
  assert.equal(poolCodec('deflate').encoder?.(), undefined)
  assert.equal(poolCodec('zstd').encoder?.(), undefined)
})

/** The block, damaged or cut, with the length of the content to be had, and whether that is to be refused. */
function xzCases(plain: Uint8Array): (readonly [input: Uint8Array, length: number, sound: boolean])[] {
  const block = codecFor('xz-block-4').encode?.(plain) ?? assert.fail()
  const changed = (at: number): Uint8Array => Uint8Array.from(block, (byte, index) => (index === at ? byte ^ 4 : byte))
  return [
    [block, plain.length, true],
    [block, plain.length - 1, false],
    [block, plain.length + 1, false],
    [block.subarray(0, block.length - 1), plain.length, false],
    [Buffer.concat([block, new Uint8Array(4)]), plain.length, false],
    [Buffer.concat([block, new Uint8Array(5000)]), plain.length, false],
    [new Uint8Array(100).fill(0xff), plain.length, false],
    ...[0, 5, 1000, block.length - 1].map((at) => [changed(at), plain.length, false] as const),
    [block, plain.length, true],
  ]
}

test('xz blocks in the pool: what is damaged, cut, or of another length is refused', async (t) => {
  const { decode } = poolCodec('xz-block-4')
  if (decode === undefined) {
    t.skip(process.env['VDISK_NO_NATIVE_CODECS'] ?? skipReason('liblzma is not installed'))
    return
  }
  const plain = diskLike(300_000, 1)
  const cases = xzCases(plain)
  const units = cases.map(([input, length]) => ({ input, output: shared(length) }))
  assert.deepEqual(
    await decode(units),
    cases.map(([, , sound]) => sound),
  )
  for (const index of [0, cases.length - 1]) assert.equal(Buffer.compare(units[index]!.output, plain), 0)
})

test('long xz blocks in the pool are read in pieces, with the same outcome', async (t) => {
  const { decodeLong } = poolCodec('xz-block-4')
  if (decodeLong === undefined) {
    t.skip(process.env['VDISK_NO_NATIVE_CODECS'] ?? skipReason('liblzma is not installed'))
    return
  }
  // What compresses to less than a piece, and what takes several and ends near the end of one.
  for (const plain of [diskLike(300_000, 1), randomBytes(1_048_000), randomBytes(2_500_000)]) {
    for (const [input, length, sound] of xzCases(plain)) {
      const output = shared(length)
      let longest = 0
      const read = (at: number, target: Uint8Array): Promise<number> => {
        longest = Math.max(longest, target.length)
        const found = input.subarray(at, at + target.length)
        target.set(found)
        return Promise.resolve(found.length)
      }
      assert.equal(await decodeLong(input.length, read, output), sound)
      if (sound) assert.equal(Buffer.compare(output, plain), 0)
      assert.ok(longest <= 1_048_576, `${longest} bytes were read at once`)
      // Its end cannot be read.
      const short = async (at: number, target: Uint8Array): Promise<number> => (await read(at, target)) - 1
      assert.equal(await decodeLong(input.length, short, output), false)
    }
  }
})
