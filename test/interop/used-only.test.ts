import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { convert } from '../../src/operations/transfer/convert.js'
import { comparable, seen, type Seen } from '../support/file-trees.js'
import { testFolder } from '../support/folder.js'
import { loopsMissing } from '../support/loop.js'
import { run, runIn } from '../support/tools.js'
import { emptyFile, haveAll, withKernelMount, withLoop, withMount } from '../support/volumes.js'

const mebibyte = 1048576
const volumeSize = 72 * mebibyte
/** Kept and deleted files in turns, so that free space lies between used. */
const keptSize = 1.5 * mebibyte
const deletedSize = 2 * mebibyte
const pairs = 14

interface Kind {
  readonly partclone: string
  readonly make: readonly string[]
  readonly check: readonly string[]
  readonly programs: readonly string[]
  readonly fill: (image: string, folder: string, files: string) => void
  readonly read: (image: string, folder: string) => Map<string, Seen>
}

const remove = (folder: string): void => {
  for (let index = 0; index < pairs; index++) fs.rmSync(join(folder, `deleted ${index}`))
}

const kinds: Readonly<Record<string, Kind>> = {
  ext4: {
    partclone: 'extfs',
    make: ['mke2fs', '-q', '-F', '-t', 'ext4'],
    check: ['e2fsck', '-fn'],
    programs: ['mke2fs', 'e2fsck'],
    fill: (image, folder, files) => {
      withKernelMount(image, folder, 'rw', () => fs.cpSync(files, folder, { recursive: true }))
      withKernelMount(image, folder, 'rw', () => remove(folder))
    },
    read: (image, folder) => withKernelMount(image, folder, 'ro', () => seen(folder)),
  },
  ntfs: {
    partclone: 'ntfs',
    make: ['mkfs.ntfs', '-F', '-Q', '-q'],
    check: ['ntfsfix', '-n'],
    programs: ['mkfs.ntfs', 'ntfs-3g', 'fusermount3', 'ntfsfix'],
    fill: (image, folder, files) => {
      withMount('ntfs-3g', image, folder, [], () => fs.cpSync(files, folder, { recursive: true }))
      withMount('ntfs-3g', image, folder, [], () => remove(folder))
    },
    read: (image, folder) => withMount('ntfs-3g', image, folder, ['-o', 'ro'], () => seen(folder)),
  },
  fat32: {
    partclone: 'fat',
    make: ['mkfs.vfat', '-F', '32', '-s', '1'],
    check: ['fsck.vfat', '-n'],
    programs: ['mkfs.vfat', 'fsck.vfat', 'mcopy', 'mdel'],
    fill: (image, _folder, files) => {
      runIn(files, 'mcopy', '-i', image, ...fs.readdirSync(files), '::')
      run('mdel', '-i', image, '::deleted *')
    },
    read: (image, folder) => {
      fs.rmSync(folder, { recursive: true, force: true })
      fs.mkdirSync(folder)
      run('mcopy', '-n', '-i', image, '::*', folder)
      return seen(folder)
    },
  },
  exfat: {
    partclone: 'exfat',
    make: ['mkfs.exfat', '-c', '4K'],
    check: ['fsck.exfat', '-n'],
    programs: ['mkfs.exfat', 'mount.exfat-fuse', 'fusermount3', 'fsck.exfat'],
    fill: (image, folder, files) => {
      withLoop(image, (device) =>
        withMount('mount.exfat-fuse', device, folder, [], () => fs.cpSync(files, folder, { recursive: true })),
      )
      withLoop(image, (device) => withMount('mount.exfat-fuse', device, folder, [], () => remove(folder)))
    },
    read: (image, folder) =>
      withLoop(image, (device) => withMount('mount.exfat-fuse', device, folder, ['-o', 'ro'], () => seen(folder))),
  },
}

/** Noise, which no format can make smaller. */
function makeFiles(folder: string): string {
  fs.mkdirSync(folder)
  const noise = fs.openSync('/dev/urandom', 'r')
  for (let index = 0; index < pairs; index++) {
    for (const [name, size] of [
      ['kept', keptSize],
      ['deleted', deletedSize],
    ] as const) {
      const bytes = Buffer.alloc(size)
      fs.readSync(noise, bytes)
      fs.writeFileSync(join(folder, `${name} ${index}`), bytes)
    }
  }
  fs.closeSync(noise)
  return folder
}

/** Puts a volume onto a disk, or takes it out. */
function transfer(from: string, fromOffset: number, to: string, toOffset: number, length: number): void {
  run(
    'dd',
    `if=${from}`,
    `of=${to}`,
    'bs=1M',
    `skip=${fromOffset / mebibyte}`,
    `seek=${toOffset / mebibyte}`,
    `count=${length / mebibyte}`,
    'conv=notrunc,sparse',
    'status=none',
  )
}

const programs = (t: TestContext): boolean =>
  haveAll(t, 'sgdisk', 'partclone.extfs', 'dd', ...Object.values(kinds).flatMap(({ programs: needed }) => needed))

test(
  'a disk full of deleted files: as small as partclone makes its volumes, whole and equal after ' + 'restoring',
  async (t) => {
    const missing = loopsMissing()
    if (missing !== undefined) {
      t.skip(missing)
      return
    }
    if (!programs(t)) return
    const folder = testFolder(t)
    const at = (name: string): string => join(folder, name)
    const files = makeFiles(at('files'))
    const disk = emptyFile(at('disk.raw'), Object.keys(kinds).length * volumeSize + 16 * mebibyte)
    let partclone = 0
    const expected = new Map<string, [string, unknown][]>()
    for (const [index, [name, kind]] of Object.entries(kinds).entries()) {
      const volume = emptyFile(at(name), volumeSize)
      run(kind.make[0]!, ...kind.make.slice(1), volume)
      kind.fill(volume, at(`mount ${name}`), files)
      expected.set(name, comparable(kind.read(volume, at(`mount ${name}`)), 0))
      run(`partclone.${kind.partclone}`, '-c', '-F', '-s', volume, '-o', at('partclone'), '-L', at('log'))
      partclone += fs.statSync(at('partclone')).size
      fs.rmSync(at('partclone'))
      transfer(volume, 0, disk, mebibyte + index * volumeSize, volumeSize)
      fs.rmSync(volume)
    }
    run(
      'sgdisk',
      ...Object.keys(kinds)
        .map((_, index) => [
          '-n',
          `${index + 1}:${(mebibyte + index * volumeSize) / 512}:${(mebibyte + (index + 1) * volumeSize) / 512 - 1}`,
        ])
        .flat(),
      disk,
    )

    const whole = await convert(disk, at('whole.qcow2'), { from: 'raw', flush: false })
    const used = await convert(disk, at('used.qcow2'), { from: 'raw', flush: false, verify: true, usedOnly: {} })
    assert.deepEqual(used.notes, [])
    assert.deepEqual(
      used.volumes?.map(({ partition, filesystem }) => [partition, filesystem]),
      [
        [1, 'ext4'],
        [2, 'NTFS'],
        [3, 'FAT32'],
        [4, 'exFAT'],
      ],
    )
    const size = used.target.size ?? 0
    t.diagnostic(`partclone ${partclone}, used only ${size}, whole ${whole.target.size}`)
    assert.ok(size <= partclone * 1.03, `${size} is more than 3 % above the ${partclone} of partclone`)
    assert.ok((whole.target.size ?? 0) > size * 1.5, 'without it the deleted files are there')

    await convert(at('used.qcow2'), at('back.raw'), { flush: false })
    for (const [index, [name, kind]] of Object.entries(kinds).entries()) {
      const volume = emptyFile(at(name), volumeSize)
      transfer(at('back.raw'), mebibyte + index * volumeSize, volume, 0, volumeSize)
      run(kind.check[0]!, ...kind.check.slice(1), volume)
      assert.deepEqual(comparable(kind.read(volume, at(`mount ${name}`)), 0), expected.get(name), name)
      assert.ok(expected.get(name)!.filter(([path]) => path.startsWith('kept')).length === pairs)
      fs.rmSync(volume)
    }
  },
)
