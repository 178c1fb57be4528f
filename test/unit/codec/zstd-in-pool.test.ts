import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { Input } from '../../../src/codec/stream/input.js'
import { fzstdFrames, decodeZstd } from '../../../src/codec/stream/zstd.js'
import { ZstdInPool } from '../../../src/codec/stream/zstd-in-pool.js'
import { isImageError } from '../../../src/errors.js'
import { streamLibraries } from '../../../src/sys/stream-libraries.js'
import { by } from '../../support/compress.js'
import { diskLike } from '../../support/content.js'
import { testFolder } from '../../support/folder.js'
import { skipReason } from '../../support/complete.js'
import { have } from '../../support/tools.js'

const mebibyte = 1024 * 1024
const content = Buffer.concat([diskLike(3 * mebibyte + 5, 1), Buffer.alloc(mebibyte), diskLike(mebibyte, 2)])

/** Whether libzstd is there, and zstd, which makes the streams. */
function ready(t: TestContext): boolean {
  if (streamLibraries().zstd !== undefined) return have(t, 'zstd') && have(t, 'pzstd')
  t.skip(process.env['VDISK_NO_NATIVE_CODECS'] ?? skipReason('libzstd is not installed'))
  return false
}

/** Content, or the code of the error. */
type Answer = Buffer | string

async function answer(decode: () => AsyncIterable<Uint8Array>): Promise<Answer> {
  const pieces: Uint8Array[] = []
  try {
    for await (const piece of decode()) pieces.push(Uint8Array.from(piece))
  } catch (error) {
    if (!isImageError(error)) throw error
    return error.code
  }
  return Buffer.concat(pieces)
}

/** By JavaScript, frame by frame. */
function byPackage(stored: Buffer): Promise<Answer> {
  const read = (at: number, target: Uint8Array): void => target.set(stored.subarray(at, at + target.length))
  return answer(() => decodeZstd(new Input('it', read, 0, stored.length), fzstdFrames))
}

/** By the library, in reads of those lengths in turn: 0 is one that waits. */
async function inPool(descriptor: number, end: number, lengths: readonly number[]): Promise<Answer> {
  return await answer(async function* () {
    using decoder = ZstdInPool.open({ descriptor, start: 0, end, name: 'it', codec: 'zstd' })
    for (let turn = 0; ; turn++) {
      const length = lengths[turn % lengths.length] ?? 0
      const target = new Uint8Array(length)
      const piece = length === 0 ? decoder?.next() : target.subarray(0, await decoder?.into(target))
      if (piece === undefined || (length > 0 && piece.length === 0)) return
      yield piece
      if (piece.length < length) return
    }
  })
}

test('libzstd in the pool gives what JavaScript does, of sound and of damaged streams', async (t) => {
  if (!ready(t)) return
  const sound = by('zstd', ['-qc', `--stream-size=${content.length}`], content)
  const unsized = by('zstd', ['-qc', '--no-check'], content)
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
  const flipped = (at: number): Buffer => {
    const bytes = Buffer.from(sound)
    bytes[at]! ^= 0x55
    return bytes
  }
  const streams = {
    sound,
    unsized,
    'two frames': Buffer.concat([sound, unsized]),
    'small frames': by('pzstd', ['-qc', '-p', '4'], content),
    'skippable frames': Buffer.concat([skipped, sound, skipped, skipped]),
    'no frame but skippable ones': Buffer.concat([skipped, skipped]),
    padding: Buffer.concat([sound, Buffer.alloc(5000)]),
    'no content': by('zstd', ['-qc'], Buffer.alloc(0)),
    'something behind': Buffer.concat([sound, Buffer.from('rubbish')]),
    'three bytes behind': Buffer.concat([sound, Buffer.from('rub')]),
    'half a skippable frame': Buffer.concat([sound, skipped.subarray(0, 9)]),
    'no stream': Buffer.from('rubbish, and nothing else'),
    ...Object.fromEntries([4, 20, 5000, sound.length - 5, sound.length - 1].map((at) => [`byte ${at}`, flipped(at)])),
    ...Object.fromEntries(
      [3, 6, 9, 300_000, sound.length - 5, sound.length - 1].map((at) => [`cut ${at}`, sound.subarray(0, at)]),
    ),
  }
  const folder = testFolder(t)
  for (const [name, stored] of Object.entries(streams)) {
    const path = join(folder, 'it.zst')
    fs.writeFileSync(path, stored)
    const descriptor = fs.openSync(path, 'r')
    try {
      const expected = await byPackage(stored)
      for (const lengths of [[0], [mebibyte], [300_000, 0, 1, 2 * mebibyte]]) {
        const given = await inPool(descriptor, stored.length, lengths)
        if (typeof expected === 'string') assert.equal(given, expected, `${name}: ${lengths.join(', ')}`)
        else assert.equal(Buffer.compare(given as Buffer, expected), 0, `${name}: ${lengths.join(', ')}`)
      }
    } finally {
      fs.closeSync(descriptor)
    }
  }
})

test('what is stopped while the pool is at work is freed afterwards, and another codec is none of its', async (t) => {
  if (!ready(t)) return
  const path = join(testFolder(t), 'it.zst')
  fs.writeFileSync(path, by('zstd', ['-qc'], content))
  const descriptor = fs.openSync(path, 'r')
  const request = { descriptor, start: 0, end: fs.statSync(path).size, name: 'it', codec: 'zstd' }
  try {
    const decoder = ZstdInPool.open(request)
    const target = new Uint8Array(mebibyte)
    const pending = decoder?.into(target)
    assert.equal(decoder?.isBusy, true)
    decoder[Symbol.dispose]()
    assert.equal(await pending, mebibyte)
    assert.equal(Buffer.compare(target, content.subarray(0, mebibyte)), 0)
    assert.equal(ZstdInPool.open({ ...request, codec: 'gzip' }), undefined)
    assert.equal(ZstdInPool.open({ ...request, expected: { size: 1, crc32: 1 } }), undefined)
  } finally {
    fs.closeSync(descriptor)
  }
})
