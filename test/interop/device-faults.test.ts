import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  clone,
  create,
  inspect,
  isImageError,
  openImage,
  restore,
  type ImageError,
  type Progress,
} from '../../src/index.js'
import { FileStore } from '../../src/block/file-store.js'
import { identifyFilesystems } from '../../src/filesystem/index.js'
import { openStore } from '../../src/formats/open.js'
import { vdisk } from '../support/cli.js'
import { diskLike } from '../support/content.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'
import { interrupted } from '../support/interrupted.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, run } from '../support/tools.js'

const skip = loopsMissing()
const mebibyte = 1048576

/** A GPT disk without a hole, filled with noise, text and zeros. */
function sourceDisk(path: string, size: number): string {
  const piece = diskLike(8 * mebibyte, 5)
  const file = fs.openSync(path, 'w')
  for (let at = 0; at < size; at += piece.length) fs.writeSync(file, piece, 0, Math.min(piece.length, size - at))
  fs.closeSync(file)
  run('sgdisk', '-o', '-n', '1:2048:0', path)
  return path
}

/** A disk with a table and a filesystem on it, as disks to be overwritten have. */
function presentDisk(t: TestContext, path: string, size: number): string {
  fs.writeFileSync(path, Buffer.alloc(size, 'old'))
  run('sgdisk', '-o', '-n', '1:2048:+4M', '-n', '2:0:0', path)
  return loopDevice(t, path)
}

/** Nothing on a device is found by anybody: no table at either end, no filesystem. */
async function nothingIsFound(device: string): Promise<void> {
  const { scheme, partitions } = await inspect(device, { from: 'raw' })
  assert.deepEqual([scheme, partitions], ['none', []])
  using source = openStore(FileStore.openRead(device), undefined, { from: 'raw' })
  assert.deepEqual(
    identifyFilesystems(source).map(({ title }) => title),
    [],
  )
  // blkid ends with 2 when it finds nothing.
  const blkid = spawnSync('blkid', ['-p', device], { encoding: 'utf8' })
  assert.equal(blkid.status, 2, blkid.stdout)
  assert.notEqual(spawnSync('sfdisk', ['--dump', device]).status, 0)
}

async function failure(work: Promise<unknown>): Promise<ImageError> {
  try {
    await work
  } catch (error) {
    assert.ok(isImageError(error), String(error))
    return error
  }
  assert.fail('it did not fail')
}

test('verification finds one flipped byte on the medium that the page cache hides', { skip }, async (t) => {
  if (!have(t, 'sgdisk')) return
  const folder = testFolder(t)
  const source = sourceDisk(join(folder, 'source'), 32 * mebibyte)
  const file = join(folder, 'disk')
  const device = presentDisk(t, file, 32 * mebibyte)
  const place = 17 * mebibyte + 12345
  const buffered = (path: string): number => {
    const byte = Buffer.alloc(1)
    const descriptor = fs.openSync(path, 'r')
    fs.readSync(descriptor, byte, 0, 1, place)
    fs.closeSync(descriptor)
    return byte[0] ?? -1
  }
  // As long as somebody has it open, the system keeps what it read of the device.
  const holder = fs.openSync(device, 'r')
  t.after(() => fs.closeSync(holder))
  let flipped: { before: number; cached: number; medium: number } | undefined
  const onProgress = ({ phase }: Progress): void => {
    if (phase !== 'flush' || flipped !== undefined) return
    const before = buffered(device)
    const medium = (before + 1) % 256
    const descriptor = fs.openSync(file, 'r+')
    fs.writeSync(descriptor, Buffer.from([medium]), 0, 1, place)
    fs.fsyncSync(descriptor)
    fs.closeSync(descriptor)
    flipped = { before, cached: buffered(device), medium: buffered(file) }
  }
  const error = await failure(restore(source, device, { yes: true, confirm: '32M', onProgress }))
  assert.ok(flipped !== undefined)
  assert.equal(flipped.cached, flipped.before, 'the page cache did not hide it: the test shows nothing')
  assert.notEqual(flipped.medium, flipped.before)
  assert.deepEqual([error.kind, error.code, error.details['offset']], ['mismatch', 'E_MISMATCH', place])
  assert.match(error.hint ?? '', /incomplete, and cannot be mistaken for a good disk/)
  await nothingIsFound(device)
})

test(
  'a device that fails a write at 70 % stops with the offset and exit code 7',
  { skip: skip ?? faultyDiskMissing() },
  async (t) => {
    if (!have(t, 'sgdisk')) return
    const folder = testFolder(t)
    const size = 64 * mebibyte
    const source = sourceDisk(join(folder, 'source'), size)
    const medium = join(folder, 'medium')
    fs.writeFileSync(medium, Buffer.alloc(size, 'old'))
    const bad = Math.floor((size * 0.7) / 4096) * 4096
    const disk = await faultyDisk(t, medium, { write: [[bad, 4096]] })
    const { path: device } = disk
    const result = await vdisk(['restore', source, device, '--yes', '--confirm', '64M', '--json'], { cwd: folder })
    const { code, kind, message, hint, details } = JSON.parse(result.stdout.toString()) as {
      code: string
      kind: string
      message: string
      hint: string
      details: { position: number }
    }
    assert.deepEqual([result.code, code, kind], [7, 'E_WRITE', 'target'], message)
    assert.equal(details.position, bad)
    assert.match(message, new RegExp(`${device} cannot be written at byte ${bad}: EIO`))
    assert.match(hint, /incomplete, and cannot be mistaken/)
    await nothingIsFound(device)
    // The same by a device that cannot be read back: written, and not to be trusted.
    disk.setFaults({ read: [[bad, 4096]] })
    const unread = await failure(restore(source, device, { yes: true, confirm: '64M' }))
    assert.deepEqual([unread.kind, unread.code], ['mismatch', 'E_VERIFY'])
    await nothingIsFound(device)
    // A head that cannot even be cleared: nothing else is written.
    disk.setFaults({ write: [[4096, 4096]] })
    const before = fs.readFileSync(medium).subarray(8192)
    const uncleared = await failure(restore(source, device, { yes: true, confirm: '64M' }))
    assert.deepEqual([uncleared.kind, uncleared.code], ['target', 'E_WRITE'])
    assert.match(uncleared.hint ?? '', /could not be cleared, and nothing else was written/)
    assert.ok(fs.readFileSync(medium).subarray(8192).equals(before))
    disk.setFaults({})
    assert.ok((await restore(source, device, { yes: true, confirm: '64M' })).verified)
  },
)

test('what stores a device is full: it stops there, and says so', { skip }, async (t) => {
  if (!have(t, 'sgdisk')) return
  // Hooks run in the order in which they come: mounts are gone before the folder they lie in.
  const mounts: string[] = []
  t.after(() => mounts.forEach((point) => spawnSync('umount', ['--lazy', point])))
  const folder = testFolder(t)
  const size = 64 * mebibyte
  const source = sourceDisk(join(folder, 'source'), size)
  // A file with holes on a filesystem that is full at 70 %.
  const medium = join(folder, 'medium')
  fs.mkdirSync(medium)
  run('mount', '-t', 'tmpfs', '-o', `size=${Math.floor(size * 0.7)}`, 'tmpfs', medium)
  mounts.push(medium)
  const file = join(medium, 'disk')
  fs.writeFileSync(file, '')
  fs.truncateSync(file, size)
  const device = loopDevice(t, file)
  const error = await failure(restore(source, device, { yes: true, confirm: '64M' }))
  assert.deepEqual([error.kind, error.code], ['target', 'E_WRITE'])
  const position = Number(error.details['position'])
  assert.ok(position >= size * 0.6 && position < size * 0.8, error.message)
  await nothingIsFound(device)
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
  for (const phase of ['write', 'verify'] as const) {
    test(`${signal} while it is in the phase ${phase}: nothing is found on the target`, { skip }, async (t) => {
      if (!have(t, 'sgdisk')) return
      const folder = testFolder(t)
      const size = 256 * mebibyte
      const source = sourceDisk(join(folder, 'source'), size)
      const device = presentDisk(t, join(folder, 'disk'), size)
      const args = ['restore', source, device, '--yes', '--confirm', '256M']
      const result = await interrupted(folder, args, {
        when: new RegExp(`"phase":"${phase}"`),
        act: (child) => child.kill(signal),
        again: () => undefined,
        // What is read back keeps to no rate.
        rate: phase === 'write' ? 64 : undefined,
      })
      assert.equal(result.code, signal === 'SIGKILL' ? 'SIGKILL' : 130, result.stderr)
      if (signal !== 'SIGKILL')
        assert.match(
          result.stderr,
          new RegExp(
            `interrupted while ${device} was written\nWhy: .*\nWhat to do: ${device} is incomplete, and cannot be ` +
              'mistaken for a good disk: .*no partition table and no filesystem is found on it',
          ),
        )
      await nothingIsFound(device)
      // And it can be written again.
      assert.equal((await vdisk(args, { cwd: folder })).code, 0)
    })
  }
}

test(
  'a damaged source costs the target nothing where that is known beforehand, and is reported where it is not',
  { skip },
  async (t) => {
    if (!have(t, 'sgdisk')) return
    const folder = testFolder(t)
    const device = presentDisk(t, join(folder, 'disk'), 32 * mebibyte)
    const before = fs.readFileSync(join(folder, 'disk'))
    const image = join(folder, 'cut.qcow2')
    await create(image, { size: 32 * mebibyte })
    fs.truncateSync(image, 65536)
    assert.notEqual(
      (await failure(restore(image, device, { yes: true, confirm: '32M', allowNoTable: true }))).kind,
      'internal',
    )
    assert.ok(fs.readFileSync(join(folder, 'disk')).equals(before))
  },
)

test(
  'a source that cannot be read ends a clone with its place, and nothing is found on the target',
  { skip },
  async (t) => {
    if (!have(t, 'sgdisk')) return
    const folder = testFolder(t)
    const file = sourceDisk(join(folder, 'source'), 64 * mebibyte)
    const source = loopDevice(t, file)
    const device = presentDisk(t, join(folder, 'disk'), 64 * mebibyte)
    let cut = false
    const error = await failure(
      clone(source, device, {
        yes: true,
        confirm: '64M',
        onProgress: () => {
          if (!cut) fs.truncateSync(file, 40 * mebibyte)
          cut = true
        },
      }),
    )
    assert.deepEqual([error.kind, error.code], ['corrupt', 'E_READ'])
    assert.ok(Number(error.details['position']) >= 39 * mebibyte, error.message)
    await nothingIsFound(device)
  },
)

test('a target that is mounted, held or gone to somebody else is never opened', { skip }, async (t) => {
  if (!['sgdisk', 'mke2fs'].every((program) => have(t, program))) return
  const mounts: string[] = []
  t.after(() => mounts.forEach((point) => spawnSync('umount', [point])))
  const folder = testFolder(t)
  const source = sourceDisk(join(folder, 'source'), 16 * mebibyte)
  const device = loopDevice(
    t,
    (fs.writeFileSync(join(folder, 'disk'), ''),
    fs.truncateSync(join(folder, 'disk'), 32 * mebibyte),
    join(folder, 'disk')),
  )
  const point = join(folder, 'mounted')
  fs.mkdirSync(point)
  run('mke2fs', '-q', '-t', 'ext4', device)
  run('mount', device, point)
  mounts.push(point)
  const options = { yes: true, confirm: '32M' }
  for (const more of [
    {},
    {
      allowHeld: true,
      allowSwap: true,
      allowSystemDisk: true,
      fit: true,
      allowSourceOnTarget: true,
      clearReadOnly: true,
      allowNoTable: true,
      allowSectorSize: true,
    },
  ]) {
    assert.deepEqual(
      (({ kind, code }) => [kind, code])(await failure(restore(source, device, { ...options, ...more }))),
      ['refused', 'E_MOUNTED'],
    )
  }
  // The source on the target's own filesystem.
  fs.copyFileSync(source, join(point, 'on-it'))
  assert.equal(
    (await failure(restore(join(point, 'on-it'), device, { ...options, unmount: true }))).code,
    'E_SOURCE_ON_TARGET',
  )
  // Its own word unmounts it, unless somebody is there.
  const busy = fs.openSync(join(point, 'on-it'), 'r')
  assert.deepEqual(
    (({ kind, code }) => [kind, code])(await failure(restore(source, device, { ...options, unmount: true }))),
    ['target', 'E_UNMOUNT'],
  )
  fs.closeSync(busy)
  // A loop device above it is reported, and its own word passes: the system lets it.
  const above = loopDevice(t, device)
  assert.equal((await failure(restore(source, device, { ...options, unmount: true }))).code, 'E_HELD')
  run('losetup', '--detach', above)
  const result = await restore(source, device, { ...options, unmount: true })
  assert.ok(result.guards.some(({ guard, overridden }) => guard === 'mounted' && overridden))
  assert.ok(result.verified)
  using done = await openImage(device, { from: 'raw' })
  assert.equal(Buffer.from(done.read(512, 8)).toString(), 'EFI PART')
  // Read-only, with and without its word.
  run('blockdev', '--setro', device)
  assert.equal((await failure(restore(source, device, { ...options, unmount: true }))).code, 'E_READ_ONLY_DISK')
  assert.ok((await restore(source, device, { ...options, clearReadOnly: true })).verified)
  // Held by the program that opened it for himself: no flag helps.
  const exclusive = fs.openSync(device, fs.constants.O_RDONLY + fs.constants.O_EXCL)
  t.after(() => fs.closeSync(exclusive))
  assert.deepEqual(
    (({ kind, code }) => [kind, code])(
      await failure(restore(source, device, { ...options, allowHeld: true, unmount: true })),
    ),
    ['refused', 'E_DEVICE_BUSY'],
  )
})
