import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { compact } from '../../src/operations/change/compact.js'
import { check } from '../../src/operations/check/check.js'
import { convert } from '../../src/operations/transfer/convert.js'
import type { MountOptions } from '../../src/operations/mount/mount.js'
import { diskLike } from '../support/content.js'
import { makeVolume, type VolumeType } from '../support/mountable-disk.js'
import { assertGone, fileHash, hashes, mountingMissing, mountPlace, type MountPlace } from '../support/mounted.js'
import { run } from '../support/tools.js'
import { haveAll, withKernelMount } from '../support/volumes.js'

const skip = mountingMissing() ?? false

/** Says whether a volume is in order, by its own tool. */
const judges: Partial<Record<VolumeType, (volume: string) => unknown>> = {
  ext4: (volume) => run('e2fsck', '-f', '-n', volume),
  ntfs: (volume) => run('ntfsfix', '--no-action', volume),
}

/** Changes files in all ways: more, less, other, gone, renamed, with holes. */
function change(point: string): void {
  const at = (name: string): string => join(point, name)
  fs.writeFileSync(at('new.bin'), diskLike(3 * 1048576 + 77, 11))
  fs.rmSync(at('large.bin'))
  fs.appendFileSync(at('small.txt'), ' and more')
  fs.truncateSync(at('folder/file 50'), 1000)
  fs.renameSync(at('folder/below'), at('renamed'))
  for (let index = 0; index < 30; index++) fs.rmSync(at(`folder/file ${index}`))
  const holes = fs.openSync(at('holes'), 'w')
  for (const position of [0, 300000, 1500000]) fs.writeSync(holes, diskLike(5000, position + 1), 0, 5000, position)
  fs.fsyncSync(holes)
  fs.closeSync(holes)
}

/** Where changes go, and the images that they go to or stand upon. */
const ways = {
  ext4: [
    ['write', 'vhdx'],
    ['write', 'vdi'],
    ['write', 'vmdk'],
    ['write', 'qcow2'],
    ['overlay', 'raw'],
    ['overlay', 'vhd'],
  ],
  ntfs: [
    ['write', 'raw'],
    ['write', 'vhd'],
    ['overlay', 'vhdx'],
  ],
} as const

for (const type of ['ext4', 'ntfs'] as const) {
  test(
    `${type} is written through --write and --overlay: its own tool and check find nothing wrong, and what ` +
      'was written is there',
    { skip },
    async (t: TestContext) => {
      if (!haveAll(t, 'mke2fs', 'e2fsck', 'mkfs.ntfs', 'ntfs-3g', 'ntfsfix')) return
      const place = mountPlace(t)
      const { at, mount, unmount } = place
      const volume = at(`volume.raw`)
      makeVolume(type, type === 'ext4' ? 20 : 16, volume, at(''))
      const point = at('point')
      fs.mkdirSync(point)
      for (const [mode, format] of ways[type]) {
        const name = `${type}, ${mode}, ${format}`
        const image = at(`${mode}.${format}`)
        await convert(volume, image, {})
        const before = fileHash(image)
        const overlay = at(`${mode}-of.${format === 'raw' ? 'qcow2' : format}`)
        const options: MountOptions = mode === 'write' ? { write: true } : { overlay }
        const {
          mounts: [mounted],
        } = await mount(image, point, options)
        assert.deepEqual([mounted?.type, mounted?.readOnly], [type, false], name)
        change(point)
        const written = hashes(point)
        await unmount(point)
        await assertGone(place)
        if (mode === 'overlay') assert.equal(fileHash(image), before, `${name}: the image is as it was`)
        const changed = mode === 'overlay' ? overlay : image
        // A VMDK keeps the places of what was given back until then.
        if (format === 'vmdk') await compact(changed, { inPlace: true })
        const { counts } = await check(changed, {})
        assert.deepEqual([counts.error, counts.leak, counts.warning], [0, 0, 0], name)
        const result = at(`result-${mode}-${format}`)
        await convert(changed, result, { to: 'raw' })
        judges[type]?.(result)
        // Mounted again, by another way: the same files.
        await mount(changed, point)
        assert.deepEqual([...hashes(point)], [...written], name)
        await unmount(changed)
        fs.rmSync(result)
      }
    },
  )
}

/** A copy of a mounted filesystem as a backup of a running machine has it: the journal is full, the rest is old. */
function copyOfLive(
  type: 'ext4' | 'xfs' | 'btrfs',
  { at }: MountPlace,
): { readonly copy: string; readonly files: Map<string, string> } {
  const volume = at(`live-${type}`)
  const copy = at(`copy-${type}.raw`)
  makeVolume(type, type === 'ext4' ? 20 : 24, volume, at(''))
  const files = withKernelMount(volume, at(`live-point-${type}`), 'rw', () => {
    const folder = at(`live-point-${type}`)
    for (let index = 0; index < 200; index++) {
      const file = fs.openSync(join(folder, `late ${index}`), 'w')
      fs.writeSync(file, diskLike(3000, index + 1))
      // On the medium, by way of the journal.
      fs.fsyncSync(file)
      fs.closeSync(file)
    }
    run('cp', '--sparse=always', volume, copy)
    return hashes(folder)
  })
  return { copy, files }
}

test(
  'copies of live filesystems with a dirty journal show all their files, and are not changed',
  { skip },
  async (t: TestContext) => {
    if (!haveAll(t, 'mke2fs', 'mkfs.xfs', 'mkfs.btrfs', 'dumpe2fs')) return
    const place = mountPlace(t)
    const { at, mount, unmount } = place
    const point = at('point')
    fs.mkdirSync(point)
    for (const type of ['ext4', 'xfs', 'btrfs'] as const) {
      const { copy, files } = copyOfLive(type, place)
      if (type === 'ext4') assert.match(run('dumpe2fs', '-h', copy), /needs_recovery/)
      const before = fileHash(copy)
      const {
        mounts: [mounted],
      } = await mount(copy, point)
      assert.deepEqual([mounted?.type, mounted?.readOnly], [type, true])
      const seen = hashes(point)
      assert.equal([...seen.keys()].filter((name) => name.startsWith('late ')).length, 200, type)
      assert.deepEqual([...seen], [...files], type)
      await unmount(point)
      assert.equal(fileHash(copy), before, type)
    }
    // Nothing of the throwaway layers is left beside the images.
    assert.deepEqual(
      fs.readdirSync(at('')).filter((name) => name.startsWith('.')),
      [],
    )
    await assertGone(place)
  },
)

test(
  'a disk that is shown is written as a file: zeros are punched, its size stays, a full flush is asked of the image',
  { skip },
  async (t: TestContext) => {
    if (!haveAll(t, 'fallocate', 'qemu-img')) return
    const place = mountPlace(t)
    const { at, mount, unmount } = place
    fs.writeFileSync(at('disk.raw'), diskLike(4 * 1048576, 5))
    await convert(at('disk.raw'), at('disk.qcow2'), {})
    const { folder } = await mount(at('disk.qcow2'), undefined, { write: true })
    const shown = join(folder, 'disk.img')
    assert.throws(() => fs.truncateSync(shown, 100), { code: 'EPERM' })
    run('fallocate', '--punch-hole', '--offset', '65536', '--length', '1048576', shown)
    run('fallocate', '--zero-range', '--keep-size', '--offset', '2000000', '--length', '12345', shown)
    assert.notEqual(spawnSync('fallocate', ['--length', '8M', shown]).status, 0)
    const file = fs.openSync(shown, 'r+')
    fs.writeSync(file, Buffer.from('written'), 0, 7, 3 * 1048576 + 1)
    // As on a disk: what fits is written.
    assert.equal(fs.writeSync(file, Buffer.alloc(4096), 0, 4096, 4 * 1048576 - 100), 100)
    assert.throws(() => fs.writeSync(file, Buffer.alloc(1), 0, 1, 4 * 1048576), { code: 'ENOSPC' })
    fs.fsyncSync(file)
    fs.closeSync(file)
    const expected = Buffer.from(fs.readFileSync(at('disk.raw')))
    expected
      .fill(0, 65536, 65536 + 1048576)
      .fill(0, 2000000, 2012345)
      .fill(0, 4 * 1048576 - 100)
      .write('written', 3 * 1048576 + 1)
    assert.ok(fs.readFileSync(shown).equals(expected))
    await unmount(folder)
    assert.deepEqual((await check(at('disk.qcow2'), {})).counts.error, 0)
    await convert(at('disk.qcow2'), at('after.raw'), {})
    assert.ok(fs.readFileSync(at('after.raw')).equals(expected))
    assert.match(
      run('qemu-img', 'map', '--output=json', at('disk.qcow2')),
      /"start": 65536, "length": 10\d{5}.*"zero": true/,
    )
    await assertGone(place)
  },
)

test('holes of a disk that is shown are found by SEEK_DATA and SEEK_HOLE', { skip }, async (t: TestContext) => {
  const place = mountPlace(t)
  const { at, mount, unmount } = place
  const disk = fs.openSync(at('sparse.raw'), 'w')
  fs.ftruncateSync(disk, 64 * 1048576)
  for (const position of [0, 10, 33]) fs.writeSync(disk, Buffer.alloc(65536, 7), 0, 65536, position * 1048576)
  fs.closeSync(disk)
  await convert(at('sparse.raw'), at('sparse.qcow2'), {})
  const { folder } = await mount(at('sparse.qcow2'))
  // cp asks for the holes, and makes none of its own.
  run('cp', '--sparse=auto', join(folder, 'disk.img'), at('copy.raw'))
  run('cmp', at('copy.raw'), at('sparse.raw'))
  const script =
    'import os,sys\nf=os.open(sys.argv[1],os.O_RDONLY)\np=0\nout=[]\nwhile True:\n  try: ' +
    ('d=os.lseek(f,p,os.SEEK_DATA)\n  except OSError: break\n  p=os.lseek(f,d,os.SEEK_HOLE); ' +
      'out.append((d,p))\nprint(out)')
  assert.equal(
    run('python3', '-c', script, join(folder, 'disk.img')).trim(),
    '[(0, 65536), (10485760, 10551296), (34603008, 34668544)]',
  )
  await unmount(folder)
  await assertGone(place)
})
