import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { MacriumSet, type MacriumDisk } from '../../fixtures/spec-writer/macrium.js'
import { openImage } from '../../src/index.js'
import { vdisk } from '../support/cli.js'
import { diskLike, sha256 } from '../support/content.js'
import { diskFolder } from '../support/disk-folder.js'
import { testFolder } from '../support/folder.js'
import { guestSha256 } from '../support/guest-hash.js'
import { macriumDisk } from '../support/macrium-disk.js'
import { have, run } from '../support/tools.js'

const mebibyte = 1048576
const size = 16 * mebibyte
const start = mebibyte
const length = 12 * mebibyte

/** A disk with a GPT and NTFS, and what a backup takes of it: all sectors before the partition, and the partition. */
function backed(path: string): MacriumDisk {
  const bytes = fs.readFileSync(path)
  return {
    number: 2,
    table: 'gpt',
    size,
    trackZero: bytes.subarray(0, 34 * 512),
    partitions: [{ number: 1, start, content: bytes.subarray(start, start + length) }],
  }
}

test('a full backup and two incremental ones of NTFS: every state, its files, and a whole GPT', async (t) => {
  if (!['sgdisk', 'mkfs.ntfs', 'ntfscp', 'ntfsfix', 'sfdisk', 'qemu-img'].every((program) => have(t, program))) return
  const folder = testFolder(t)
  const raw = join(folder, 'pc.raw')
  const volume = join(folder, 'c.raw')
  fs.writeFileSync(raw, Buffer.alloc(size))
  fs.writeFileSync(volume, Buffer.alloc(length))
  run('sgdisk', '-n', '1:2048:+12M', '-t', '1:0700', raw)
  run('mkfs.ntfs', '-q', '-F', '-L', 'Data', volume)
  const set = new MacriumSet()
  const files: Record<string, Buffer> = {}
  const states: { readonly name: string; readonly hash: string; readonly content: Buffer }[] = []
  for (const [index, delta] of [false, true, true].entries()) {
    const content = Buffer.from(diskLike(300_000, index + 3))
    const source = join(folder, 'file.bin')
    fs.writeFileSync(source, content)
    run('ntfscp', volume, source, `file${index}.bin`)
    const disk = fs.readFileSync(raw)
    disk.set(fs.readFileSync(volume), start)
    fs.writeFileSync(raw, disk)
    const made = set.add({ disks: [backed(raw)], kind: delta ? 'inc' : 'full', delta })
    Object.assign(files, made)
    // The second GPT, in the last 33 sectors, is not in a backup.
    states.push({ name: Object.keys(made).at(-1) ?? '', hash: sha256(disk.fill(0, size - 33 * 512)), content })
  }
  const backup = diskFolder(folder, 'backup', files)
  const [full, one] = Object.values(files)
  assert.ok((one?.length ?? 0) < (full?.length ?? 0), 'only what changed is in the second')
  for (const [index, { name, hash, content }] of states.entries()) {
    using image = await openImage(join(backup, name))
    assert.equal(guestSha256(image), hash)
    const names = await vdisk(['ls', `${join(backup, name)}@1:/`], { cwd: folder })
    assert.equal((names.stdout.toString().match(/file\d\.bin/g) ?? []).length, index + 1)
    const copied = join(folder, `copy${index}.bin`)
    assert.equal((await vdisk(['cp', `${join(backup, name)}@1:/file${index}.bin`, copied], { cwd: folder })).code, 0)
    assert.ok(fs.readFileSync(copied).equals(content))
  }
  const target = join(folder, 'pc.qcow2')
  const last = join(backup, states.at(-1)?.name ?? '')
  const fixed = await vdisk(['partition', 'fix', last, '--output', target], { cwd: folder })
  assert.equal(fixed.code, 0, fixed.stderr)
  run('qemu-img', 'convert', '-O', 'raw', target, join(folder, 'restored.raw'))
  assert.match(run('sgdisk', '-v', join(folder, 'restored.raw')), /No problems found/)
  assert.ok(fs.readFileSync(join(folder, 'restored.raw')).equals(fs.readFileSync(raw)), 'the second GPT as it was')
})

test('a backup of several disks: one is chosen', async (t) => {
  const folder = testFolder(t)
  const first = macriumDisk()
  const second = macriumDisk(Buffer.alloc(4096, 5), 3)
  const backup = diskFolder(folder, 'backup', new MacriumSet().add({ disks: [first, second] }))
  const path = join(backup, fs.readdirSync(backup)[0] ?? '')
  const refused = await vdisk(['hash', path], { cwd: folder })
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /disk0, disk3/)
  for (const disk of ['disk0', 'disk3', 'number:2'])
    assert.equal((await vdisk(['hash', `${path}@disk=${disk}`], { cwd: folder })).code, 0)
})

test('info of an incremental backup whose set is not complete, and of an encrypted one', async (t) => {
  const folder = testFolder(t)
  const set = new MacriumSet()
  set.add({ disks: [macriumDisk()] })
  const backup = diskFolder(folder, 'backup', set.add({ disks: [macriumDisk()], kind: 'inc', delta: true }))
  const path = join(backup, fs.readdirSync(backup)[0] ?? '')
  const shown = await vdisk(['info', path], { cwd: folder })
  assert.equal(shown.code, 0, shown.stderr)
  assert.match(shown.stdout.toString(), /incremental/)
  const read = await vdisk(['convert', path, join(folder, 'out.qcow2')], { cwd: folder })
  assert.equal(read.code, 6)
  assert.match(read.stderr, /2394E9AA621DDC3A-00-00\.mrimgx, is missing/)
  assert.ok(!fs.existsSync(join(folder, 'out.qcow2')))
  const locked = diskFolder(folder, 'locked', new MacriumSet().add({ disks: [macriumDisk()], encrypted: true }))
  const encrypted = join(locked, fs.readdirSync(locked)[0] ?? '')
  assert.equal((await vdisk(['info', encrypted], { cwd: folder })).code, 0)
  assert.equal((await vdisk(['hash', encrypted], { cwd: folder })).code, 5)
})
