import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { changeableBuffer, fuzz } from '../support/hostile-volumes.js'
import { assertSameFacts, fillPosix, hostFacts, treeFacts } from '../support/posix-trees.js'
import { run } from '../support/tools.js'
import { bufferVolume, haveAll, identify, openVolume } from '../support/volumes.js'

/** Options of mksquashfs: every compression that it has, small and large blocks, without fragments, nothing packed. */
const layouts: readonly (readonly string[])[] = [
  ['-comp', 'gzip'],
  ['-comp', 'xz', '-b', '65536'],
  ['-comp', 'zstd', '-b', '1M', '-no-fragments'],
  ['-comp', 'lz4', '-b', '4096', '-always-use-fragments'],
  ['-comp', 'lzo', '-no-duplicates'],
  ['-noI', '-noD', '-noF', '-no-xattrs'],
]

test('a squashfs tree is what unsquashfs writes', (t) => {
  if (!haveAll(t, 'mksquashfs', 'unsquashfs')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(source)
  fillPosix(source, (at) => {
    fs.mkdirSync(at('folder of 3000'))
    for (let index = 0; index < 400; index++) fs.writeFileSync(at(`folder of 3000/a name of some length, ${index}`), '')
    const big = fs.openSync(at('big hole'), 'w')
    fs.writeSync(big, 'end', 9_000_000)
    fs.closeSync(big)
  })
  for (const [index, options] of layouts.entries()) {
    const image = join(folder, `image${index}`)
    run('mksquashfs', source, image, '-quiet', '-no-progress', '-processors', '1', ...options)
    const out = join(folder, `out${index}`)
    run('unsquashfs', '-quiet', '-no-progress', '-processors', '1', '-d', out, image)
    const found = identify(openVolume(t, image))
    assert.deepEqual(found?.issues, [])
    const tree = found.openTree?.()
    assert.ok(tree)
    const ours = treeFacts(tree)
    assertSameFacts(ours, hostFacts(out), options.join(' '))
    assert.ok(ours.size > 700)
    assert.equal(tree.root.modified, fs.statSync(out, { bigint: true }).mtimeNs)
    fs.rmSync(out, { recursive: true })
  }
})

test('changed bytes anywhere in squashfs break nothing, and damage is reported', (t) => {
  if (!haveAll(t, 'mksquashfs')) return
  const folder = testFolder(t)
  const source = join(folder, 'source')
  fs.mkdirSync(join(source, 'below'), { recursive: true })
  fs.writeFileSync(join(source, 'below/file'), diskLike(400_000, 2))
  fs.writeFileSync(join(source, 'small'), 'small')
  fs.symlinkSync('x'.repeat(100), join(source, 'link'))
  for (let index = 0; index < 300; index++) fs.writeFileSync(join(source, `number ${index}`), `content ${index}`)
  for (const options of [['-noI'], ['-comp', 'zstd'], ['-comp', 'lzo'], ['-comp', 'xz']]) {
    const image = join(folder, 'image')
    run('mksquashfs', source, image, '-quiet', '-no-progress', '-noappend', '-processors', '1', ...options)
    const bytes = fs.readFileSync(image)
    const tables = Number(bytes.readBigUInt64LE(64))
    fuzz(
      changeableBuffer(bytes),
      [
        [0, 96],
        [tables, bytes.length - 8],
        [tables, tables + 9000],
        [96, bytes.length - 8],
      ],
      40,
    )
    const changed = (at: number, value: bigint): unknown => {
      const copy = Buffer.from(bytes)
      copy.writeBigUInt64LE(value, at)
      return () => identify(bufferVolume(copy))?.openTree?.()
    }
    for (const [at, value] of [
      [32, 0xffffffffn],
      [48, 2n ** 63n],
      [64, 40n],
      [64, BigInt(bytes.length)],
    ] as const)
      assert.throws(changed(at, value) as () => unknown, { kind: 'corrupt' })
  }
  const lzma = Buffer.from(fs.readFileSync(join(folder, 'image')))
  lzma.writeUInt16LE(2, 20)
  assert.throws(() => identify(bufferVolume(lzma))?.openTree?.(), { code: 'E_FS_FEATURE', message: /lzma/ })
})
