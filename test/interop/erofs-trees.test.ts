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
  for (const options of [
    [],
    ['-E', 'force-inode-compact', '--all-root', '-T', '1234567890'],
    ['--chunksize=4096'],
    ['-E', 'noinline_data'],
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

test('EROFS: what is compressed is refused by name; changed bytes break nothing', (t) => {
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
  const tree = identify(openVolume(t, image))?.openTree?.()
  const text = tree?.find(tree.root, 'text')
  assert.ok(tree !== undefined && text !== undefined)
  assert.throws(() => content(tree, text), { code: 'E_FS_FEATURE', message: /compressed/ })
  for (const options of [[], ['--chunksize=4096']]) {
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
