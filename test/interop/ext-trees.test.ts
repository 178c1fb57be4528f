import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskLike } from '../support/content.js'
import { comparable, copied, fill, seen } from '../support/file-trees.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll, identify, openVolume, withKernelMount } from '../support/volumes.js'

const mebibyte = 1048576

/** Options of mke2fs: every way in which inodes, blocks and folders are laid out. */
const layouts: readonly (readonly string[])[] = [
  ['-t', 'ext4'],
  ['-t', 'ext4', '-b', '1024', '-O', 'inline_data', '-I', '512'],
  ['-t', 'ext4', '-b', '1024', '-O', '^extents,^64bit,^has_journal'],
  ['-t', 'ext4', '-b', '2048', '-O', '^metadata_csum,uninit_bg,^dir_index,^flex_bg'],
  ['-t', 'ext4', '-O', 'bigalloc,metadata_csum_seed', '-C', '16384'],
  ['-t', 'ext2', '-b', '1024', '-I', '128'],
]

test('a copied ext tree is what the kernel reads', async (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mke2fs')) return
  for (const options of layouts) {
    const folder = testFolder(t)
    const image = emptyFile(join(folder, 'image'), 64 * mebibyte)
    run('mke2fs', '-q', '-F', ...options, image)
    const mount = join(folder, 'mount')
    withKernelMount(image, mount, 'rw', () =>
      fill(mount, (at) => {
        fs.linkSync(at('one'), at('a/hard link'))
        fs.symlinkSync('../one', at('a/symbolic'))
        for (const length of [59, 60, 61, 255, 1000])
          fs.symlinkSync('x/'.repeat(length).slice(0, length), at(`a/link of ${length}`))
        for (const length of [59, 60, 61, 100, 150]) fs.writeFileSync(at(`a/file of ${length}`), 'y'.repeat(length))
        fs.mkdirSync(at('few'))
        for (const name of ['p', 'q', 'r']) fs.writeFileSync(at(`few/${name}`), name)
        const sparse = fs.openSync(at('a/sparse'), 'w')
        for (const offset of [0, 12 * 1024, 300 * 1024, 20 * mebibyte, 2000 * mebibyte])
          fs.writeSync(sparse, 'here', offset)
        fs.ftruncateSync(sparse, 2100 * mebibyte)
        fs.closeSync(sparse)
        const pieces = fs.openSync(at('pieces'), 'w')
        for (let index = 0; index < 700; index++) fs.writeSync(pieces, diskLike(100, index), 0, 100, index * 9000)
        fs.closeSync(pieces)
      }),
    )
    const theirs = withKernelMount(
      image,
      mount,
      options.includes('ext2') || options.some((option) => option.includes('^has_journal')) ? 'ro' : 'ro,noload',
      () => {
        const huge = sample(join(mount, 'a/sparse'))
        return { files: seen(mount, '', ['a/sparse']), huge, times: fs.statSync(join(mount, 'one'), { bigint: true }) }
      },
    )
    const { files, folder: copy } = await copied(t, image, ['a/sparse'])
    files.delete('lost+found')
    theirs.files.delete('lost+found')
    assert.deepEqual(comparable(files, 1), comparable(theirs.files, 1), options.join(' '))
    assert.ok(files.size > 250)
    assert.deepEqual(sample(join(copy, 'a/sparse')), theirs.huge)
    const found = identify(openVolume(t, image))
    assert.equal(found?.state, 'clean')
    assert.deepEqual(found.issues, [])
    const tree = found.openTree?.()
    assert.ok(tree)
    const one = tree.find(tree.root, 'one')
    assert.deepEqual(
      [one?.modified, one?.accessed, one?.owner, one?.links],
      [theirs.times.mtimeNs, theirs.times.atimeNs, Number(theirs.times.uid), 2],
    )
  }
})

/** Parts of a file with holes, and how much of it is stored. */
function sample(path: string): unknown {
  const file = fs.openSync(path, 'r')
  const parts = [
    0,
    12 * 1024,
    100 * 1024,
    300 * 1024,
    20 * mebibyte,
    1000 * mebibyte,
    2000 * mebibyte,
    2100 * mebibyte - 4096,
  ].map((offset) => {
    const bytes = Buffer.alloc(4096)
    fs.readSync(file, bytes, 0, bytes.length, offset)
    return bytes.toString('latin1').replace(/\0+$/, '')
  })
  fs.closeSync(file)
  const { size, blocks } = fs.statSync(path)
  assert.ok(blocks * 512 < mebibyte, 'holes stay holes')
  return { size, parts }
}

test('names that are no UTF-8 stay apart, and a folder of many names is read whole', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mke2fs')) return
  const folder = testFolder(t)
  const image = emptyFile(join(folder, 'image'), 32 * mebibyte)
  run('mke2fs', '-q', '-F', '-t', 'ext4', '-N', '8000', image)
  const mount = join(folder, 'mount')
  const names = Array.from({ length: 6000 }, (_, index) => `a name that takes some room, ${index}`)
  withKernelMount(image, mount, 'rw', () => {
    for (const byte of [0xff, 0xfe])
      fs.writeFileSync(Buffer.concat([Buffer.from(`${mount}/bad `), Buffer.from([byte])]), String(byte))
    fs.mkdirSync(join(mount, 'many'))
    for (const name of names) fs.closeSync(fs.openSync(join(mount, 'many', name), 'w'))
  })
  const tree = identify(openVolume(t, image))?.openTree?.()
  assert.ok(tree)
  const odd = [...tree.entries(tree.root)].filter(({ name }) => name.endsWith('\udcff') || name.endsWith('\udcfe'))
  assert.equal(odd.length, 2)
  for (const entry of odd) {
    const node = tree.find(tree.root, entry.name)
    assert.ok(node)
    const bytes = Buffer.alloc(node.size)
    tree.read(node, 0, bytes)
    assert.equal(bytes.toString(), String(entry.name.charCodeAt(entry.name.length - 1) - 0xdc00))
  }
  const many = tree.find(tree.root, 'many')
  assert.ok(many)
  assert.deepEqual([...tree.entries(many)].map(({ name }) => name).sort(), names.sort())
  assert.equal(tree.find(many, names[4321]!)?.size, 0)
  assert.equal(tree.find(many, 'none of them'), undefined)
})
