import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { kernelFilesystems } from '../../../src/mount/drivers.js'
import { userOptions } from '../../../src/mount/fuse/attach.js'
import { chooseTargets } from '../../../src/operations/mount/choose.js'
import { nextCommands } from '../../../src/operations/mount/next-commands.js'
import type { MountSession, ShownFile } from '../../../src/operations/mount/session.js'
import { isAlive, readSessions, runtimeFolder, writeState } from '../../../src/operations/mount/state.js'
import { startTimeOf } from '../../../src/sys/processes.js'
import { quoted } from '../../../src/operations/mount/watchdog.js'
import { testFolder } from '../../support/folder.js'

const file = (
  partition: number | undefined,
  type?: string,
  kind: 'filesystem' | 'swap' | 'container' = 'filesystem',
): ShownFile => ({
  name: partition === undefined ? 'disk.img' : `p${partition}.img`,
  start: 0,
  length: 4096,
  partition,
  content: type === undefined ? undefined : { type, title: type, kind },
})
const wish = { image: 'a.raw', point: '/mnt', all: false }

test('what is mounted is never guessed', () => {
  const disk = [file(undefined), file(1, 'vfat'), file(2, 'ext4'), file(3, 'swap', 'swap'), file(4)]
  assert.throws(() => chooseTargets(disk, wish), { code: 'E_WHICH_PARTITION', message: /1 \(vfat\), 2 \(ext4\)$/ })
  assert.deepEqual(chooseTargets(disk, { ...wish, partition: 2 }).targets, [{ file: disk[2], point: '/mnt' }])
  for (const partition of [3, 4])
    assert.throws(() => chooseTargets(disk, { ...wish, partition }), { code: 'E_NO_FILESYSTEM' })
  assert.throws(() => chooseTargets(disk, { ...wish, partition: 9 }), { code: 'E_NO_PARTITION' })
  const all = chooseTargets(disk, { ...wish, all: true })
  assert.deepEqual(
    all.targets.map(({ file: { name }, point }) => [name, point]),
    [
      ['p1.img', '/mnt/1'],
      ['p2.img', '/mnt/2'],
    ],
  )
  assert.deepEqual(
    all.notes.map(({ message }) => message),
    ['partition 3 is not mounted: it holds swap', 'partition 4 is not mounted: no known filesystem is in it'],
  )
})

test('one filesystem on a disk needs no number; a container counts', () => {
  assert.equal(
    chooseTargets([file(undefined), file(1, 'swap', 'swap'), file(2, 'xfs')], wish).targets[0]?.file.name,
    'p2.img',
  )
  assert.equal(chooseTargets([file(undefined, 'ext4')], { ...wish, all: true }).targets[0]?.file.name, 'disk.img')
  assert.throws(() => chooseTargets([file(undefined), file(1, 'ext4'), file(2, 'LVM2_member', 'container')], wish), {
    code: 'E_WHICH_PARTITION',
  })
  assert.throws(() => chooseTargets([file(undefined), file(1)], wish), { code: 'E_NO_FILESYSTEM' })
})

test('what to do next with a container never says to write when changes are thrown away', () => {
  for (const type of ['crypto_LUKS', 'LVM2_member', 'linux_raid_member', 'BitLocker', 'zfs_member']) {
    const commands = nextCommands('/dev/loop7', { type, title: type, kind: 'container' }, 'a.raw', true)
    assert.match(commands.join('\n'), /\/dev\/loop7/)
    assert.match(commands.join('\n'), /readonly|-o ro/, type)
    assert.match(commands.at(-1) ?? '', /vdisk unmount a\.raw$/)
  }
})

test('names are quoted for the shell and for fusermount3, whatever is in them', () => {
  const name = 'it\'s; rm -rf "$HOME" `x` \\ ünï'
  assert.equal(spawnSync('/bin/sh', ['-c', `printf %s ${quoted(name)}`], { encoding: 'utf8' }).stdout, name)
  assert.match(
    userOptions({ point: '/p', name: 'a,b\\c', readOnly: true, others: false }),
    /,fsname=a\\,b\\\\c,subtype=vdisk,.*,ro$/,
  )
})

test("the kernel's filesystems are those that need a device", () => {
  assert.deepEqual(kernelFilesystems('nodev\tsysfs\n\text4\nnodev\ttmpfs\n\tfuseblk\n'), ['ext4', 'fuseblk'])
})

test('sessions are remembered by process and start time; files that are none are left out', (t: TestContext) => {
  const folder = testFolder(t)
  process.env['VDISK_RUNTIME_DIR'] = join(folder, 'runtime')
  t.after(() => delete process.env['VDISK_RUNTIME_DIR'])
  const runtime = runtimeFolder()
  assert.equal(fs.statSync(runtime).mode & 0o777, 0o711)
  const session: MountSession = {
    id: '01234567',
    pid: process.pid,
    startTime: startTimeOf(process.pid) ?? '',
    image: '/a.raw',
    format: 'raw',
    mode: 'read-only',
    capacity: 512,
    since: '2026-01-01T00:00:00Z',
    folder: join(runtime, '01234567'),
    shown: true,
    connection: 3,
    files: [],
    mounts: [],
    attached: [],
  }
  writeState(runtime, session)
  for (const [name, text] of [
    ['bad.json', '{'],
    ['null.json', 'null'],
    ['other.json', '{"id":1}'],
    ['x.log', ''],
  ] as const)
    fs.writeFileSync(join(runtime, name), text)
  assert.deepEqual(readSessions(), [session])
  assert.equal(isAlive(session), true)
  assert.equal(isAlive({ ...session, startTime: '1' }), false, 'the number was given to another process')
  assert.equal(isAlive({ pid: 2 ** 22 + 1, startTime: '1' }), false)
  fs.writeFileSync(join(folder, 'file'), '')
  process.env['VDISK_RUNTIME_DIR'] = join(folder, 'file')
  assert.throws(() => runtimeFolder(), { code: 'E_RUNTIME_FOLDER' })
})
