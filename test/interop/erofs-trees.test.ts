import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { changeableBuffer, fuzz } from '../support/hostile-volumes.js'
import { loopsMissing } from '../support/loop.js'
import { assertSameFacts, fillPosix, hostFacts, treeFacts } from '../support/posix-trees.js'
import { run } from '../support/tools.js'
import { bufferVolume, content, haveAll, identify, openVolume, withKernelMount } from '../support/volumes.js'

/** How mkfs.erofs 1.5 compresses: indexes long and short, one block or several, the last part inside the inode. */
const packings: readonly (readonly string[])[] = [
  ['-zlz4'],
  ['-zlz4hc,12', '-C65536'],
  ['-zlz4', '-E', 'legacy-compress'],
  ['-zlz4', '-E', 'ztailpacking'],
  ['-zlz4hc', '-C16384', '-E', 'ztailpacking'],
  ['-zlz4', '--max-extent-bytes=8192'],
]

test('an EROFS tree is what the kernel reads', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mkfs.erofs')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(source)
  fillPosix(source)
  fs.writeFileSync(join(source, 'numbers'), Array.from({ length: 60_000 }, (_each, index) => `${index * 7}\n`).join(''))
  fs.writeFileSync(join(source, 'zeros and noise'), Buffer.concat([Buffer.alloc(3_000_001), diskLike(200_000, 3)]))
  for (const length of [1, 4095, 4096, 4097, 12_345])
    fs.writeFileSync(join(source, `text of ${length}`), 'text, '.repeat(length).slice(0, length))
  for (const options of [
    [],
    ['-E', 'force-inode-compact', '--all-root', '-T', '1234567890'],
    ['--chunksize=4096'],
    ['-E', 'noinline_data'],
    ...packings,
  ]) {
    const image = join(folder, 'image')
    fs.rmSync(image, { force: true })
    run('mkfs.erofs', '--quiet', ...options, image, source)
    const theirs = withKernelMount(image, join(folder, 'mount'), 'ro', () => hostFacts(join(folder, 'mount')))
    const found = identify(openVolume(t, image))
    assert.deepEqual(found?.issues, [])
    const tree = found.openTree?.()
    assert.ok(tree)
    assertSameFacts(treeFacts(tree), theirs, options.join(' '))
    assert.ok(theirs.size > 300)
  }
})

test('EROFS: what is not known is refused by name; changed bytes break nothing', (t) => {
  if (!haveAll(t, 'mkfs.erofs')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(join(source, 'below'), { recursive: true })
  fs.writeFileSync(join(source, 'below/file'), diskLike(100_000, 2))
  fs.writeFileSync(join(source, 'text'), 'text '.repeat(20_000))
  fs.symlinkSync('x'.repeat(100), join(source, 'link'))
  for (let index = 0; index < 200; index++) fs.writeFileSync(join(source, `number ${index}`), `content ${index}`)
  const image = join(folder, 'image')
  run('mkfs.erofs', '--quiet', '-zlz4', image, source)
  const packed = fs.readFileSync(image)
  const tree = identify(bufferVolume(packed))?.openTree?.()
  const text = tree?.find(tree.root, 'text')
  assert.ok(tree !== undefined && text !== undefined)
  assert.equal(Buffer.from(content(tree, text)).toString(), 'text '.repeat(20_000))
  // Its inode of 32 or 64 bytes, and the map of its clusters behind that.
  const inode = packed.readUInt32LE(1024 + 40) * 4096 + Number(text.id.replace('inode ', '')) * 32
  const map = inode + (packed.readUInt16LE(inode) % 2 === 0 ? 32 : 64)
  const refused = (at: number, value: number, message: RegExp): void => {
    const changed = Buffer.from(packed)
    changed[at] = value
    const other = identify(bufferVolume(changed))?.openTree?.()
    const file = other?.find(other.root, 'text')
    assert.ok(other !== undefined && file !== undefined)
    assert.throws(() => content(other, file), { code: 'E_FS_FEATURE', message })
  }
  refused(map + 6, 4, /compressed with algorithm 4, which is not known/)
  refused(map + 7, 2, /clusters of more than one block/)
  // Features of kernels that are newer than mkfs.erofs here.
  for (const [at, bit, message] of [
    [80, 0x80, /block numbers of 48 bits/],
    [81, 0x01, /inodes in a box of their own \(metabox\)/],
  ] as const) {
    const features = Buffer.from(packed)
    features[1024 + at] = bit
    const place = identify(bufferVolume(features))
    assert.throws(() => place?.openTree?.(), { code: 'E_FS_FEATURE', message })
  }
  fs.rmSync(image)
  run('mkfs.erofs', '--quiet', '-zlz4', '-E', 'legacy-compress', image, source)
  assertExtentsRefused(fs.readFileSync(image))
  for (const options of [[], ['--chunksize=4096'], ...packings]) {
    fs.rmSync(image)
    run('mkfs.erofs', '--quiet', ...options, image, source)
    const bytes = fs.readFileSync(image)
    fuzz(
      changeableBuffer(bytes),
      [
        [1024, 1152],
        [1152, Math.min(bytes.length - 8, 40_000)],
      ],
      60,
    )
    bytes.writeUInt16LE(60_000, 1024 + 14)
    assert.throws(() => identify(bufferVolume(bytes))?.openTree?.(), { code: 'E_FS_CORRUPT' })
  }
})

/** Long indexes, with the bit that says that they are a list of extents (Z_EROFS_ADVISE_EXTENTS). */
function assertExtentsRefused(bytes: Buffer): void {
  const tree = identify(bufferVolume(bytes))?.openTree?.()
  const text = tree?.find(tree.root, 'text')
  assert.ok(tree !== undefined && text !== undefined)
  assert.equal(content(tree, text).length, 100_000)
  const inode = bytes.readUInt32LE(1024 + 40) * 4096 + Number(text.id.replace('inode ', '')) * 32
  assert.equal((bytes.readUInt16LE(inode) >> 1) & 7, 1, 'the file has long indexes')
  const advice = inode + (bytes.readUInt16LE(inode) % 2 === 0 ? 32 : 64) + 4
  bytes.writeUInt16LE(bytes.readUInt16LE(advice) | 1, advice)
  const other = identify(bufferVolume(bytes))?.openTree?.()
  const file = other?.find(other.root, 'text')
  assert.ok(other !== undefined && file !== undefined)
  assert.throws(() => content(other, file), { code: 'E_FS_FEATURE', message: /lists extents/ })
}
