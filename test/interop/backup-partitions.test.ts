import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { test, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { check } from '../../src/operations/check/check.js'
import { copyFiles } from '../../src/operations/files/copy.js'
import { map } from '../../src/operations/inspect/map.js'
import { convert } from '../../src/operations/transfer/convert.js'
import { diskLike } from '../support/content.js'
import { seen } from '../support/file-trees.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { haveAll } from '../support/volumes.js'
import { run, scratch } from '../support/tools.js'

const mebibyte = 1048576

interface Kind {
  readonly name: string
  readonly size: number
  readonly make: readonly string[]
  readonly mount: readonly string[]
  readonly partclone: string
  /** What finds no fault in a filesystem that is right. */
  readonly fsck: readonly string[]
  /** Whether vdisk reads its files. */
  readonly files?: boolean
}

const kinds: readonly Kind[] = [
  {
    name: 'ext2',
    size: 8,
    make: ['mke2fs', '-q', '-F', '-t', 'ext2'],
    mount: ['-t', 'ext4'],
    partclone: 'ext2',
    fsck: ['e2fsck', '-f', '-n'],
    files: true,
  },
  {
    name: 'ext4',
    size: 16,
    make: ['mke2fs', '-q', '-F', '-t', 'ext4'],
    mount: ['-t', 'ext4'],
    partclone: 'ext4',
    fsck: ['e2fsck', '-f', '-n'],
    files: true,
  },
  {
    name: 'NTFS',
    size: 8,
    make: ['mkfs.ntfs', '-F', '-q', '-f', '-p', '0', '-S', '63', '-H', '16', '-s', '512'],
    mount: ['-t', 'ntfs-3g'],
    partclone: 'ntfs',
    // ntfsfix wants the backup of the boot sector, which partclone does not save.
    fsck: ['ntfsresize', '--info', '--force', '--no-progress-bar'],
    files: true,
  },
  {
    name: 'FAT16',
    size: 16,
    make: ['mkfs.vfat', '-F', '16'],
    mount: ['-t', 'vfat'],
    partclone: 'vfat',
    fsck: ['fsck.vfat', '-n'],
    files: true,
  },
  {
    name: 'FAT32',
    size: 40,
    make: ['mkfs.vfat', '-F', '32', '-s', '1'],
    mount: ['-t', 'vfat'],
    partclone: 'fat32',
    fsck: ['fsck.vfat', '-n'],
    files: true,
  },
  {
    name: 'exFAT',
    size: 8,
    make: ['mkfs.exfat'],
    mount: ['-t', 'exfat'],
    partclone: 'exfat',
    fsck: ['fsck.exfat', '-n'],
    files: true,
  },
  {
    name: 'XFS',
    size: 300,
    make: ['mkfs.xfs', '-q'],
    mount: ['-t', 'xfs'],
    partclone: 'xfs',
    fsck: ['xfs_repair', '-n', '-f'],
  },
  {
    name: 'btrfs',
    size: 128,
    make: ['mkfs.btrfs', '-q'],
    mount: ['-t', 'btrfs'],
    partclone: 'btrfs',
    fsck: ['btrfs', 'check'],
  },
  {
    name: 'F2FS',
    size: 64,
    make: ['mkfs.f2fs', '-q'],
    mount: ['-t', 'f2fs'],
    partclone: 'f2fs',
    fsck: ['fsck.f2fs', '--dry-run'],
  },
  { name: 'MINIX', size: 4, make: ['mkfs.minix'], mount: ['-t', 'minix'], partclone: 'minix', fsck: ['fsck.minix'] },
]

/**
 * A filesystem with files in a raw image; undefined where this system cannot mount it: partclone then gets it empty.
 */
function filled(kind: Kind, image: string, folder: string, device: string): ReturnType<typeof seen> | undefined {
  const [program = '', ...options] = kind.make
  run(program, ...options, image)
  fs.mkdirSync(folder)
  if (spawnSync('mount', [...kind.mount, device, folder]).status !== 0) return undefined
  try {
    for (let index = 0; index < 6; index++)
      fs.writeFileSync(`${folder}/file${index}`, diskLike(60_000 * (index + 1), index))
    fs.mkdirSync(`${folder}/dir`)
    fs.writeFileSync(`${folder}/dir/text`, 'text\n'.repeat(1000))
    // What was deleted stays in free blocks, which no backup holds.
    fs.rmSync(`${folder}/file2`)
    fs.rmSync(`${folder}/file4`)
    run('sync', '-f', folder)
    return seen(folder)
  } finally {
    run('umount', folder)
  }
}

/** partclone waits for seconds before it ends: the tests of all kinds run at once. */
const later = promisify(execFile)

test('partclone: the content that partclone.restore writes, sound, and all files', { concurrency: 16 }, async (t) => {
  await Promise.all(kinds.map(async (kind) => await t.test(kind.name, async (t) => await testKind(t, kind))))
})

async function testKind(t: TestContext, kind: Kind): Promise<void> {
  if (loopsMissing() !== undefined) {
    t.skip(loopsMissing())
    return
  }
  const programs = [kind.make[0], kind.fsck[0], `partclone.${kind.partclone}`, 'partclone.restore']
  if (!haveAll(t, ...programs.map((program) => program ?? ''))) return
  const at = scratch(t)
  fs.writeFileSync(at('disk.img'), '')
  fs.truncateSync(at('disk.img'), kind.size * mebibyte)
  const files = filled(kind, at('disk.img'), at('mounted'), loopDevice(t, at('disk.img')))
  const quiet = ['-F', '-q', '-L', at('log')]
  await later(`partclone.${kind.partclone}`, ['-c', ...quiet, '-s', at('disk.img'), '-o', at('disk.pcl')])
  await later('partclone.restore', [...quiet, '-s', at('disk.pcl'), '-o', at('theirs.img'), '--restore_raw_file'])
  await convert(at('disk.pcl'), at('ours.img'), { to: 'raw' })
  const theirs = fs.readFileSync(at('theirs.img'))
  assert.ok(theirs.equals(fs.readFileSync(at('ours.img'))), 'the disk is not what partclone.restore writes')
  const [program = '', ...options] = kind.fsck
  run(program, ...options, at('ours.img'))
  assert.equal((await check(at('disk.pcl'), { deep: true })).counts.error, 0)
  using extents = map(at('disk.pcl'))
  assert.ok(
    [...extents.extents()].some(({ kind: what }) => what === 'absent'),
    'nothing is shown as not stored',
  )
  if (kind.files !== true || files === undefined) return
  await copyFiles(at('disk.pcl'), '/', at('copied'), { recursive: true })
  const copied = seen(at('copied'))
  for (const [path, file] of files) if (file.kind === 'file') assert.equal(copied.get(path)?.sha256, file.sha256, path)
}

test('ntfsclone: the content that ntfsclone --restore-image writes, and all files', async (t) => {
  if (loopsMissing() !== undefined) {
    t.skip(loopsMissing())
    return
  }
  if (!haveAll(t, 'mkfs.ntfs', 'ntfsclone', 'ntfs-3g', 'ntfsfix')) return
  const at = scratch(t)
  fs.writeFileSync(at('disk.img'), '')
  // No whole clusters: the backup of the boot sector stands alone behind the last.
  fs.truncateSync(at('disk.img'), 8 * mebibyte + 512)
  const kind = kinds.find(({ name }) => name === 'NTFS')
  assert.ok(kind !== undefined)
  const files = filled(kind, at('disk.img'), at('mounted'), loopDevice(t, at('disk.img')))
  run('ntfsclone', '--save-image', '--output', at('disk.ntfs-img'), at('disk.img'))
  run('ntfsclone', '--restore-image', '--output', at('theirs.img'), at('disk.ntfs-img'))
  await convert(at('disk.ntfs-img'), at('ours.img'), { to: 'raw' })
  assert.ok(fs.readFileSync(at('theirs.img')).equals(fs.readFileSync(at('ours.img'))))
  run('ntfsfix', '-n', at('ours.img'))
  assert.equal((await check(at('disk.ntfs-img'), { deep: true })).clean, true)
  await copyFiles(at('disk.ntfs-img'), '/', at('copied'), { recursive: true })
  const copied = seen(at('copied'))
  for (const [path, file] of files ?? [])
    if (file.kind === 'file') assert.equal(copied.get(path)?.sha256, file.sha256, path)
})
