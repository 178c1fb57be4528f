import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { identifyFilesystems } from '../../src/filesystem/index.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { changeableBuffer, changeableFile, fuzz, resealedBtrfs, timed } from '../support/hostile-volumes.js'
import { run } from '../support/tools.js'
import { allFiles, bufferVolume, content, emptyFile, haveAll, identify } from '../support/volumes.js'

const mebibyte = 1048576

function source(t: TestContext): string {
  const folder = join(testFolder(t), 'source')
  const at = (name: string): string => join(folder, name)
  fs.mkdirSync(at('folder/below'), { recursive: true })
  fs.writeFileSync(at('folder/below/file'), diskLike(900_000, 1))
  fs.writeFileSync(at('small'), 'content')
  fs.mkdirSync(at('many'))
  for (let index = 0; index < 60; index++) fs.writeFileSync(at(`many/number ${index}`), `content ${index}`)
  fs.symlinkSync('small', at('link'))
  fs.symlinkSync('x'.repeat(200), at('long link'))
  const sparse = fs.openSync(at('sparse'), 'w')
  for (let index = 0; index < 30; index++) fs.writeSync(sparse, 'x', index * 40_000)
  fs.closeSync(sparse)
  return folder
}

function makeExt(t: TestContext, ...options: string[]): Buffer {
  const image = emptyFile(join(testFolder(t), 'volume'), 4 * mebibyte)
  run('mke2fs', '-q', '-F', '-b', '1024', '-N', '120', '-d', source(t), ...options, image)
  return fs.readFileSync(image)
}

test('changed bytes anywhere in the metadata of ext break nothing', (t) => {
  if (!haveAll(t, 'mke2fs')) return
  // Without checksums, so that what is changed is also used.
  for (const options of [
    ['-t', 'ext4', '-O', '^metadata_csum,^has_journal,inline_data'],
    ['-t', 'ext2', '-O', '^resize_inode'],
    ['-t', 'ext4', '-O', 'metadata_csum,^has_journal'],
  ]) {
    const bytes = makeExt(t, ...options)
    const table = bytes.readUInt32LE(2048 + 8) * 1024
    fuzz(
      changeableBuffer(bytes),
      [
        [1024, 1400],
        [2048, 2200],
        [table, table + 8192],
        [table, table + 30_000],
        [1024, 400_000],
      ],
      150,
    )
  }
})

test('changed bytes anywhere in the metadata of XFS, btrfs, F2FS and UDF break nothing', (t) => {
  if (!haveAll(t, 'mkfs.xfs', 'mkfs.btrfs', 'mkfs.f2fs', 'mkudffs')) return
  const folder = testFolder(t)
  const make = (name: string, size: number, ...[program = '', ...options]: string[]): string => {
    const path = emptyFile(join(folder, name), size * mebibyte)
    run(program, ...options, path)
    return path
  }
  const files = source(t)
  const proto = join(folder, 'proto')
  fs.writeFileSync(
    proto,
    [
      'none\n0 0\nd--755 0 0',
      `file ---644 0 0 ${join(files, 'folder/below/file')}`,
      `link l--777 0 0 ${'x'.repeat(200)}`,
      'many d--755 0 0',
      ...Array.from({ length: 300 }, (_, index) => `number_${index} ---600 0 0 ${join(files, 'small')}`),
      '$\n$\n',
    ].join('\n'),
  )
  const xfs = make('xfs', 320, 'mkfs.xfs', '-q', '-m', 'crc=0', '-p', proto)
  const metadata = xfsMetadata(fs.readFileSync(xfs))
  fuzz(changeableFile(t, xfs), [[0, 256], [512, 600], [4096, 4200], [4096, 40_000], ...metadata], 100)
  const btrfs = make('btrfs', 112, 'mkfs.btrfs', '-q', '-m', 'single', '--rootdir', source(t))
  const file = fs.openSync(btrfs, 'r')
  const superblock = Buffer.alloc(4096)
  fs.readSync(file, superblock, 0, 4096, 65536)
  fs.closeSync(file)
  const chunk = Number(superblock.readBigUInt64LE(811 + 17 + 48 + 8))
  // With checksums made right again, so that what is changed is also used.
  fuzz(
    resealedBtrfs(changeableFile(t, btrfs)),
    [
      [65568, 65536 + 1100],
      [chunk, chunk + 32768],
      [chunk, chunk + 4 * mebibyte],
      [5 * mebibyte, 6 * mebibyte],
    ],
    80,
  )
  fuzz(
    changeableFile(t, make('f2fs', 64, 'mkfs.f2fs', '-q')),
    [
      [1024, 1200],
      [2 * mebibyte, 2 * mebibyte + 4096],
    ],
    40,
  )
  fuzz(
    changeableFile(t, make('udf', 8, 'mkudffs')),
    [
      [32768, 40_000],
      [131_072, 170_000],
      [256 * 512, 256 * 512 + 512],
    ],
    60,
  )
})

/** Where inodes and blocks of names lie in an XFS volume. */
function xfsMetadata(bytes: Buffer): (readonly [start: number, end: number])[] {
  const found: (readonly [start: number, end: number])[] = []
  for (let at = 0; at < bytes.length; at += 4096) {
    const mark = bytes.toString('latin1', at, at + 4)
    if (mark.startsWith('IN') || mark === 'XD2B' || mark === 'XD2D') found.push([at, at + 1024])
  }
  assert.ok(found.length > 5, 'inodes and names are found')
  return found
}

test('changed bytes anywhere in the first sectors of small ones break nothing', () => {
  const random = Buffer.from(diskLike(300_000, 4))
  for (const mark of [Buffer.from('LUKS\xba\xbe\0\x02', 'latin1'), Buffer.from('hsqs'), Buffer.from('XFSB')]) {
    mark.copy(random)
    fuzz(changeableBuffer(random), [[0, 200]], 20)
  }
  for (const [position, mark] of [
    [32, 'NXSB'],
    [1024, 'BD'],
    [1024, 'H+'],
    [1024, '\xe2\xe1\xf5\xe0'],
    [32769, 'CD001'],
    [4086, 'SWAPSPACE2'],
    [512, 'LABELONE'],
    [1080, '\x53\xef'],
  ] as const) {
    const bytes = Buffer.from(diskLike(300_000, position))
    bytes.fill(0, 0, 512)
    bytes.write(mark, position, 'latin1')
    fuzz(
      changeableBuffer(bytes),
      [
        [position, position + 200],
        [0, 70_000],
      ],
      30,
    )
  }
})

/** A changed copy of a volume, as it is then recognised. */
function changed(bytes: Buffer, change: (copy: Buffer) => void): ReturnType<typeof identify> {
  const copy = Buffer.from(bytes)
  change(copy)
  return identify(bufferVolume(copy))
}

test('ext: impossible geometry, descriptors outside, wrong checksums, counts that disagree: no map', (t) => {
  if (!haveAll(t, 'mke2fs')) return
  const plain = makeExt(t, '-t', 'ext4', '-O', '^metadata_csum,^has_journal')
  const summed = makeExt(t, '-t', 'ext4', '-O', 'metadata_csum,^has_journal')
  const map =
    (bytes: Buffer, change: (copy: Buffer) => void): (() => unknown) =>
    () => [...changed(bytes, change)!.usedRuns!()]
  const corrupt = (message: RegExp) => ({ code: 'E_FS_CORRUPT', message })
  assert.ok([...changed(plain, () => undefined)!.usedRuns!()].length > 0)
  assert.throws(
    map(plain, (copy) => copy.writeUInt32LE(7, 1024 + 24)),
    corrupt(/block size/),
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt32LE(0, 1024 + 32)),
    corrupt(/group is said to have 0 blocks/),
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt16LE(96, 1024 + 254)),
    corrupt(/descriptor is said to have 96 bytes/),
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt32LE(0x7fffffff, 2048)),
    corrupt(/block bitmap of group 0/),
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt32LE(4090, 2048 + 8)),
    corrupt(/inode table of group 0/),
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt32LE(copy.readUInt32LE(1024 + 12) - 100, 1024 + 12)),
    corrupt(/free blocks, and its superblock says/),
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt32LE(0x1000000 + copy.readUInt32LE(1024 + 96), 1024 + 96)),
    { code: 'E_FS_FEATURE', message: /incompat_0x1000000/ },
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt32LE(1 + copy.readUInt32LE(1024 + 96), 1024 + 96)),
    { code: 'E_FS_FEATURE', message: /compression/ },
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt32LE(4 + copy.readUInt32LE(1024 + 96), 1024 + 96)),
    { code: 'E_FS_DIRTY' },
  )
  assert.throws(
    map(plain, (copy) => copy.writeUInt16LE(0, 1024 + 58)),
    { code: 'E_FS_DIRTY' },
  )
  assert.throws(
    map(summed, (copy) => {
      copy[1024 + 104]! ^= 1
    }),
    corrupt(/checksum of its superblock/),
  )
  assert.throws(
    map(summed, (copy) => {
      copy[2048 + 12]! ^= 1
    }),
    corrupt(/descriptor of group 0/),
  )
  assert.throws(
    map(summed, (copy) => {
      copy[copy.readUInt32LE(2048) * 1024 + 20]! ^= 1
    }),
    corrupt(/block bitmap of group 0/),
  )
  const cut = changed(plain, () => undefined)!
  assert.deepEqual(cut.issues, [])
  const short = identify(bufferVolume(plain.subarray(0, 3 * mebibyte)))!
  assert.deepEqual(
    short.issues.map(({ code }) => code),
    ['W_FS_TRUNCATED'],
  )
  assert.throws(() => [...short.usedRuns!()], corrupt(/the volume only/))
})

test('ext: trees of extents and folders that lead astray are reported', (t) => {
  if (!haveAll(t, 'mke2fs', 'debugfs')) return
  const folder = testFolder(t)
  for (const [options, kind] of [
    [['-t', 'ext4', '-O', '^metadata_csum,^has_journal'], 'extents'],
    [['-t', 'ext2'], 'pointers'],
  ] as const) {
    const bytes = makeExt(t, ...options)
    const path = join(folder, kind)
    fs.writeFileSync(path, bytes)
    const place = (name: string): number => {
      const [, block, offset] = /block (\d+), offset (0x[0-9a-f]+)/.exec(run('debugfs', '-R', `imap "${name}"`, path))!
      return Number(block) * 1024 + Number(offset)
    }
    const file = place('/folder/below/file')
    const said = (change: (copy: Buffer) => void, name = 'file'): string => {
      const tree = changed(bytes, change)!.openTree!()
      try {
        const below = tree.find(tree.find(tree.root, 'folder')!, 'below')!
        const node = tree.find(below, name)
        return node === undefined ? 'none' : String(content(tree, node).length)
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'E_FS_CORRUPT')
        return (error as Error).message
      }
    }
    assert.equal(
      said(() => undefined),
      '900000',
    )
    if (kind === 'extents') {
      assert.match(
        said((copy) => copy.writeUInt16LE(0, file + 40)),
        /another mark or depth/,
      )
      assert.match(
        said((copy) => copy.writeUInt16LE(9, file + 46)),
        /9 nodes deep/,
      )
      assert.match(
        said((copy) => copy.writeUInt16LE(5, file + 42)),
        /5 entries/,
      )
      assert.match(
        said((copy) => copy.writeUInt32LE(0x00ffffff, file + 60)),
        /an extent of \d+ blocks begins/,
      )
      assert.match(
        said((copy) => {
          copy.writeUInt16LE(2, file + 42)
          copy.copy(copy, file + 64, file + 52, file + 64)
        }),
        /overlap/,
      )
    } else {
      const indirect = copyOf(bytes, file + 40 + 12 * 4)
      assert.match(
        said((copy) => copy.writeUInt32LE(0x00ffffff, file + 40)),
        /block 16777215 of/,
      )
      assert.match(
        said((copy) => copy.writeUInt32LE(0x00ffffff, file + 40 + 12 * 4)),
        /its map is said to have block/,
      )
      // The double indirect block is the indirect one again.
      assert.match(
        said((copy) => copy.writeUInt32LE(indirect, file + 40 + 13 * 4)),
        /twice/,
      )
    }
    const below = place('/folder/below')
    assert.match(
      said((copy) => copy.writeUInt32LE(1025, below + 4)),
      /no whole number of blocks/,
    )
    assert.equal(
      said(() => undefined, 'nothing of that name'),
      'none',
    )
    const parent = kind === 'extents' ? bytes.readUInt32LE(below + 60) * 1024 : bytes.readUInt32LE(below + 40) * 1024
    assert.match(
      said((copy) => copy.writeUInt16LE(3, parent + 12 + 4)),
      /an entry is said to have 3 bytes/,
    )
    assert.match(
      said((copy) => {
        copy[parent + 24 + 6] = 255
        copy.writeUInt16LE(24, parent + 24 + 4)
      }),
      /does not fit its entry/,
    )
    assert.match(
      said((copy) => copy.writeUInt32LE(100_000, parent + 24)),
      /inode 100000 is named/,
    )
    // A folder that holds itself is a matter of those who walk it; each step is bounded.
    timed(
      changedBytes(bytes, (copy) => copy.writeUInt32LE(2, parent + 24)),
      'a folder in itself',
    )
  }
})

function copyOf(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at)
}

function changedBytes(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes)
  change(copy)
  return copy
}

test('ext: what is encrypted is refused, not guessed', (t) => {
  if (!haveAll(t, 'mke2fs', 'debugfs')) return
  const folder = testFolder(t)
  const bytes = makeExt(t, '-t', 'ext4', '-O', '^metadata_csum,^has_journal')
  const path = join(folder, 'volume')
  fs.writeFileSync(path, bytes)
  const [, block, offset] = /block (\d+), offset (0x[0-9a-f]+)/.exec(run('debugfs', '-R', 'imap /small', path))!
  const inode = Number(block) * 1024 + Number(offset)
  const tree = changed(bytes, (copy) => copy.writeUInt32LE(copy.readUInt32LE(inode + 32) + 0x800, inode + 32))!
    .openTree!()
  const small = tree.find(tree.root, 'small')!
  assert.throws(() => content(tree, small), { code: 'E_FS_FEATURE', message: /encrypted/ })
  assert.ok(allFiles(tree).size > 60)
})

test('XFS and btrfs: a wrong tree of free space or extents gives no map', (t) => {
  if (!haveAll(t, 'mkfs.xfs', 'mkfs.btrfs')) return
  const folder = testFolder(t)
  const xfs = emptyFile(join(folder, 'xfs'), 320 * mebibyte)
  run('mkfs.xfs', '-q', '-m', 'crc=0', xfs)
  const btrfs = emptyFile(join(folder, 'btrfs'), 112 * mebibyte)
  run('mkfs.btrfs', '-q', btrfs)
  const map =
    (path: string, ...changes: readonly (readonly [at: number, value: number])[]): (() => unknown) =>
    () => {
      const changeable = path === btrfs ? resealedBtrfs(changeableFile(t, path)) : changeableFile(t, path)
      for (const [at, value] of changes) changeable.set(at, value)
      const [found] = identifyFilesystems(changeable.volume())
      return [...found!.usedRuns!()]
    }
  assert.ok((map(xfs)() as unknown[]).length > 0)
  const head = fs.readFileSync(xfs).subarray(0, 65536)
  const root = head.readUInt32BE(512 + 16) * 4096
  const corrupt = (message: RegExp) => ({ code: 'E_FS_CORRUPT', message })
  assert.throws(map(xfs, [512 + 11, 1]), corrupt(/another mark, number or length/))
  assert.throws(map(xfs, [512 + 31, 2]), corrupt(/another mark or level/))
  assert.throws(map(xfs, [512 + 31, 200]), corrupt(/200 levels/))
  assert.throws(map(xfs, [root, 0]), corrupt(/another mark or level/))
  assert.throws(map(xfs, [root + 7, 0]), corrupt(/has 0 free blocks/))
  assert.throws(map(xfs, [root + 16, 0x7f]), corrupt(/are said to be free/))
  assert.throws(map(xfs, [512 + 16, 0x7f]), corrupt(/tree of free space has block/))
  assert.throws(map(xfs, [86, 0xff]), corrupt(/groups of/))
  assert.throws(map(xfs, [126, 1]), { code: 'E_FS_DIRTY' })
  assert.ok((map(btrfs)() as unknown[]).length > 0)
  assert.throws(map(btrfs, [65536 + 88 + 3, 0xff]), corrupt(/no chunk has the logical address/))
  assert.throws(map(btrfs, [65536 + 199, 9]), corrupt(/9 levels/))
  assert.throws(map(btrfs, [65536 + 199, 1]), corrupt(/another place or level/))
  assert.throws(map(btrfs, [65536 + 136, 2]), { code: 'E_FS_FEATURE', message: /2 devices/ })
  assert.throws(map(btrfs, [65536 + 189, 0x20]), { code: 'E_FS_FEATURE' })
  assert.throws(map(btrfs, [65536 + 120, 1]), corrupt(/its superblock says/))
  assert.throws(map(btrfs, [65536 + 96, 1]), { code: 'E_FS_DIRTY' })
})

test('swap without pages is none', () => {
  const bytes = Buffer.alloc(65536)
  bytes.write('SWAPSPACE2', 4086)
  bytes.writeUInt32LE(1, 1024)
  assert.deepEqual(identifyFilesystems(bufferVolume(bytes)), [])
  bytes.writeUInt32LE(15, 1028)
  const swap = identify(bufferVolume(bytes))!
  assert.deepEqual([swap.type, swap.state, swap.size], ['swap', 'clean', 65536])
  assert.deepEqual([...swap.usedRuns!()], [{ offset: 0, length: 65536 }])
  assert.deepEqual([...swap.usedRuns!({ dropSwap: true })], [{ offset: 0, length: 4096 }])
  bytes.write('S1SUSPEND\0', 4086)
  const asleep = identify(bufferVolume(bytes))!
  assert.deepEqual([asleep.type, asleep.state], ['swsuspend', 'hibernated'])
  assert.throws(() => [...asleep.usedRuns!({ dropSwap: true })], { code: 'E_FS_DIRTY' })
  assert.deepEqual([...asleep.usedRuns!()], [{ offset: 0, length: 65536 }])
})
