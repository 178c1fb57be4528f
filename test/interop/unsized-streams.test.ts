import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ForwardStore } from '../../src/codec/stream/forward-store.js'
import { convert } from '../../src/index.js'
import { by } from '../support/compress.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

/** Streams that do not say how large their content is become raw files in one pass. */

const mebibyte = 1024 * 1024
const disk = Buffer.concat([diskLike(3 * mebibyte + 512, 1), Buffer.alloc(4 * mebibyte), diskLike(2 * mebibyte, 2)])

const streams = [
  ['zstd', ['-qc'], 'zst', disk],
  // A whole number of pieces, and less than one.
  ['zstd', ['-qc'], 'zst', disk.subarray(0, 4 * mebibyte)],
  ['zstd', ['-qc'], 'zst', disk.subarray(0, 65536)],
  ['gzip', ['-1c'], 'gz', disk],
  ['lz4', ['-qc'], 'lz4', disk],
  ['bzip2', ['-1c'], 'bz2', disk.subarray(0, 90_000 - 512)],
] as const

for (const [tool, args, extension, content] of streams) {
  test(`${tool} of ${content.length} bytes: decoded once, straight into the new file`, async (t) => {
    if (!have(t, tool)) return
    const folder = testFolder(t)
    const at = (file: string): string => join(folder, file)
    fs.writeFileSync(at(`disk.raw.${extension}`), by(tool, args, content), { mode: 0o640 })
    const survey = t.mock.method(ForwardStore.prototype, 'survey')
    const fetched = t.mock.method(ForwardStore.prototype, 'fetch')
    const once = t.mock.method(ForwardStore.prototype, 'fetchUpTo')
    const { source, target, bytesRead } = await convert(at(`disk.raw.${extension}`), at('out.raw'), {})
    assert.deepEqual([survey.mock.callCount(), fetched.mock.callCount()], [0, 0])
    assert.ok(once.mock.callCount() > 0)
    assert.deepEqual([source.access, bytesRead, target.size], ['stream', content.length, content.length])
    assert.ok(fs.readFileSync(at('out.raw')).equals(content))
    assert.deepEqual(fs.readdirSync(folder).sort(), [`disk.raw.${extension}`, 'out.raw'])
    // Nobody may read the copy who may not read the original.
    assert.equal(fs.statSync(at('out.raw')).mode % 8, 0)
    if (content !== disk) return
    const holes = fs.statSync(at('out.raw')).blocks * 512
    assert.ok(holes <= content.length - 3 * mebibyte, `${holes} bytes are allocated: zeros are holes`)
  })
}

test('what is not a raw disk to its end is read where it was unpacked', async (t) => {
  if (!have(t, 'zstd')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  fs.writeFileSync(at('disk.raw'), disk.subarray(0, 8 * mebibyte))
  await convert(at('disk.raw'), at('disk.vhd'), { options: { subformat: 'fixed' } })
  fs.writeFileSync(at('disk.zst'), by('zstd', ['-qc'], fs.readFileSync(at('disk.vhd'))))
  const { source } = await convert(at('disk.zst'), at('out.raw'), {})
  assert.deepEqual([source.format, source.access], ['vhd', 'scratch'])
  assert.ok(
    fs
      .readFileSync(at('out.raw'))
      .subarray(0, 8 * mebibyte)
      .equals(disk.subarray(0, 8 * mebibyte)),
  )
  assert.deepEqual(fs.readdirSync(folder).sort(), ['disk.raw', 'disk.vhd', 'disk.zst', 'out.raw'])
})

test('nothing is left of a stream that is damaged, or of a conversion that is interrupted', async (t) => {
  if (!have(t, 'zstd')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  const stored = by('zstd', ['-qc'], disk)
  fs.writeFileSync(at('disk.raw.zst'), stored)
  fs.writeFileSync(at('cut.raw.zst'), stored.subarray(0, stored.length - 100_000))
  await assert.rejects(convert(at('cut.raw.zst'), at('out.raw'), {}), { code: 'E_TRUNCATED' })
  const stop = new AbortController()
  const onProgress = ({ phase, done }: { phase: string; done: number }): void => {
    if (phase === 'unpack' && done > 0) stop.abort()
  }
  const interrupted = convert(at('disk.raw.zst'), at('out.raw'), { signal: stop.signal, onProgress })
  await assert.rejects(interrupted, { code: 'E_ABORTED', hint: 'The unfinished target was removed.' })
  assert.deepEqual(fs.readdirSync(folder).sort(), ['cut.raw.zst', 'disk.raw.zst'])
})

test('a target that cannot be is refused before anything is decoded', async (t) => {
  if (!have(t, 'zstd')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  fs.writeFileSync(at('disk.raw.zst'), by('zstd', ['-qc'], disk))
  fs.writeFileSync(at('out.raw'), 'something else')
  fs.linkSync(at('disk.raw.zst'), at('same.raw'))
  const decoded = t.mock.method(ForwardStore.prototype, 'fetchUpTo')
  await assert.rejects(convert(at('disk.raw.zst'), at('out.raw'), {}), { code: 'E_EXISTS' })
  await assert.rejects(convert(at('disk.raw.zst'), at('same.raw'), { force: true }), { code: 'E_SAME_FILE' })
  assert.equal(decoded.mock.callCount(), 2, 'the first bytes, to learn what it is')
  assert.equal(fs.readFileSync(at('out.raw'), 'utf8'), 'something else')
  await convert(at('disk.raw.zst'), at('out.raw'), { force: true, rate: 1024 * mebibyte })
  assert.ok(fs.readFileSync(at('out.raw')).equals(disk))
})

test('where the target is to hold something else, the stream is read as before', async (t) => {
  if (!have(t, 'zstd')) return
  const folder = testFolder(t)
  const at = (file: string): string => join(folder, file)
  fs.writeFileSync(at('disk.raw.zst'), by('zstd', ['-qc'], disk))
  const once = t.mock.method(ForwardStore.prototype, 'fetchUpTo')
  await convert(at('disk.raw.zst'), at('large.raw'), { size: 16 * mebibyte })
  await convert(at('disk.raw.zst'), at('full.raw'), { options: { preallocation: 'full' } })
  await convert(at('disk.raw.zst'), at('verified.raw'), { verify: true })
  await convert(at('disk.raw.zst'), at('disk.raw.gz'), {})
  assert.equal(once.mock.callCount(), 0)
  assert.equal(fs.statSync(at('large.raw')).size, 16 * mebibyte)
  assert.ok(fs.readFileSync(at('full.raw')).equals(disk) && fs.readFileSync(at('verified.raw')).equals(disk))
  assert.ok(by('gzip', ['-dc'], fs.readFileSync(at('disk.raw.gz'))).equals(disk))
})
