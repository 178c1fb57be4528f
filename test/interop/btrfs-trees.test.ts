import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { changeableFile } from '../support/hostile-volumes.js'
import { loopsMissing } from '../support/loop.js'
import { assertSameFacts, fillPosix, hostFacts, treeFacts } from '../support/posix-trees.js'
import { run } from '../support/tools.js'
import { content, emptyFile, haveAll, identify, openVolume, withKernelMount } from '../support/volumes.js'

const mebibyte = 1048576

/** Options of mkfs.btrfs and of the mount: every checksum and compression, small nodes, mixed groups. */
const layouts: readonly (readonly [options: readonly string[], mount: string])[] = [
  [['-O', '^no-holes'], 'compress=no'],
  [['--csum', 'xxhash', '-n', '4096'], 'compress-force=zlib'],
  [['--csum', 'sha256', '-m', 'single'], 'compress-force=lzo'],
  [['--csum', 'blake2', '--mixed'], 'compress-force=zstd'],
]

test('a btrfs tree is what the kernel reads, with its subvolumes and snapshots', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mkfs.btrfs')) return
  for (const [options, mountOptions] of layouts) {
    const folder = testFolder(t)
    const image = emptyFile(join(folder, 'image'), 256 * mebibyte)
    run('mkfs.btrfs', '-q', ...options, image)
    const mount = join(folder, 'mount')
    withKernelMount(image, mount, `rw,${mountOptions}`, () => {
      const at = (name: string): string => join(mount, name)
      run('btrfs', '-q', 'subvolume', 'create', at('@'))
      fillPosix(at('@'), (below) => {
        const pieces = fs.openSync(below('pieces'), 'w')
        for (let index = 0; index < 300; index++) fs.writeSync(pieces, `piece ${index}`, index * 9000)
        fs.closeSync(pieces)
        run('fallocate', '-l', '3000000', below('allocated'))
        fs.writeFileSync(below('original'), diskLike(500_000, 9))
        run('cp', '--reflink=always', below('original'), below('copy'))
        run('sync', '-f', below('copy'))
        const part = fs.openSync(below('copy'), 'r+')
        fs.writeSync(part, 'changed in the middle', 150_001)
        fs.closeSync(part)
        // Content without checksums.
        fs.mkdirSync(below('plain'))
        run('chattr', '+C', below('plain'))
        fs.writeFileSync(below('plain/file'), diskLike(123_456, 5))
      })
      run('btrfs', '-q', 'subvolume', 'create', at('@/var'))
      fs.writeFileSync(at('@/var/log'), 'in a subvolume of a subvolume')
      run('btrfs', '-q', 'subvolume', 'snapshot', '-r', at('@'), at('snapshot'))
      fs.writeFileSync(at('@/lower.txt'), 'changed after the snapshot')
      run('btrfs', '-q', 'subvolume', 'create', at('gone'))
      run('btrfs', '-q', 'subvolume', 'delete', at('gone'))
      fs.mkdirSync(at('many'))
      for (let index = 0; index < 500; index++) fs.writeFileSync(at(`many/a name of some length, ${index}`), '')
    })
    const theirs = withKernelMount(image, mount, 'ro', () => hostFacts(mount))
    const found = identify(openVolume(t, image))
    assert.equal(found?.state, 'clean')
    assert.deepEqual(found.issues, [])
    const tree = found.openTree?.()
    assert.ok(tree)
    // The folder that stands for a subvolume in a snapshot has the time at which the kernel looks.
    assertSameFacts(treeFacts(tree), theirs, `${options.join(' ')} ${mountOptions}`, (facts, path) =>
      path === 'snapshot/var' ? { ...facts, modified: 0n } : facts,
    )
    assert.equal(theirs.get('snapshot/lower.txt')?.size, 5)
    assert.ok(theirs.size > 1000)
  }
})

test('btrfs: content that does not fit its checksum is refused, and a second copy is read where there is one', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mkfs.btrfs')) return
  const folder = testFolder(t)
  for (const copies of ['single', 'dup']) {
    const image = emptyFile(join(folder, copies), 256 * mebibyte)
    run('mkfs.btrfs', '-q', '-d', copies, '-m', 'dup', image)
    const mount = join(folder, 'mount')
    const text = Buffer.from(
      Array.from({ length: 200_000 }, (_, index) => (Math.imul(index + 7, 2654435761) >>> 13) % 256),
    )
    withKernelMount(image, mount, 'rw', () => fs.writeFileSync(join(mount, 'file'), text))
    const bytes = fs.readFileSync(image)
    const place = bytes.indexOf(text.subarray(8192, 12288))
    assert.ok(place > 0)
    const changeable = changeableFile(t, image)
    changeable.set(place + 100, bytes[place + 100]! ^ 1)
    const tree = identify(changeable.volume())?.openTree?.()
    const file = tree?.find(tree.root, 'file')
    assert.ok(tree !== undefined && file !== undefined)
    if (copies === 'dup') assert.ok(content(tree, file).equals(text))
    else {
      assert.throws(() => content(tree, file), { code: 'E_FS_CORRUPT', message: /checksum of content/ })
      // What lies before is not affected.
      tree.read(file, 0, new Uint8Array(8192))
    }
    // One copy of every node of the trees is damaged: the other one serves.
    const nodes = changeableFile(t, image)
    const [nodeSize, fsid] = [16384, bytes.subarray(65536 + 32, 65536 + 48)]
    const seen = new Set<bigint>()
    for (let at = mebibyte; at < bytes.length; at += nodeSize) {
      const logical = bytes.readBigUInt64LE(at + 48)
      if (!bytes.subarray(at + 32, at + 48).equals(fsid) || seen.has(logical)) continue
      seen.add(logical)
      nodes.set(at + 5000, bytes[at + 5000]! ^ 0x40)
    }
    assert.ok(seen.size > 5)
    const other = identify(nodes.volume())?.openTree?.()
    const same = other?.find(other.root, 'file')
    assert.ok(other !== undefined && same !== undefined)
    assert.ok(content(other, same).equals(text))
  }
})
