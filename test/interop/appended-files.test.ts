/** Files that are continued in free blocks and clusters: read back by others, and fsck finds nothing. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { resolvePath } from '../../src/filesystem/path.js'
import type { VolumeWrite } from '../../src/filesystem/types.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll, identify, openVolume, withKernelMount } from '../support/volumes.js'

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

/** What is to be written so that a file goes on. */
function appended(t: TestContext, image: string, path: string, more: Buffer): VolumeWrite[][] {
  const tree = identify(openVolume(t, image))!.openTree!()
  return tree.append!(resolvePath(tree, path, true).node, more)
}

function written(image: string, writes: readonly VolumeWrite[]): void {
  const file = fs.openSync(image, 'r+')
  for (const { position, bytes } of writes) fs.writeSync(file, bytes, 0, bytes.length, position)
  fs.closeSync(file)
}

const isFixed = (error: unknown): boolean => isImageError(error) && error.code === 'E_FILE_FIXED'

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
    written(image, appended(t, image, '/file', more).flat())
    const verdict = spawnSync('e2fsck', ['-fn', image], { encoding: 'utf8' })
    assert.equal(verdict.status, 0, `${shape.name}: ${verdict.stdout}${verdict.stderr}`)
    assert.doesNotMatch(verdict.stdout, /Optimize|Fix/, shape.name)
    run('debugfs', '-R', `dump /file ${join(folder, 'read')}`, image)
    assert.ok(fs.readFileSync(join(folder, 'read')).equals(Buffer.concat([content, more])), shape.name)
  }
})

interface FatShape {
  readonly bits: '12' | '16' | '32'
  /** MiB. */
  readonly size: number
  /** Sectors of a cluster. */
  readonly cluster: string
  readonly options?: readonly string[]
  /** Bytes of the file, and of what is put behind it. */
  readonly length: number
  readonly more: number
  /** Files of a cluster each, every other of which is removed: free clusters are single ones. */
  readonly scattered?: number
}

const fatShapes: readonly FatShape[] = [
  { bits: '12', size: 8, cluster: '8', length: 50_001, more: 90_000 },
  { bits: '12', size: 8, cluster: '8', length: 4096 * 3, more: 4096 * 5, scattered: 12 },
  { bits: '16', size: 40, cluster: '4', length: 50_001, more: 300 },
  { bits: '16', size: 40, cluster: '4', length: 50_001, more: 900_000 },
  { bits: '32', size: 70, cluster: '1', length: 51_200, more: 1 },
  { bits: '32', size: 70, cluster: '1', length: 50_001, more: 2_000_000, scattered: 40 },
  { bits: '32', size: 70, cluster: '1', options: ['-f', '1'], length: 50_001, more: 70_000 },
  { bits: '32', size: 300, cluster: '8', options: ['-S', '4096', '-s', '1'], length: 50_001, more: 70_000 },
]

/** A FAT with `/boot/Long name.img`. */
function filledFat(folder: string, shape: FatShape): { image: string; content: Buffer } {
  const { bits, size, cluster, options = [], length, scattered = 0 } = shape
  const image = emptyFile(join(folder, 'image'), size * mebibyte)
  const content = Buffer.from(diskLike(length, 7))
  run('mkfs.vfat', '-F', bits, '-s', cluster, ...options, image)
  run('mmd', '-i', image, '::boot')
  const names = Array.from({ length: scattered }, (_unused, index) => `f${index}`)
  for (const name of names) fs.writeFileSync(join(folder, name), 'x')
  fs.writeFileSync(join(folder, 'Long name.img'), content)
  if (scattered > 0) run('mcopy', '-i', image, ...names.map((name) => join(folder, name)), '::')
  run('mcopy', '-i', image, join(folder, 'Long name.img'), '::boot')
  for (const name of names.filter((_name, index) => index % 2 === 1)) run('mdel', '-i', image, `::${name}`)
  return { image, content }
}

function readFat(folder: string, image: string): Buffer {
  const read = join(folder, 'read')
  fs.rmSync(read, { force: true })
  run('mcopy', '-n', '-i', image, '::boot/Long name.img', read)
  return fs.readFileSync(read)
}

test('files of FAT that go on in new clusters are what mtools read, and fsck.fat finds nothing', (t) => {
  if (!haveAll(t, 'mkfs.vfat', 'mmd', 'mcopy', 'mdel', 'fsck.fat')) return
  for (const shape of fatShapes) {
    const folder = testFolder(t)
    const { image, content } = filledFat(folder, shape)
    const more = Buffer.from(diskLike(shape.more, 9))
    written(image, appended(t, image, '/boot/long name.IMG', more).flat())
    const verdict = spawnSync('fsck.fat', ['-n', '-v', image], { encoding: 'utf8' })
    assert.equal(verdict.status, 0, `${JSON.stringify(shape)}: ${verdict.stdout}${verdict.stderr}`)
    assert.doesNotMatch(verdict.stdout, /differ|[Ww]rong|[Dd]irty|[Rr]eclaim/)
    assert.ok(readFat(folder, image).equals(Buffer.concat([content, more])), JSON.stringify(shape))
    assert.deepEqual(identify(openVolume(t, image))?.issues, [])
  }
})

test('a stop between two writes leaves the old file of FAT or the new one; fsck.fat -a puts it right', (t) => {
  if (!haveAll(t, 'mkfs.vfat', 'mmd', 'mcopy', 'mdel', 'fsck.fat')) return
  for (const shape of fatShapes.filter(({ scattered, more }) => scattered !== undefined || more === 900_000)) {
    const folder = testFolder(t)
    const { image, content } = filledFat(folder, shape)
    const more = Buffer.from(diskLike(Math.min(shape.more, 20_000), 9))
    const groups = appended(t, image, '/boot/Long name.img', more)
    const seen = new Set<string>()
    // Also in another order: what is in one group may come to the medium in any.
    for (const writes of [groups.flat(), groups.flatMap((group) => [...group].reverse())]) {
      for (let count = 0; count <= writes.length; count++) {
        const stopped = join(folder, 'stopped')
        fs.copyFileSync(image, stopped)
        written(stopped, writes.slice(0, count))
        const name = `${JSON.stringify(shape)}, write ${count}`
        const state = identify(openVolume(t, stopped))?.state
        assert.equal(state, count === 0 || count === writes.length ? 'clean' : 'dirty', name)
        const repaired = spawnSync('fsck.fat', ['-a', stopped], { encoding: 'utf8' })
        assert.ok((repaired.status ?? 8) <= 1, `${name}: ${repaired.stdout}`)
        assert.equal(spawnSync('fsck.fat', ['-n', stopped]).status, 0, name)
        const read = readFat(folder, stopped)
        const isOld = read.equals(content)
        assert.ok(isOld || read.equals(Buffer.concat([content, more])), name)
        seen.add(isOld ? 'old' : 'new')
      }
    }
    assert.deepEqual([...seen], ['old', 'new'])
  }
})

test('a FAT that is full, or whose tables differ, is left as it is', (t) => {
  if (!haveAll(t, 'mkfs.vfat', 'mmd', 'mcopy')) return
  const folder = testFolder(t)
  const shape: FatShape = { bits: '16', size: 40, cluster: '4', length: 50_001, more: 0 }
  const { image } = filledFat(folder, shape)
  const grow = (length: number) => () => appended(t, image, '/boot/Long name.img', Buffer.alloc(length))
  assert.throws(grow(40 * mebibyte), isFixed)
  assert.doesNotThrow(grow(70_000))
  // The second copy begins behind the first one.
  const boot = fs.readFileSync(image).subarray(0, 512)
  const second = (boot.readUInt16LE(14) + boot.readUInt16LE(22)) * 512
  written(image, [{ position: second + 2000, bytes: Uint8Array.of(0xff, 0xff) }])
  assert.throws(grow(70_000), isFixed)
})

/** What is set aside for a file of XFS beyond its end, and what is put behind it. */
interface XfsShape {
  readonly name: string
  readonly options: readonly string[]
  /** Bytes of the file, of what is set aside with it, and of what follows. */
  readonly size: number
  readonly reserved: number
  readonly more: number
  readonly refused?: boolean
}

const noReverse = ['-m', 'rmapbt=0,reflink=0']
const xfsShapes: readonly XfsShape[] = [
  { name: 'in its last block', options: [], size: 50_001, reserved: 0, more: 900 },
  { name: 'all that is set aside', options: noReverse, size: 50_001, reserved: 1_048_576, more: 998_575 },
  { name: 'a part of it', options: noReverse, size: 50_001, reserved: 1_048_576, more: 5000 },
  { name: 'from the end of a block on', options: noReverse, size: 49_152, reserved: 1_048_576, more: 500_000 },
  { name: 'more than that', options: noReverse, size: 50_001, reserved: 1_048_576, more: 998_576, refused: true },
  { name: 'none', options: noReverse, size: 50_001, reserved: 0, more: 5000, refused: true },
  { name: 'owners recorded', options: ['-m', 'rmapbt=1'], size: 50_001, reserved: 99_999, more: 5000, refused: true },
]

test('files of XFS go on in blocks that were set aside for them, as the kernel reads them', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mkfs.xfs', 'xfs_repair', 'fallocate')) return
  for (const { name, options, size, reserved, more, refused = false } of xfsShapes) {
    const folder = testFolder(t)
    const image = emptyFile(join(folder, 'image'), 320 * mebibyte)
    const mount = join(folder, 'mount')
    const content = Buffer.from(diskLike(size, 7))
    const tail = Buffer.from(diskLike(more, 9))
    run('mkfs.xfs', '-q', ...options, image)
    withKernelMount(image, mount, 'rw', () => {
      fs.writeFileSync(join(mount, 'file'), content)
      if (reserved > 0) run('fallocate', '-n', '-l', String(reserved), join(mount, 'file'))
    })
    if (refused) {
      assert.throws(() => appended(t, image, '/file', tail), isFixed, name)
      continue
    }
    const groups = appended(t, image, '/file', tail)
    // What comes before the inode is not seen.
    written(image, groups.slice(0, -1).flat())
    withKernelMount(image, mount, 'ro', () => assert.ok(fs.readFileSync(join(mount, 'file')).equals(content), name))
    written(image, groups.flat())
    const verdict = spawnSync('xfs_repair', ['-n', image], { encoding: 'utf8' })
    assert.equal(verdict.status, 0, `${name}: ${verdict.stdout}${verdict.stderr}`)
    const all = Buffer.concat([content, tail])
    withKernelMount(image, mount, 'rw', () => {
      assert.ok(fs.readFileSync(join(mount, 'file')).equals(all), name)
      // What lies behind it stays zero, should the file grow.
      fs.truncateSync(join(mount, 'file'), all.length + 70_000)
    })
    const grown = Buffer.concat([all, Buffer.alloc(70_000)])
    withKernelMount(image, mount, 'ro', () => assert.ok(fs.readFileSync(join(mount, 'file')).equals(grown), name))
  }
})
