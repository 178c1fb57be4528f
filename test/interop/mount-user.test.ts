import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import type { MountSession } from '../../src/operations/mount/mount.js'
import { diskLike } from '../support/content.js'
import { root } from '../support/cli.js'
import { fixture } from '../support/fixtures.js'
import { makeVolume } from '../support/mountable-disk.js'
import { assertGone, fileHash, mountingMissing, mountPlace } from '../support/mounted.js'
import { haveAll } from '../support/volumes.js'

const skip = mountingMissing() ?? false
const nobody = 65534

/** Opens /dev/fuse to everybody, as it is on most systems, until the test is over. */
function openDevice(t: TestContext): void {
  const { mode } = fs.statSync('/dev/fuse')
  fs.chmodSync('/dev/fuse', 0o666)
  t.after(() => fs.chmodSync('/dev/fuse', mode & 0o777))
}

test(
  'an ordinary user shows, mounts, changes and unmounts without root, with and without system calls',
  { skip },
  async (t: TestContext) => {
    if (!haveAll(t, 'setpriv', 'fusermount3', 'fuse2fs', 'python3', 'mke2fs', 'fusefat')) return
    openDevice(t)
    const place = mountPlace(t)
    const { at, folder, runtime } = place
    fs.copyFileSync(fixture('partitioned-disk.vhdx'), at('disk.vhdx'))
    makeVolume('ext4', 12, at('ext4.raw'), folder)
    for (const name of ['point', 'runtime']) fs.mkdirSync(at(name))
    for (const name of ['', 'disk.vhdx', 'ext4.raw', 'point', 'runtime']) fs.chownSync(at(name), nobody, nobody)
    const asUser = (
      environment: Readonly<Record<string, string | undefined>>,
      program: string,
      ...args: readonly string[]
    ) => {
      const variables = { HOME: folder, VDISK_RUNTIME_DIR: runtime, VDISK_DATA_DIR: at('none'), ...environment }
      return spawnSync('setpriv', [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', program, ...args], {
        cwd: folder,
        encoding: 'utf8',
        env: { PATH: process.env['PATH'], TERM: 'dumb', ...variables },
      })
    }
    const vdisk = (environment: Readonly<Record<string, string | undefined>>, ...args: readonly string[]) =>
      asUser(environment, process.execPath, join(root, 'bin/run.js'), ...args)
    const expected = fileHash(at('disk.vhdx'))
    for (const environment of [{}, { VDISK_NO_SYSCALLS: '1' }]) {
      const shown = vdisk(environment, 'mount', 'disk.vhdx', '--json')
      assert.equal(shown.status, 0, shown.stdout + shown.stderr)
      const { session } = JSON.parse(shown.stdout) as { session: MountSession }
      const seen = asUser({}, 'sha256sum', join(session.folder, 'disk.img'))
      const whole = vdisk({}, 'hash', 'disk.vhdx').stdout.split(' ')[0]
      assert.equal(seen.stdout.split(' ')[0], whole)
      assert.throws(
        () => fs.readFileSync(join(session.folder, 'disk.img')),
        { code: 'EACCES' },
        'not even root looks in',
      )
      const mounted = vdisk(environment, 'mount', 'disk.vhdx@1', 'point')
      assert.equal(mounted.status, 0, mounted.stderr)
      assert.match(mounted.stdout, /mounted on .*point \(partition 1; vfat, read-only, by fusefat\)/)
      assert.match(asUser({}, 'ls', at('point')).stdout, /EFI/)
      const listed = vdisk({}, 'mounts')
      assert.match(listed.stdout, /whole disk +files[^]*partition 1 +vfat/)
      for (const what of ['point', 'disk.vhdx']) assert.equal(vdisk({}, 'unmount', what).status, 0)
      await assertGone(place)
    }
    assert.equal(fileHash(at('disk.vhdx')), expected)
    const writable = vdisk({}, 'mount', 'ext4.raw', 'point', '--overlay', 'changes.qcow2')
    assert.equal(writable.status, 0, writable.stderr)
    assert.match(writable.stderr, /without the journal/)
    fs.writeFileSync(at('new'), diskLike(100_000, 4))
    assert.equal(asUser({}, 'cp', at('new'), at('point/new')).status, 0)
    // Plain fusermount3 ends it too.
    assert.equal(asUser({}, 'fusermount3', '-u', at('point')).status, 0)
    await assertGone(place)
    assert.equal(spawnSync('e2fsck', ['-f', '-n', at('ext4.raw')]).status, 0)
    assert.equal(vdisk({}, 'cp', 'changes.qcow2:/new', 'again').status, 0)
    assert.ok(fs.readFileSync(at('again')).equals(fs.readFileSync(at('new'))))
    // Where the device is closed, that is said.
    fs.chmodSync('/dev/fuse', 0o600)
    for (const environment of [{}, { VDISK_NO_SYSCALLS: '1' }]) {
      const refused = vdisk(environment, 'mount', 'disk.vhdx')
      assert.equal(refused.status, 5)
      assert.match(refused.stderr, /\/dev\/fuse[^]*vdisk cp/)
      await assertGone(place)
    }
  },
)
