/** Files that are changed in their place: read back by the kernel, mtools and ntfs-3g, and found sound by fsck. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { resolvePath } from '../../src/filesystem/path.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll, identify, openVolume, withKernelMount, withMount } from '../support/volumes.js'

const mebibyte = 1048576
const lines = 'UUID=0 / ext4 defaults 0 1\n# the rest\ntmpfs /tmp tmpfs defaults 0 0\n'

interface Change {
  readonly path: string
  /** What it is to hold. */
  readonly change: (old: Buffer) => Buffer
}

const overwrite =
  (at: number, text: string) =>
  (old: Buffer): Buffer => {
    const copy = Buffer.from(old)
    copy.write(text, at, 'latin1')
    return copy
  }

/** Files with content, and how each of them is changed. */
const originals: Readonly<Record<string, Buffer>> = {
  fstab: Buffer.from(lines),
  'same.cfg': Buffer.from(lines),
  large: Buffer.from(diskLike(700_001, 5)),
  archive: Buffer.alloc(1300, 'a'),
}
const sameLength: readonly Change[] = [
  { path: '/same.cfg', change: overwrite(5, 'X') },
  { path: '/large', change: (old) => overwrite(699_990, 'the last')(overwrite(4094, 'over a border')(old)) },
]
const growing: readonly Change[] = [
  { path: '/fstab', change: (old) => Buffer.from(old.toString('latin1').replace('UUID=0', 'UUID=0123456789')) },
  { path: '/archive', change: (old) => Buffer.concat([old, Buffer.alloc(200, 'b')]) },
]

/** The shortest patch that leads from one content to the other: one run. */
function patchOf(old: Buffer, now: Buffer): { offset: number; bytes: Uint8Array } {
  let first = 0
  while (first < old.length && old[first] === now[first]) first++
  let end = now.length
  if (now.length === old.length) while (end > first && old[end - 1] === now[end - 1]) end--
  return { offset: first, bytes: now.subarray(first, end) }
}

/** Changes files of a volume. @returns what they are to hold. */
function rewritten(t: TestContext, image: string, changes: readonly Change[]): Map<string, Buffer> {
  const wanted = new Map<string, Buffer>()
  for (const { path, change } of changes) {
    const tree = identify(openVolume(t, image))!.openTree!()
    const { node } = resolvePath(tree, path, true)
    const old = Buffer.alloc(node.size)
    tree.read(node, 0, old)
    const now = change(old)
    const file = fs.openSync(image, 'r+')
    for (const { position, bytes } of tree.rewrite!(node, [patchOf(old, now)], now.length).flat())
      fs.writeSync(file, bytes, 0, bytes.length, position)
    fs.closeSync(file)
    const fresh = identify(openVolume(t, image))!.openTree!()
    const again = resolvePath(fresh, path, true).node
    const read = Buffer.alloc(again.size)
    fresh.read(again, 0, read)
    assert.deepEqual(read, now, path)
    wanted.set(path, now)
  }
  return wanted
}

function fill(folder: string): void {
  for (const [name, content] of Object.entries(originals)) fs.writeFileSync(join(folder, name), content)
}

function assertRead(folder: string, wanted: ReadonlyMap<string, Buffer>): void {
  for (const [path, content] of wanted) assert.deepEqual(fs.readFileSync(join(folder, path)), content, path)
  for (const [name, content] of Object.entries(originals))
    if (!wanted.has(`/${name}`)) assert.deepEqual(fs.readFileSync(join(folder, name)), content, name)
}

const isFixed = (error: unknown): boolean => isImageError(error) && error.code === 'E_FILE_FIXED'

/** Options of the programs that make filesystems; every way in which inodes and blocks are laid out. */
const kernelLayouts: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['mke2fs', ['-q', '-F', '-t', 'ext4'], ['e2fsck', '-fn']],
  ['mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '1024', '-O', '^extents,^64bit'], ['e2fsck', '-fn']],
  ['mke2fs', ['-q', '-F', '-t', 'ext4', '-O', 'metadata_csum_seed,bigalloc', '-C', '16384'], ['e2fsck', '-fn']],
  ['mke2fs', ['-q', '-F', '-t', 'ext4', '-O', '^metadata_csum,uninit_bg'], ['e2fsck', '-fn']],
  ['mke2fs', ['-q', '-F', '-t', 'ext4', '-O', 'inline_data', '-I', '512'], ['e2fsck', '-fn']],
  ['mke2fs', ['-q', '-F', '-t', 'ext2', '-b', '1024', '-I', '128'], ['e2fsck', '-fn']],
  ['mkfs.xfs', ['-q'], ['xfs_repair', '-n']],
  ['mkfs.xfs', ['-q', '-m', 'bigtime=0,rmapbt=1', '-b', 'size=1024'], ['xfs_repair', '-n']],
]

test('files of ext and XFS that were changed are what the kernel reads, and fsck finds nothing', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mke2fs', 'e2fsck', 'mkfs.xfs', 'xfs_repair')) return
  for (const [program, options, [checker = '', ...flags]] of kernelLayouts) {
    const folder = testFolder(t)
    const image = emptyFile(join(folder, 'image'), (program === 'mkfs.xfs' ? 320 : 64) * mebibyte)
    run(program, ...options, image)
    const mount = join(folder, 'mount')
    withKernelMount(image, mount, 'rw', () => fill(mount))
    const inline = options.some((option) => option === 'inline_data')
    if (inline) assert.throws(() => rewritten(t, image, growing.slice(0, 1)), isFixed)
    const wanted = rewritten(t, image, [...sameLength, ...(inline ? growing.slice(1) : growing)])
    const verdict = spawnSync(checker, [...flags, image], { encoding: 'utf8' })
    assert.equal(verdict.status, 0, `${program} ${options.join(' ')}: ${verdict.stdout}${verdict.stderr}`)
    withKernelMount(image, mount, 'ro', () => assertRead(mount, wanted))
  }
})

test('files of FAT that were changed are what mtools reads, and fsck.fat finds nothing', (t) => {
  if (!haveAll(t, 'mkfs.vfat', 'mcopy', 'fsck.fat')) return
  for (const [bits, size, cluster] of [
    ['12', 8, '8'],
    ['16', 40, '2'],
    ['32', 70, '1'],
  ] as const) {
    const folder = testFolder(t)
    const source = join(folder, 'source')
    fs.mkdirSync(source)
    fill(source)
    const image = emptyFile(join(folder, 'image'), size * mebibyte)
    run('mkfs.vfat', '-F', bits, '-s', cluster, image)
    run('mcopy', '-i', image, ...Object.keys(originals).map((name) => join(source, name)), '::')
    const wanted = rewritten(t, image, [...sameLength, ...growing])
    run('fsck.fat', '-n', image)
    const theirs = join(folder, 'theirs')
    fs.mkdirSync(theirs)
    run('mcopy', '-n', '-i', image, '::*', theirs)
    assertRead(theirs, wanted)
    assert.throws(
      () => rewritten(t, image, [{ path: '/fstab', change: (old) => Buffer.alloc(old.length + 4096) }]),
      isFixed,
    )
  }
})

test('files of NTFS that were changed are what ntfs-3g reads, inside and outside of their records', (t) => {
  if (!haveAll(t, 'mkntfs', 'ntfs-3g', 'fusermount3', 'ntfsfix')) return
  const folder = testFolder(t)
  const image = emptyFile(join(folder, 'image'), 40 * mebibyte)
  run('mkntfs', '-F', '-q', '-Q', image)
  const mount = join(folder, 'mount')
  withMount('ntfs-3g', image, mount, [], () => {
    fill(mount)
    // Inside its record, over the last two bytes of a sector, which are kept elsewhere.
    fs.writeFileSync(join(mount, 'resident'), 'r'.repeat(600))
    fs.mkdirSync(join(mount, 'packed'))
    run('setfattr', '-h', '-v', '0x00080000', '-n', 'system.ntfs_attrib', join(mount, 'packed'))
    fs.writeFileSync(join(mount, 'packed/file'), 'p'.repeat(100_000))
  })
  const wanted = rewritten(t, image, [
    ...sameLength,
    { path: '/resident', change: (old) => overwrite(100, 'X'.repeat(480))(old) },
  ])
  run('ntfsfix', '-n', image)
  withMount('ntfs-3g', image, mount, ['-o', 'ro'], () => {
    assertRead(mount, wanted)
  })
  assert.throws(() => rewritten(t, image, growing.slice(0, 1)), isFixed)
  assert.throws(() => rewritten(t, image, [{ path: '/packed/file', change: overwrite(5, 'X') }]), isFixed)
})

test('files whose blocks are shared, sealed, sparse or never written are left as they are', (t) => {
  const missing = loopsMissing()
  if (missing !== undefined) {
    t.skip(missing)
    return
  }
  if (!haveAll(t, 'mke2fs', 'mkfs.xfs', 'fallocate')) return
  const folder = testFolder(t)
  const mount = join(folder, 'mount')
  const image = emptyFile(join(folder, 'xfs'), 320 * mebibyte)
  run('mkfs.xfs', '-q', image)
  withKernelMount(image, mount, 'rw', () => {
    fill(mount)
    run('cp', '--reflink=always', join(mount, 'fstab'), join(mount, 'copy'))
  })
  assert.throws(() => rewritten(t, image, [{ path: '/fstab', change: overwrite(5, 'X') }]), isFixed)
  assert.throws(() => rewritten(t, image, [{ path: '/copy', change: overwrite(5, 'X') }]), isFixed)
  const other = emptyFile(join(folder, 'ext4'), 64 * mebibyte)
  run('mke2fs', '-q', '-F', '-t', 'ext4', '-O', 'verity', other)
  withKernelMount(other, mount, 'rw', () => {
    fill(mount)
    run('fallocate', '-l', '100000', join(mount, 'allocated'))
    fs.truncateSync(emptyFile(join(mount, 'sparse'), 0), 100_000)
  })
  for (const path of ['/allocated', '/sparse'])
    assert.throws(() => rewritten(t, other, [{ path, change: overwrite(5, 'X') }]), isFixed)
  // The blocks that a file has are its limit.
  const longer = (old: Buffer): Buffer => Buffer.concat([old, Buffer.alloc(4096)])
  assert.throws(() => rewritten(t, other, [{ path: '/fstab', change: longer }]), isFixed)
})
