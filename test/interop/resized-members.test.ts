import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { resizedVolume } from '../../src/operations/partition/resized-volume.js'
import { vdisk } from '../support/cli.js'
import { openWith } from '../support/drivers.js'
import { testFolder } from '../support/folder.js'
import { raidVolumes } from '../support/signed-volumes.js'
import { have, run } from '../support/tools.js'

/** What is at the end of a disk belongs to its size: the same bytes on another size are something else. */

const mebibyte = 1024 * 1024

function blkid(path: string): string {
  return spawnSync('blkid', ['-p', '-o', 'value', '-s', 'TYPE', path], { encoding: 'utf8' }).stdout.trim()
}

/** A member of a Linux RAID 1.0 with an ext4 at its start, as mdadm makes it (drivers/md/md.c, super_1_load). */
function md10(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  const sectors = size / 512
  const place = Math.floor((sectors - 16) / 8) * 8
  const block = bytes.subarray(place * 512)
  block.writeUInt32LE(0xa92b4efc, 0)
  block.writeUInt32LE(1, 4)
  for (let index = 0; index < 16; index++) block.writeUInt8(index + 1, 16 + index)
  block.write('host:md0', 32)
  block.writeUInt32LE(1, 72)
  block.writeBigUInt64LE(BigInt(place), 80)
  block.writeUInt32LE(2, 92)
  block.writeBigUInt64LE(BigInt(place), 136)
  block.writeBigUInt64LE(BigInt(place), 144)
  let sum = 0
  for (let at = 0; at < 256; at += 4) sum += block.readUInt32LE(at)
  block.writeUInt32LE(((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) >>> 0, 216)
  return bytes
}

/** The primary header of a dynamic disk, whose database takes the last MiB. */
function dynamicDisk(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.write('PRIVHEAD', 6 * 512)
  bytes.writeBigUInt64BE(BigInt(size / 512 - 2048), 6 * 512 + 0x12b)
  bytes.writeBigUInt64BE(2048n, 6 * 512 + 0x133)
  return bytes
}

test('members of every kind: lost at another size exactly where blkid no longer sees them', (t) => {
  if (!have(t, 'blkid')) return
  const path = join(testFolder(t), 'member.raw')
  const members = [...raidVolumes(), { name: 'md 1.0', bytes: md10(4 * mebibyte) }]
  assert.ok(members.length >= 13)
  for (const { name, bytes } of members) {
    fs.writeFileSync(path, bytes)
    const type = blkid(path)
    assert.match(type, /_raid_member$/, name)
    for (const by of [512, 4096, 65536, mebibyte, 4 * mebibyte, -512, -65536, -2 * mebibyte]) {
      const capacity = bytes.length + by
      fs.writeFileSync(path, bytes.subarray(0, Math.min(capacity, bytes.length)))
      fs.truncateSync(path, capacity)
      const after = blkid(path)
      const { lost } = resizedVolume(openWith('raw', new MemoryStore(Uint8Array.from(bytes))), capacity)
      assert.equal(lost.length > 0, after !== type, `${name}, ${by} bytes: blkid says "${after}", lost: ${lost.join()}`)
    }
  }
})

test('a dynamic disk loses its database on a smaller disk, and keeps it on a larger one, which is said', () => {
  const disk = openWith('raw', new MemoryStore(dynamicDisk(4 * mebibyte)))
  assert.deepEqual(resizedVolume(disk, 4 * mebibyte).notes, [])
  const larger = resizedVolume(disk, 8 * mebibyte)
  assert.deepEqual(larger.lost, [])
  assert.match(larger.notes[0]?.message ?? '', /dynamic disk \(LDM\), whose database stays at byte 3145728/)
  assert.match(resizedVolume(disk, 3.5 * mebibyte).lost.join(), /LDM/)
})

test('the last sector of FreeBSD belongs to the size', () => {
  const bytes = Buffer.alloc(mebibyte)
  bytes.write('GEOM::ELI', mebibyte - 512)
  const disk = openWith('raw', new MemoryStore(bytes))
  assert.deepEqual(resizedVolume(disk, 2 * mebibyte).lost, ['FreeBSD GEOM ELI'])
  assert.deepEqual(resizedVolume(disk, mebibyte).lost, [])
})

test('resize refuses a member, goes on with what its hint names, and says it', async (t) => {
  if (!have(t, 'mke2fs') || !have(t, 'blkid')) return
  const folder = testFolder(t)
  fs.writeFileSync(join(folder, 'm.raw'), md10(16 * mebibyte))
  run('mke2fs', '-q', '-F', '-t', 'ext4', join(folder, 'm.raw'), '14000k')
  const first = await vdisk(['resize', 'm.raw', '24M'], { cwd: folder })
  assert.equal(first.code, 3, first.stderr)
  assert.match(first.stderr, /Linux RAID 1\.0.*found from its end.*ext4/s)
  const dry = await vdisk(['resize', 'm.raw', '24M', '--dry-run'], { cwd: folder })
  assert.equal(dry.code, 3, dry.stderr)
  assert.equal(blkid(join(folder, 'm.raw')), 'linux_raid_member')
  const [flag = ''] = /--allow-[a-z-]+/.exec(first.stderr) ?? []
  const second = await vdisk(['resize', 'm.raw', '24M', flag], { cwd: folder })
  assert.equal(second.code, 0, second.stderr)
  assert.match(second.stderr, /Linux RAID 1\.0/)
  assert.equal(blkid(join(folder, 'm.raw')), 'ext4')
})

test('convert warns where the target has another size, asked for or rounded up', async (t) => {
  const folder = testFolder(t)
  fs.writeFileSync(join(folder, 'm.raw'), md10(16 * mebibyte + 65536))
  for (const flags of [
    ['t.raw', '--size', '24M'],
    ['t.vhd', '-o', 'azure=true'],
  ]) {
    const { code, stderr } = await vdisk(['convert', 'm.raw', ...flags, '--force'], { cwd: folder })
    assert.equal(code, 0, stderr)
    assert.match(stderr, /Warning: .*Linux RAID 1\.0.*found from its end/s, flags.join(' '))
  }
  const same = await vdisk(['convert', 'm.raw', 't.qcow2'], { cwd: folder })
  assert.doesNotMatch(same.stderr, /RAID/)
})

test('inject into a larger partition refuses a member; into one of its size it does not', async (t) => {
  if (!have(t, 'sfdisk')) return
  const folder = testFolder(t)
  const disk = join(folder, 'disk.raw')
  fs.writeFileSync(join(folder, 'm.raw'), md10(16 * mebibyte))
  fs.writeFileSync(disk, '')
  fs.truncateSync(disk, 64 * mebibyte)
  const made = spawnSync('sfdisk', ['-q', disk], { input: 'label: gpt\nsize=16MiB\nsize=32MiB\n' })
  assert.equal(made.status, 0, String(made.stderr))
  const inject = (part: string, ...flags: string[]) =>
    vdisk(['partition', 'inject', `disk.raw@${part}`, 'm.raw', '--in-place', ...flags], { cwd: folder })
  const same = await inject('1')
  assert.equal(same.code, 0, same.stderr)
  const larger = await inject('2')
  assert.equal(larger.code, 3, larger.stderr)
  const [flag = ''] = /--allow-[a-z-]+/.exec(larger.stderr) ?? []
  const forced = await inject('2', flag)
  assert.equal(forced.code, 0, forced.stderr)
  assert.match(forced.stderr, /Warning: .*no member there/s)
})
