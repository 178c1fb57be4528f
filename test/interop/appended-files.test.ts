/** Files of ext4 that are continued in free blocks: read back by the kernel, and e2fsck finds nothing. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { resolvePath } from '../../src/filesystem/path.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll, identify, openVolume } from '../support/volumes.js'

const mebibyte = 1048576
const tools = ['mke2fs', 'e2fsck', 'debugfs'] as const

interface Shape {
  readonly name: string
  readonly options: readonly string[]
  /** Bytes of the file, and of what is put behind it. */
  readonly size: number
  readonly more: number
  /** Free runs of so many blocks only, so that the file lies in many pieces. */
  readonly pieces?: number
}

/** Every way in which a file gets new blocks: in its inode, in a leaf that is new, in a leaf that is copied. */
const shapes: readonly Shape[] = [
  { name: 'within its last block', options: [], size: 700_001, more: 300 },
  { name: 'behind its extent', options: [], size: 700_001, more: 500_000 },
  { name: 'at the end of a block', options: ['-b', '1024'], size: 64 * 1024, more: 1 },
  { name: 'over the border of a group', options: ['-b', '1024'], size: 3 * mebibyte, more: 12 * mebibyte },
  { name: 'without checksums', options: ['-O', '^metadata_csum,uninit_bg'], size: 5000, more: 100_000 },
  { name: 'narrow descriptors', options: ['-O', '^64bit'], size: 5000, more: 100_000 },
  { name: 'a seed of its own', options: ['-O', 'metadata_csum_seed,^flex_bg'], size: 5000, more: 100_000 },
  { name: 'groups of descriptors', options: ['-O', 'meta_bg,^resize_inode'], size: 5000, more: 100_000 },
  { name: 'four extents become five', options: ['-b', '1024'], size: 4 * 8192, more: 40_000, pieces: 4 },
  { name: 'a tree with a leaf', options: ['-b', '1024'], size: 20 * 8192, more: 40_000, pieces: 20 },
  { name: 'the same with blocks of 4 KiB', options: ['-b', '4096'], size: 20 * 32768, more: 90_000, pieces: 20 },
]

/** A filesystem with `/file`, in so many pieces. */
function filled(folder: string, { options, size, pieces = 1 }: Shape): { image: string; content: Buffer } {
  const image = emptyFile(join(folder, 'image'), 48 * mebibyte)
  // Without zeros, of which debugfs makes holes.
  const content = Buffer.from(diskLike(size, 7).map((byte) => byte | 1))
  const source = join(folder, 'source')
  run('mke2fs', '-q', '-F', '-t', 'ext4', ...options, image)
  // Files in between keep their blocks until all are written: what is removed leaves holes of one piece each.
  const piece = size / pieces
  const commands: string[] = []
  if (pieces > 1) {
    fs.writeFileSync(join(folder, 'piece'), content.subarray(0, piece))
    for (let index = 0; index < pieces * 2 + 3; index++) commands.push(`write ${join(folder, 'piece')} p${index}`)
    const free = spawnSync('debugfs', ['-w', '-f', '-', image], { input: commands.join('\n'), encoding: 'utf8' })
    assert.equal(free.status, 0, free.stderr)
    // Whatever is free behind them is taken, so that only the holes are left.
    fs.writeFileSync(join(folder, 'rest'), Buffer.alloc(46 * mebibyte, 1))
    spawnSync('debugfs', ['-w', '-R', `write ${join(folder, 'rest')} rest`, image])
    const holes = Array.from({ length: pieces + 1 }, (_unused, index) => `rm p${index * 2 + 1}`)
    spawnSync('debugfs', ['-w', '-f', '-', image], { input: holes.join('\n') })
  }
  fs.writeFileSync(source, content)
  run('debugfs', '-w', '-R', `write ${source} file`, image)
  if (pieces > 1) run('debugfs', '-w', '-R', 'rm rest', image)
  spawnSync('e2fsck', ['-fy', image])
  return { image, content }
}

test('files of ext4 that go on in new blocks are what e2fsprogs read, and e2fsck finds nothing', (t) => {
  if (!haveAll(t, ...tools)) return
  for (const shape of shapes) {
    const folder = testFolder(t)
    const { image, content } = filled(folder, shape)
    const more = Buffer.from(diskLike(shape.more, 9))
    const tree = identify(openVolume(t, image))!.openTree!()
    const groups = tree.append!(resolvePath(tree, '/file', true).node, more)
    const file = fs.openSync(image, 'r+')
    for (const { position, bytes } of groups.flat()) fs.writeSync(file, bytes, 0, bytes.length, position)
    fs.closeSync(file)
    const verdict = spawnSync('e2fsck', ['-fn', image], { encoding: 'utf8' })
    assert.equal(verdict.status, 0, `${shape.name}: ${verdict.stdout}${verdict.stderr}`)
    assert.doesNotMatch(verdict.stdout, /Optimize|Fix/, shape.name)
    run('debugfs', '-R', `dump /file ${join(folder, 'read')}`, image)
    assert.ok(fs.readFileSync(join(folder, 'read')).equals(Buffer.concat([content, more])), shape.name)
  }
})
