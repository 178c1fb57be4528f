import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskLike, sha256 } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { assertSameFacts, fillPosix, hostFacts, treeFacts } from '../support/posix-trees.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll, identify, openVolume, withKernelMount } from '../support/volumes.js'

const mebibyte = 1048576

/** Options of mkfs.xfs: small and large inodes and blocks, folders of large blocks, old times. */
const layouts: readonly (readonly string[])[] = [
  [],
  ['-b', 'size=1024', '-n', 'size=4096', '-m', 'bigtime=0,inobtcount=0'],
  ['-i', 'size=2048', '-b', 'size=4096', '-n', 'size=65536'],
]

test('an XFS tree is what the kernel reads', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mkfs.xfs')) return
  const known = fs.readFileSync('/proc/filesystems', 'utf8').includes('\txfs\n')
  if (!known) run('modprobe', 'xfs')
  for (const options of layouts) {
    const folder = testFolder(t)
    const image = emptyFile(join(folder, 'image'), 320 * mebibyte)
    run('mkfs.xfs', '-q', ...options, image)
    const mount = join(folder, 'mount')
    withKernelMount(image, mount, 'rw', () => {
      fillPosix(mount, (at) => {
        // Lists of extents that do not fit the inode become trees.
        const pieces = fs.openSync(at('pieces'), 'w')
        for (let index = 0; index < 700; index++) fs.writeSync(pieces, `piece ${index}`, index * 9000)
        fs.closeSync(pieces)
        // Allocated, never written.
        run('fallocate', '-l', '3000000', at('allocated'))
        const part = fs.openSync(at('allocated'), 'r+')
        fs.writeSync(part, 'in the middle', 1_500_000)
        fs.closeSync(part)
      })
      // Folders of all layouts: in the inode, of one block, with a leaf, with nodes; and one with gaps.
      for (const count of [1, 20, 120, 3000]) {
        fs.mkdirSync(join(mount, `folder of ${count}`))
        for (let index = 0; index < count; index++)
          fs.writeFileSync(join(mount, `folder of ${count}`, `a name of some length, number ${index}`), '')
      }
      for (let index = 0; index < 3000; index++)
        if (index % 100 > 3) fs.rmSync(join(mount, 'folder of 3000', `a name of some length, number ${index}`))
    })
    const theirs = withKernelMount(image, mount, 'ro,norecovery', () => ({
      facts: hostFacts(mount),
      root: fs.statSync(mount, { bigint: true }),
    }))
    const found = identify(openVolume(t, image))
    assert.equal(found?.state, 'clean')
    assert.deepEqual(found.issues, [])
    const tree = found.openTree?.()
    assert.ok(tree)
    assertSameFacts(treeFacts(tree), theirs.facts, options.join(' '))
    assert.deepEqual([tree.root.modified, tree.root.mode], [theirs.root.mtimeNs, 0o755])
    assert.ok(theirs.facts.size > 500)
    const many = tree.find(tree.root, 'folder of 3000')
    assert.ok(many)
    assert.equal(tree.find(many, 'a name of some length, number 2901')?.size, 0)
    assert.equal(tree.find(many, 'none of them'), undefined)
  }
})

test('an XFS tree of version 4, and one that ignores case, is what mkfs.xfs was given', (t) => {
  // Kernels no longer mount them: mkfs.xfs fills them itself.
  if (!haveAll(t, 'mkfs.xfs')) return
  for (const options of [
    ['-m', 'crc=0', '-n', 'ftype=0'],
    ['-m', 'crc=0,finobt=0', '-n', 'ftype=1', '-b', 'size=1024', '-i', 'size=512'],
    ['-n', 'version=ci'],
  ]) {
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    const contents = new Map([
      ['large', diskLike(900_000, 1)],
      ['Small.TXT', Buffer.from('small')],
      ['none', Buffer.alloc(0)],
    ])
    const lines: string[] = []
    for (const [name, bytes] of contents) {
      fs.writeFileSync(at(name), bytes)
      lines.push(`${name} -u-640 7 8 ${at(name)}`)
    }
    // mkfs.xfs 6.1 writes no head before a long target in version 5, which xfs_repair calls damage.
    const longTarget = 'below/'.repeat(options.includes('version=ci') ? 10 : 150)
    const names = Array.from({ length: 900 }, (_, index) => `name number ${index}`.replaceAll(' ', '_'))
    const proto = [
      'none',
      '0 0',
      'd--755 0 0',
      ...lines,
      'link l--777 1 2 large',
      `far l--777 1 2 ${longTarget}`,
      'many d--711 3 4',
      ...names.map((name) => `${name} ---600 0 0 ${at('Small.TXT')}`),
      '$',
      '$',
      '',
    ]
    fs.writeFileSync(at('proto'), proto.join('\n'))
    const image = emptyFile(at('image'), 320 * mebibyte)
    run('mkfs.xfs', '-q', ...options, '-p', at('proto'), image)
    const found = identify(openVolume(t, image))
    assert.deepEqual(found?.issues, [], options.join(' '))
    const tree = found.openTree?.()
    assert.ok(tree)
    const facts = treeFacts(tree)
    assert.equal(facts.size, contents.size + 3 + names.length)
    for (const [name, bytes] of contents) {
      const fact = facts.get(name)
      assert.deepEqual(
        [fact?.kind, fact?.mode, fact?.owner, fact?.group, fact?.size, fact?.sha256],
        ['file', 0o4640, 7, 8, bytes.length, sha256(bytes)],
      )
    }
    assert.equal(facts.get('link')?.target, 'large')
    assert.equal(facts.get('far')?.target, longTarget)
    assert.deepEqual([facts.get('many')?.mode, facts.get('many')?.owner], [0o711, 3])
    const isCi = options.includes('version=ci')
    assert.equal(tree.ignoresCase, isCi)
    assert.equal(tree.find(tree.root, 'SMALL.txt')?.size, isCi ? 5 : undefined)
  }
})
