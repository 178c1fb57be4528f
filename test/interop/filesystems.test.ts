import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { convert } from '../../src/operations/transfer/convert.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { run } from '../support/tools.js'
import { blkid, emptyFile, haveAll, identify, openVolume, partcloneRuns } from '../support/volumes.js'

const mebibyte = 1048576

/** Files for what is made from a folder. */
function sourceFolder(t: TestContext): string {
  const folder = join(testFolder(t), 'source')
  fs.mkdirSync(join(folder, 'below'), { recursive: true })
  for (const index of [1, 2, 3])
    fs.writeFileSync(join(folder, 'below', `file ${index}`), diskLike(index * 300_000, index))
  return folder
}

/** Size of the file, and the program with its arguments; `%` is the image, `@` the folder of files. */
const volumes: readonly (readonly [size: number, ...command: string[]])[] = [
  [32, 'mke2fs', '-q', '-F', '-t', 'ext2', '-L', 'second', '%'],
  [32, 'mke2fs', '-q', '-F', '-t', 'ext3', '%'],
  [32, 'mke2fs', '-q', '-F', '-t', 'ext4', '-L', 'Größe 名', '%'],
  [
    32,
    'mke2fs',
    '-q',
    '-F',
    '-t',
    'ext4',
    '-O',
    '^has_journal,^extents,^64bit,^flex_bg,^huge_file,^dir_nlink,^extra_isize,^metadata_csum',
    '%',
  ],
  [32, 'mke2fs', '-q', '-F', '-O', 'journal_dev', '%'],
  [320, 'mkfs.xfs', '-q', '-f', '-L', 'xfs volume', '%'],
  [320, 'mkfs.xfs', '-q', '-f', '-m', 'crc=0', '-b', 'size=1024', '%'],
  [128, 'mkfs.btrfs', '-q', '-L', 'btrfs volume', '%'],
  [128, 'mkfs.btrfs', '-q', '--csum', 'sha256', '%'],
  [128, 'mkfs.btrfs', '-q', '--csum', 'xxhash', '%'],
  [64, 'mkfs.f2fs', '-q', '-l', 'f2fs volume', '%'],
  [16, 'mkudffs', '--label=udf volume', '%'],
  [16, 'mkudffs', '--media-type=hd', '--blocksize=512', '--udfrev=1.50', '%'],
  [8, 'mkswap', '-q', '-L', 'swap area', '%'],
  [8, 'mkswap', '-q', '-p', '65536', '%'],
  [0, 'mksquashfs', '@', '%', '-quiet', '-no-progress', '-noappend', '-comp', 'xz'],
  [0, 'mkfs.erofs', '--quiet', '%', '@'],
  [0, 'genisoimage', '-quiet', '-V', 'PLAIN', '-o', '%', '@'],
  [0, 'genisoimage', '-quiet', '-J', '-R', '-V', 'A volume name of 32 characters..', '-o', '%', '@'],
  [0, 'genisoimage', '-quiet', '-udf', '-V', 'BRIDGE', '-o', '%', '@'],
  [8, 'cryptsetup', '-q', 'luksFormat', '--type', 'luks1', '--iter-time', '10', '--key-file', '/proc/version', '%'],
  [
    32,
    'cryptsetup',
    '-q',
    'luksFormat',
    '--type',
    'luks2',
    '--pbkdf',
    'pbkdf2',
    '--iter-time',
    '10',
    '--label',
    'luks volume',
    '--key-file',
    '/proc/version',
    '%',
  ],
  [8, 'make-bcache', '-B', '%'],
  [80, 'make-bcache', '-C', '%'],
]

test('type, label, id and version of made volumes are those of blkid', (t) => {
  if (!haveAll(t, 'blkid', ...new Set(volumes.map(([, program = '']) => program)))) return
  const source = sourceFolder(t)
  const folder = testFolder(t)
  for (const [index, [size, program = '', ...parameters]] of volumes.entries()) {
    const path = join(folder, String(index))
    if (size > 0) emptyFile(path, size * mebibyte)
    run(program, ...parameters.map((parameter) => (parameter === '%' ? path : parameter === '@' ? source : parameter)))
    const what = `${program} ${parameters.join(' ')}`
    const expected = blkid(path)
    const found = identify(openVolume(t, path))
    assert.ok(found, what)
    assert.equal(found.type, expected['ID_FS_TYPE'], what)
    assert.equal(found.uuid, expected['ID_FS_UUID'], what)
    assert.equal(found.version, expected['ID_FS_VERSION']?.replace('\\x20', ' '), what)
    assert.equal(encodeLabel(found.label), expected['ID_FS_LABEL_ENC'], what)
    assert.deepEqual(found.issues, [], what)
    if (found.kind === 'filesystem')
      assert.ok(
        found.size !== undefined &&
          found.size <= fs.statSync(path).size &&
          found.size > fs.statSync(path).size - mebibyte,
        what,
      )
    if (found.usedRuns !== undefined) assert.equal(found.state, 'clean', what)
    fs.rmSync(path)
  }
})

/** As blkid encodes what is not safe in a file name. */
function encodeLabel(label: string | undefined): string | undefined {
  return label?.replace(/[ \\]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`)
}

/** How mke2fs lays out groups, bitmaps and tables. */
const layouts: readonly (readonly [size: number, ...options: string[]])[] = [
  [300, '-t', 'ext4', '-b', '1024'],
  [3072, '-t', 'ext4'],
  [600, '-t', 'ext4', '-O', 'meta_bg,^resize_inode'],
  [300, '-t', 'ext4', '-O', 'meta_bg,^resize_inode,^flex_bg', '-b', '1024'],
  [64, '-t', 'ext2'],
  [64, '-t', 'ext3', '-b', '1024', '-g', '256'],
  [200, '-t', 'ext4', '-O', '^metadata_csum,uninit_bg'],
  [300, '-t', 'ext4', '-O', 'sparse_super2', '-b', '2048'],
  [300, '-t', 'ext4', '-O', '^sparse_super,^resize_inode,^64bit'],
  [512, '-t', 'ext4', '-O', 'metadata_csum_seed,inline_data', '-G', '4', '-b', '1024'],
]

test('the map of used blocks of ext is that of partclone, and counts what dumpe2fs counts', (t) => {
  if (!haveAll(t, 'mke2fs', 'dumpe2fs', 'partclone.extfs')) return
  const folder = testFolder(t)
  const source = sourceFolder(t)
  for (const [index, [size, ...options]] of layouts.entries()) {
    const path = emptyFile(join(folder, String(index)), size * mebibyte + 7 * 512)
    run('mke2fs', '-q', '-F', '-d', source, ...options, path, `${size * 1024 - 3}k`)
    const what = options.join(' ')
    const found = identify(openVolume(t, path))
    assert.ok(found?.usedRuns && found.blockSize !== undefined && found.size !== undefined)
    const said = run('dumpe2fs', '-h', path)
    const free = Number(/^Free blocks: +(\d+)/m.exec(said)?.[1]) * found.blockSize
    assert.equal(found.free, free, what)
    const ours = [...found.usedRuns()]
    const inside = ours
      .map(({ offset, length }) => ({ offset, length: Math.min(length, found.size! - offset) }))
      .filter(({ length }) => length > 0)
    assert.deepEqual(inside, partcloneRuns('extfs', path, folder), what)
    assert.equal(
      inside.reduce((sum, { length }) => sum + length, 0),
      found.size - free,
      what,
    )
    const last = ours.at(-1)!
    assert.equal(last.offset + last.length, fs.statSync(path).size, `the tail is in use: ${what}`)
    fs.rmSync(path)
  }
})

test('with bigalloc the map counts what the superblock counts', (t) => {
  if (!haveAll(t, 'mke2fs', 'dumpe2fs')) return
  const path = emptyFile(join(testFolder(t), 'volume'), 600 * mebibyte)
  run('mke2fs', '-q', '-F', '-t', 'ext4', '-O', 'bigalloc', '-C', '65536', '-d', sourceFolder(t), path)
  const found = identify(openVolume(t, path))
  assert.ok(found?.usedRuns !== undefined)
  const used = [...found.usedRuns()].reduce((sum, { length }) => sum + length, 0)
  const blocks = Number(/^Free blocks: +(\d+)/m.exec(run('dumpe2fs', '-h', path))?.[1])
  assert.equal(used, 600 * mebibyte - blocks * 4096)
  assert.ok(
    partBlocks(path).every(([first, last]) =>
      [...found.usedRuns!()].some(
        ({ offset, length }) => offset <= first * 4096 && (last + 1) * 4096 <= offset + length,
      ),
    ),
  )
})

/** The blocks of all files, as debugfs has them. */
function partBlocks(path: string): [number, number][] {
  const said = [1, 2, 3].map((index) => run('debugfs', '-R', `blocks "/below/file ${index}"`, path)).join(' ')
  return said
    .trim()
    .split(/\s+/)
    .map((block) => [Number(block), Number(block)])
}

test('the map of XFS is that of partclone and the blocks kept for its trees, and counts what xfs_db counts', (t) => {
  if (!haveAll(t, 'mkfs.xfs', 'xfs_db', 'partclone.xfs')) return
  const folder = testFolder(t)
  const source = sourceFolder(t)
  const below = join(source, 'below').replaceAll(' ', '')
  const files = [1, 2, 3].map((index) => `file${index} ---644 0 0 ${below}/${index}`)
  fs.writeFileSync(join(folder, 'prototype'), `x 0 0\nd--755 0 0\n${files.join('\n')}\n$\n`)
  for (const index of [1, 2, 3])
    fs.copyFileSync(join(source, 'below', `file ${index}`), join(source, 'below', String(index)))
  for (const [index, options] of [[], ['-m', 'crc=0'], ['-b', 'size=1024'], ['-d', 'agcount=6']].entries()) {
    const path = emptyFile(join(folder, String(index)), 400 * mebibyte)
    run('mkfs.xfs', '-q', '-f', '-p', join(folder, 'prototype'), ...options, path)
    const found = identify(openVolume(t, path))
    assert.ok(found?.usedRuns && found.blockSize !== undefined && found.size !== undefined)
    assert.equal(found.state, 'clean')
    const value = (name: string, ...where: string[]): number =>
      Number(
        /= (\d+)/.exec(
          run('xfs_db', '-r', ...where.flatMap((command) => ['-c', command]), '-c', `p ${name}`, path),
        )?.[1],
      )
    const free = value('fdblocks', 'sb 0')
    assert.equal(found.free, free * found.blockSize)
    const groups = value('agcount', 'sb 0')
    let kept = 0
    for (let group = 0; group < groups; group++) kept += value('flcount', `agf ${group}`)
    const ours = [...found.usedRuns()]
    const sum = (runs: readonly { length: number }[]): number => runs.reduce((total, { length }) => total + length, 0)
    assert.equal(sum(ours), found.size - free * found.blockSize + kept * found.blockSize)
    const theirs = partcloneRuns('xfs', path, folder)
    assert.equal(sum(ours) - sum(theirs), kept * found.blockSize)
    assert.ok(
      theirs.every(({ offset, length }) =>
        ours.some((run) => run.offset <= offset && offset + length <= run.offset + run.length),
      ),
    )
    fs.rmSync(path)
  }
})

test('XFS and btrfs over a disk of noise are whole when only what they use is kept', async (t) => {
  if (!haveAll(t, 'mkfs.xfs', 'xfs_repair', 'mkfs.btrfs', 'btrfs')) return
  const folder = testFolder(t)
  const source = sourceFolder(t)
  const noise = diskLike(16 * mebibyte, 9).map((byte) => (byte === 0 ? 1 : byte))
  const cases = [
    { size: 320, make: ['mkfs.xfs', '-q', '-f', '-K'], check: ['xfs_repair', '-n', '-f'], most: 120 },
    {
      size: 112,
      make: ['mkfs.btrfs', '-q', '-f', '-K', '--rootdir', source],
      check: ['btrfs', 'check', '--check-data-csum'],
      most: 60,
    },
    {
      size: 112,
      make: ['mkfs.btrfs', '-q', '-f', '-K', '-m', 'single', '--mixed', '--csum', 'sha256', '--rootdir', source],
      check: ['btrfs', 'check', '--check-data-csum'],
      most: 60,
    },
  ]
  for (const [index, { size, make, check, most }] of cases.entries()) {
    const path = join(folder, `volume ${index}`)
    const file = fs.openSync(path, 'w')
    for (let at = 0; at < size; at += 16) fs.writeSync(file, noise, 0, noise.length, at * mebibyte)
    fs.closeSync(file)
    run(make[0]!, ...make.slice(1), path)
    const result = await convert(path, join(folder, 'used.raw'), {
      from: 'raw',
      usedOnly: {},
      sparse: 4096,
      flush: false,
      force: true,
    })
    assert.deepEqual(result.notes, [])
    assert.ok((result.target.allocated ?? Infinity) < most * mebibyte, `${result.target.allocated} bytes are kept`)
    const checked = spawnSync(check[0]!, [...check.slice(1), join(folder, 'used.raw')], { encoding: 'utf8' })
    assert.equal(checked.status, 0, checked.stdout + checked.stderr)
    fs.rmSync(path)
  }
})
