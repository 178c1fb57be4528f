import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { isImageError } from '../../src/errors.js'
import { openFile } from '../../src/formats/open.js'
import { check } from '../../src/operations/check/check.js'
import { convert } from '../../src/operations/transfer/convert.js'
import type { MountSession } from '../../src/operations/mount/mount.js'
import { cleanMounts, mounts } from '../../src/operations/mount/mounts.js'
import { diskLike, sha256 } from '../support/content.js'
import { makeVolume } from '../support/mountable-disk.js'
import {
  assertGone,
  fileHash,
  hashes,
  mountingMissing,
  mountPlace,
  mountsBelow,
  type MountPlace,
} from '../support/mounted.js'
import { run } from '../support/tools.js'
import { emptyFile, haveAll } from '../support/volumes.js'

const skip = mountingMissing() ?? false

/** Writes files, each flushed, and says the number of each when it is on the medium, until it fails. */
const writer = 'i=0; while dd if="$1" of="$2/written $i" bs=64k conv=fsync status=none; do echo $i; i=$((i+1)); done'

/** Kills a server as the kernel does when memory runs out, and waits until it is gone and its watchdog is done. */
async function kill({ pid, id }: MountSession, { runtime }: MountPlace): Promise<void> {
  process.kill(pid, 'SIGKILL')
  await until(() => !fs.existsSync(`/proc/${pid}`) || fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '))
  await until(() => !mountsBelow(runtime).some((point) => point.includes(id)))
}

async function until(done: () => boolean): Promise<void> {
  for (let tries = 0; !done(); tries++) {
    assert.ok(tries < 12_000, 'it never happens')
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

for (const format of ['vhdx', 'qcow2', 'vhd', 'vdi'] as const) {
  test(
    `a server that is killed while a ${format} is written: umount works, nothing is left, and the image is ` +
      'whole with all that was flushed',
    { skip },
    async (t: TestContext) => {
      if (!haveAll(t, 'mke2fs', 'e2fsck', 'dd')) return
      const place = mountPlace(t)
      const { at, mount, unmount } = place
      const piece = diskLike(200_000, 9)
      fs.writeFileSync(at('piece'), piece)
      run('mke2fs', '-q', '-F', '-t', 'ext4', emptyFile(at('volume.raw'), 40 * 1048576))
      const image = at(`disk.${format}`)
      await convert(at('volume.raw'), image, {})
      const point = at('point')
      fs.mkdirSync(point)
      const session = await mount(image, point, { write: true })
      const writing = spawn('sh', ['-c', writer, 'writer', at('piece'), point], { stdio: ['ignore', 'pipe', 'ignore'] })
      let said = ''
      writing.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      const written = new Promise((resolve) => writing.on('close', resolve))
      await until(() => said.split('\n').length > 12)
      await kill(session, place)
      await written
      const flushed = said.trim().split('\n').length
      // What the user sees is an error, not an empty folder.
      assert.deepEqual(
        mounts().map(({ status, mounts: mounted }) => [status, mounted.map((each) => each.point)]),
        [['dead', [point]]],
      )
      assert.equal(spawnSync('umount', [point]).status, 0)
      assert.deepEqual(mounts(), [])
      await assertGone(place)
      assert.equal((await check(image, { deep: true })).counts.error, 0)
      if (format === 'vhdx') {
        using opened = openFile(image)
        assert.ok(
          opened.notes.some(({ code }) => code.includes('LOG')),
          'the log is dirty',
        )
      }
      const before = fileHash(image)
      await mount(image, point)
      for (let index = 0; index < flushed; index++)
        assert.equal(
          sha256(fs.readFileSync(join(point, `written ${index}`))),
          sha256(piece),
          `file ${index} of ${flushed}`,
        )
      await unmount(point)
      assert.equal(fileHash(image), before, 'looking at it changes nothing, the log stays as it is')
      await convert(image, at('after.raw'), {})
      // 1: the journal was replayed, and all is in order.
      assert.ok([0, 1].includes(spawnSync('e2fsck', ['-f', '-y', at('after.raw')]).status ?? -1))
      await assertGone(place)
    },
  )
}

test(
  'what killed servers leave is reported and cleaned up; what is served is not touched',
  { skip },
  async (t: TestContext) => {
    if (!haveAll(t, 'mke2fs', 'mkfs.ntfs', 'ntfs-3g')) return
    const place = mountPlace(t)
    const { at, mount, unmount, vdisk } = place
    makeVolume('ext4', 12, at('ext4.raw'), at(''))
    makeVolume('ntfs', 12, at('ntfs.raw'), at(''))
    for (const name of ['one', 'two', 'three']) fs.mkdirSync(at(name))
    const kernel = await mount(at('ext4.raw'), at('one'))
    const program = await mount(at('ntfs.raw'), at('two'))
    await mount(at('ext4.raw'), at('three'))
    const shown = await mount(at('ntfs.raw'))
    const busy = fs.openSync(at('one/small.txt'), 'r')
    for (const session of [kernel, program, shown]) await kill(session, place)
    // A disk that was only shown leaves nothing.
    await until(() => !fs.existsSync(shown.folder))
    const listed = await vdisk('mounts', '--json')
    assert.equal(listed.code, 0)
    assert.deepEqual(
      (JSON.parse(listed.stdout.toString()) as { sessions: { status: string }[] }).sessions.map(({ status }) => status),
      ['dead', 'dead', 'served'],
    )
    assert.match((await cleanMounts()).find(({ image }) => image === at('ext4.raw'))?.problems[0] ?? '', /busy/)
    fs.closeSync(busy)
    const cleaned = await vdisk('mounts', '--clean')
    assert.equal(cleaned.code, 0, cleaned.stderr)
    assert.match(cleaned.stdout.toString(), /Cleaned up: .*ext4\.raw\n[^]*partition|whole disk +ext4 .*three/)
    assert.deepEqual(fs.readdirSync(at('one')), [])
    assert.deepEqual(fs.readdirSync(at('two')), [])
    assert.ok(hashes(at('three')).size > 60)
    await unmount(at('three'))
    await assertGone(place)
  },
)

test(
  'a server that is asked to end unmounts what is not in use, and stays for what is',
  { skip },
  async (t: TestContext) => {
    if (!haveAll(t, 'mke2fs')) return
    const place = mountPlace(t)
    const { at, mount } = place
    makeVolume('ext4', 12, at('ext4.raw'), at(''))
    fs.mkdirSync(at('point'))
    const session = await mount(at('ext4.raw'), at('point'))
    const busy = fs.openSync(at('point/small.txt'), 'r')
    process.kill(session.pid, 'SIGTERM')
    const log = join(place.runtime, `${session.id}.log`)
    await until(() => fs.readFileSync(log, 'utf8').includes('stays: '))
    assert.equal(hashes(at('point')).size > 60, true)
    fs.closeSync(busy)
    process.kill(session.pid, 'SIGTERM')
    await assertGone(place)
    assert.deepEqual(fs.readdirSync(at('point')), [])
  },
)

test(
  'a LUKS partition is attached, with what to do next; a killed server leaves no block device',
  { skip },
  async (t: TestContext) => {
    if (!haveAll(t, 'cryptsetup')) return
    const place = mountPlace(t)
    const { at, mount, unmount, vdisk } = place
    fs.writeFileSync(at('key'), 'secret')
    emptyFile(at('luks.raw'), 20 * 1048576)
    run(
      'cryptsetup',
      'luksFormat',
      '--batch-mode',
      '--type',
      'luks1',
      '--pbkdf-force-iterations',
      '1000',
      '--key-file',
      at('key'),
      at('luks.raw'),
    )
    fs.mkdirSync(at('point'))
    for (const end of ['unmount', 'kill'] as const) {
      const result = await vdisk('mount', at('luks.raw'), at('point'))
      assert.equal(result.code, 0, result.stderr)
      assert.match(
        result.stdout.toString(),
        new RegExp(
          String.raw`Attached[^]*block device +/dev/loop\d+ \(whole disk; LUKS 1\)[^]*Next:\n` +
            String.raw` {2}cryptsetup open --readonly /dev/loop\d+ NAME\n`,
        ),
      )
      const [session] = mounts()
      const device = session?.attached[0]?.loop.device ?? ''
      run('cryptsetup', 'open', '--test-passphrase', '--key-file', at('key'), device)
      if (end === 'unmount') await unmount(device)
      else await kill(session!, place)
      await assertGone(place)
    }
    await assert.rejects(unmount(at('luks.raw')), { code: 'E_NOT_MOUNTED' })
    await mount(at('luks.raw'))
    await unmount(at('luks.raw'))
  },
)

test(
  'an image that cannot grow any more: programs get errors, and unmounting reports that not all was written',
  { skip },
  async (t: TestContext) => {
    if (!haveAll(t, 'qemu-img')) return
    const place = mountPlace(t)
    const { at, mount, unmount, vdisk } = place
    fs.mkdirSync(at('small'))
    run('mount', '-t', 'tmpfs', '-o', 'size=6M', 'tmpfs', at('small'))
    run('qemu-img', 'create', '-q', '-f', 'qcow2', at('small/disk.qcow2'), '64M')
    const { folder } = await mount(at('small/disk.qcow2'), undefined, { write: true })
    const file = fs.openSync(join(folder, 'disk.img'), 'r+')
    const fits = diskLike(1048576, 8)
    fs.writeSync(file, fits, 0, fits.length, 0)
    assert.throws(
      () => {
        for (let at = 1; at < 60; at++) fs.writeSync(file, Buffer.alloc(1048576, at), 0, 1048576, at * 1048576)
        fs.fsyncSync(file)
      },
      { code: /ENOSPC|EIO/ },
    )
    // close(2) reports it too, where there is something left that cannot be flushed.
    try {
      fs.closeSync(file)
    } catch (error) {
      assert.match((error as NodeJS.ErrnoException).code ?? '', /ENOSPC|EIO/)
    }
    await assert.rejects(unmount(folder), { code: 'E_NOT_WRITTEN', kind: 'target' })
    assert.deepEqual(
      mounts().map(({ status }) => status),
      ['failed'],
    )
    assert.match(
      (await vdisk('mounts')).stdout.toString(),
      /failed +.*disk\.qcow2\n.*not all changes were written: .*no space/,
    )
    assert.deepEqual(
      (await cleanMounts()).map(({ problems }) => problems),
      [[]],
    )
    await assertGone({ ...place, folder: place.runtime })
    assert.equal((await check(at('small/disk.qcow2'), {})).counts.error, 0)
  },
)

test('setting up that fails or is interrupted leaves nothing', { skip }, async (t: TestContext) => {
  if (!haveAll(t, 'mke2fs')) return
  const place = mountPlace(t)
  const { at, mount, unmount } = place
  makeVolume('ext4', 12, at('ext4.raw'), at(''))
  const broken = fs.openSync(at('ext4.raw'), 'r+')
  // The root folder's inode table: recognised as ext4, and not to be mounted.
  fs.writeSync(broken, Buffer.alloc(4096 * 40, 0xff), 0, 4096 * 40, 4096)
  fs.closeSync(broken)
  fs.mkdirSync(at('point'))
  await assert.rejects(mount(at('ext4.raw'), at('point')), { code: 'E_MOUNT', kind: 'target' })
  await assertGone(place)
  await assert.rejects(mount(at('ext4.raw'), at('point'), { overlay: at('new.qcow2') }), { code: 'E_MOUNT' })
  assert.ok(!fs.existsSync(at('new.qcow2')), 'an overlay that was made for it is gone too')
  await assert.rejects(mount(at('ext4.raw'), at('missing')), { code: 'E_MOUNT_POINT' })
  await assert.rejects(mount(at('ext4.raw'), at('point'), { overlay: at('new.qcow2'), write: true }), {
    code: 'E_MODES',
  })
  emptyFile(at('nothing.raw'), 1048576)
  await assert.rejects(mount(at('nothing.raw'), at('point')), { code: 'E_NO_FILESYSTEM' })
  for (const delay of [0, 50, 200]) {
    const stop = new AbortController()
    setTimeout(() => stop.abort(), delay)
    await mount(at('nothing.raw'), undefined, { signal: stop.signal }).then(
      async ({ folder }) => {
        // What has long begun may be done before it is interrupted.
        assert.equal(delay, 200, `mounted at ${folder} after all`)
        await unmount(folder)
      },
      (error: unknown) => assert.equal(isImageError(error) && error.code, 'E_ABORTED'),
    )
    await assertGone(place)
  }
})
