import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { identifyFilesystems } from '../../src/filesystem/index.js'
import { listFiles } from '../../src/operations/files/list.js'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { testFolder } from '../support/folder.js'
import { run } from '../support/tools.js'
import { bufferVolume, emptyFile, haveAll, identify } from '../support/volumes.js'

const mebibyte = 1048576

interface Member {
  readonly version: '1.0' | '1.1' | '1.2'
  readonly level: number
  readonly disks: number
  /** The number of the device; its role is the same unless it is said. */
  readonly number: number
  readonly role?: number
  readonly features?: number
}

/** A member of an array (md_p.h), since the kernel here makes none; `mdadm --examine` judges it. */
function member({ version, level, disks, number, role = number, features = 0 }: Member, content: Buffer): Buffer {
  const dataStart = version === '1.0' ? 0 : mebibyte
  const volume = Buffer.alloc(dataStart + content.length + 65536)
  content.copy(volume, dataStart)
  const position = { '1.0': volume.length - 8192, '1.1': 0, '1.2': 4096 }[version]
  const block = Buffer.alloc(256 + 2 * 128)
  block.writeUInt32LE(0xa92b4efc, 0)
  block.writeUInt32LE(1, 4)
  block.writeUInt32LE(features, 8)
  block.write('0123456789abcdef', 16, 'latin1')
  block.write('host:root', 32)
  block.writeBigUInt64LE(1700000000n, 64)
  block.writeUInt32LE(level >>> 0, 72)
  block.writeBigUInt64LE(BigInt(content.length / 512), 80)
  block.writeUInt32LE(disks, 92)
  block.writeBigUInt64LE(BigInt(dataStart / 512), 128)
  block.writeBigUInt64LE(BigInt(content.length / 512), 136)
  block.writeBigUInt64LE(BigInt(position / 512), 144)
  block.writeUInt32LE(number, 160)
  block.write(`fedcba987654321${number}`, 168, 'latin1')
  block.writeBigUInt64LE(1700000001n, 192)
  block.writeBigUInt64LE(17n, 200)
  block.writeBigUInt64LE(0xffffffffffffffffn, 208)
  block.writeUInt32LE(128, 220)
  for (let index = 0; index < 128; index++) block.writeUInt16LE(0xffff, 256 + index * 2)
  for (let index = 0; index < disks; index++) block.writeUInt16LE(index, 256 + index * 2)
  block.writeUInt16LE(role, 256 + number * 2)
  let sum = 0
  for (let at = 0; at < block.length; at += 4) sum += block.readUInt32LE(at)
  block.writeUInt32LE(((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32, 216)
  block.copy(volume, position)
  return volume
}

/** A member of version 0.90: content, then the superblock in the last whole 64 KiB. @param state 6: in use. */
function oldMember(level: number, number: number, content: Buffer, state = 6): Buffer {
  const position = Math.ceil(content.length / 65536) * 65536
  const volume = Buffer.alloc(position + 65536 + 4096)
  content.copy(volume)
  const block = volume.subarray(position, position + 4096)
  const words: readonly (readonly [number, number])[] = [
    [0, 0xa92b4efc],
    [2, 90],
    [5, 0x01234567],
    [6, 1_700_000_000],
    [7, level >>> 0],
    [8, content.length / 1024],
    [9, 2],
    [10, 2],
    [13, 0x89abcdef],
    [14, 0x01234567],
    [15, 0x89abcdef],
    [32, 1_700_000_001],
    [33, 1],
    [34, 2],
    [35, 2],
    [39, 17],
  ]
  for (const [word, value] of words) block.writeUInt32LE(value, word * 4)
  const device = (word: number, role: number, its: number): void => {
    for (const [index, value] of [role, 8, role + 1, role, its].entries())
      block.writeUInt32LE(value, (word + index) * 4)
  }
  for (const role of [0, 1]) device(128 + role * 32, role, role === number ? state : 6)
  device(992, number, state)
  let sum = 0
  for (let at = 0; at < block.length; at += 4) sum += block.readUInt32LE(at)
  block.writeUInt32LE(((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) % 2 ** 32, 38 * 4)
  return volume
}

test('members of version 0.90 are read, and those that failed or are spare are not', async (t) => {
  if (!haveAll(t, 'mke2fs', 'mdadm', 'sfdisk')) return
  const folder = testFolder(t)
  const content = ext4(folder)
  fs.writeFileSync(join(folder, 'mirror'), oldMember(1, 1, content))
  const said = spawnSync('mdadm', ['--examine', join(folder, 'mirror')], { encoding: 'utf8' }).stdout
  assert.match(said, /Version : 0.90.00[\s\S]*raid1[\s\S]*Checksum : [0-9a-f]+ - correct[\s\S]*this +1 .*active sync/)
  assert.equal((await vdisk(['cat', 'mirror:/etc/hostname'], { cwd: folder })).stdout.toString(), 'mirrored\n')
  for (const state of [0, 1, 7]) {
    const [found] = identifyFilesystems(bufferVolume(oldMember(1, 1, content, state)))
    assert.throws(() => found?.openContent?.([]), { code: 'E_FS_FEATURE', message: /spare, failed/ })
  }
  const disk = emptyFile(join(folder, 'disk.raw'), 24 * mebibyte)
  fs.writeFileSync(join(folder, 'table'), 'label: gpt\nstart=1MiB,size=3204KiB\nstart=12MiB,size=5124KiB\n')
  run('sh', '-c', `sfdisk --quiet ${disk} < ${join(folder, 'table')}`)
  const file = fs.openSync(disk, 'r+')
  fs.writeSync(file, oldMember(-1, 0, content.subarray(0, 3 * mebibyte + 65536)), 0, undefined, mebibyte)
  fs.writeSync(file, oldMember(-1, 1, content.subarray(3 * mebibyte + 65536)), 0, undefined, 12 * mebibyte)
  fs.closeSync(file)
  const linear = await vdisk(['cat', 'disk.raw@1:/etc/hostname'], { cwd: folder })
  assert.deepEqual([linear.code, linear.stdout.toString()], [0, 'mirrored\n'], linear.stderr)
})

function ext4(folder: string): Buffer {
  fs.mkdirSync(join(folder, 'in/etc'), { recursive: true })
  fs.writeFileSync(join(folder, 'in/etc/hostname'), 'mirrored\n')
  fs.writeFileSync(join(folder, 'in/noise'), diskLike(500_000, 3))
  const image = emptyFile(join(folder, 'ext4'), 8 * mebibyte)
  run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', join(folder, 'in'), image)
  return fs.readFileSync(image)
}

test('files are read through members of Linux RAID 1, of every version', async (t) => {
  if (!haveAll(t, 'mke2fs', 'mdadm')) return
  const folder = testFolder(t)
  const content = ext4(folder)
  for (const version of ['1.0', '1.1', '1.2'] as const) {
    const path = join(folder, version)
    fs.writeFileSync(path, member({ version, level: 1, disks: 2, number: 1 }, content))
    const said = spawnSync('mdadm', ['--examine', path], { encoding: 'utf8' }).stdout
    assert.match(said, /Raid Level : raid1[\s\S]*Checksum : [0-9a-f]+ - correct[\s\S]*Device Role : Active device 1/)
    const list = await listFiles(path, '/', { from: 'raw' })
    assert.deepEqual(
      list.files.map(({ name }) => name),
      ['etc', 'lost+found', 'noise'],
    )
    assert.equal((await vdisk(['cat', `${version}:/etc/hostname`], { cwd: folder })).stdout.toString(), 'mirrored\n')
  }
})

test('a linear Linux RAID is read from all its members on one disk, in their order', async (t) => {
  if (!haveAll(t, 'mke2fs', 'sfdisk')) return
  const folder = testFolder(t)
  const content = ext4(folder)
  const [first, second] = [content.subarray(0, 3 * mebibyte), content.subarray(3 * mebibyte)]
  const disk = emptyFile(join(folder, 'disk.raw'), 24 * mebibyte)
  fs.writeFileSync(join(folder, 'table'), 'label: gpt\nstart=1MiB,size=10MiB\nstart=12MiB,size=10MiB\n')
  run('sh', '-c', `sfdisk --quiet ${disk} < ${join(folder, 'table')}`)
  const file = fs.openSync(disk, 'r+')
  const array = { version: '1.2', level: -1, disks: 2 } as const
  // The second member lies first.
  fs.writeSync(file, member({ ...array, number: 1 }, second), 0, undefined, mebibyte)
  fs.writeSync(file, member({ ...array, number: 0 }, first), 0, undefined, 12 * mebibyte)
  fs.closeSync(file)
  for (const partition of [1, 2]) {
    const result = await vdisk(['cat', `disk.raw@${partition}:/etc/hostname`], { cwd: folder })
    assert.deepEqual([result.code, result.stdout.toString()], [0, 'mirrored\n'], result.stderr)
  }
  const alone = identify(bufferVolume(member({ ...array, number: 0 }, first)))
  assert.throws(() => alone?.openContent?.([]), { code: 'E_MISSING_MEMBER', message: /member 1 of 2/ })
})

test('other levels, spares and members that are not filled are refused by name, and damage ends nowhere else', () => {
  const content = Buffer.alloc(mebibyte)
  const opened = (of: Partial<Member>, change: (bytes: Buffer) => void = () => undefined): (() => unknown) => {
    const bytes = member({ version: '1.2', level: 1, disks: 2, number: 0, ...of }, content)
    change(bytes)
    const [found] = identifyFilesystems(bufferVolume(bytes))
    return () => found?.openContent?.([]).capacity
  }
  assert.equal(opened({})(), mebibyte)
  assert.throws(opened({ level: 5 }), { code: 'E_FS_FEATURE', message: /RAID 5/ })
  assert.throws(opened({ level: 0 }), { code: 'E_FS_FEATURE', message: /RAID 0/ })
  assert.throws(opened({ role: 0xffff }), { code: 'E_FS_FEATURE', message: /spare/ })
  assert.throws(opened({ features: 2 }), { code: 'E_FS_FEATURE', message: /not filled/ })
  assert.throws(
    opened({}, (bytes) => bytes.writeBigUInt64LE(2n ** 60n, 4096 + 136)),
    { code: 'E_FS_CORRUPT' },
  )
  assert.throws(
    opened({}, (bytes) => bytes.writeBigUInt64LE(0n, 4096 + 136)),
    { code: 'E_FS_CORRUPT' },
  )
  assert.throws(opened({ level: -1, disks: 100 }), { code: 'E_MISSING_MEMBER' })
})
