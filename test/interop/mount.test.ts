import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { convert } from '../../src/operations/transfer/convert.js'
import { mounts } from '../../src/operations/mount/mounts.js'
import { makeDisk, volumes } from '../support/mountable-disk.js'
import { assertGone, fileHash, hashes, mountingMissing, mountPlace, type MountPlace } from '../support/mounted.js'
import { run } from '../support/tools.js'
import { haveAll } from '../support/volumes.js'

const skip = mountingMissing()
const tools = [
  'sfdisk',
  'mke2fs',
  'mkfs.xfs',
  'mkfs.btrfs',
  'mkfs.ntfs',
  'ntfs-3g',
  'fusefat',
  'mkfs.vfat',
  'mcopy',
  'qemu-img',
  'fusermount3',
  'losetup',
]

/** Images of one disk, each of another format or kind. */
const kinds: Readonly<Record<string, (disk: string, image: string, place: MountPlace) => Promise<unknown>>> = {
  raw: async (disk, image) => fs.promises.copyFile(disk, image),
  vhd: (disk, image) => convert(disk, image),
  vhdx: (disk, image) => convert(disk, image),
  'compressed.qcow2': (disk, image) =>
    Promise.resolve(run('qemu-img', 'convert', '-c', '-f', 'raw', '-O', 'qcow2', disk, image)),
  'child.qcow2': async (disk, image, { at }) => {
    // The parent lacks the first half of the disk, with the partition table.
    fs.copyFileSync(disk, at('half.raw'))
    const half = fs.openSync(at('half.raw'), 'r+')
    fs.writeSync(half, Buffer.alloc(30 * 1048576), 0, 30 * 1048576, 0)
    fs.closeSync(half)
    await convert(at('half.raw'), at('parent.qcow2'))
    return convert(disk, image, { parent: at('parent.qcow2') })
  },
}

test(
  'five filesystems in images of five kinds are mounted: every file is whole, and no image changes',
  { skip: skip ?? false },
  async (t: TestContext) => {
    if (!haveAll(t, ...tools)) return
    const place = mountPlace(t)
    const { at, mount, unmount } = place
    const disk = at('disk.img')
    fs.mkdirSync(at('scratch'))
    const contents = makeDisk(disk, at('scratch'))
    const whole = fileHash(disk)
    for (const [kind, make] of Object.entries(kinds)) {
      const image = at(`image.${kind}`)
      await make(disk, image, place)
      const before = fileHash(image)
      const point = at('point')
      fs.mkdirSync(point, { recursive: true })
      const session = await mount(image, point, { all: true })
      assert.deepEqual(
        session.mounts.map(({ type, partition, readOnly }) => [type, partition, readOnly]),
        volumes.map(({ type }, index) => [type, index + 1, true]),
        kind,
      )
      for (const [partition, files] of contents) {
        // fusefat shows short names in upper case.
        const comparable = (list: Map<string, string>) =>
          [...list]
            .map(([name, hash]) =>
              [volumes[partition - 1]?.type === 'vfat' ? name.toUpperCase() : name, hash].join(' '),
            )
            .sort()
        assert.deepEqual(
          comparable(hashes(join(point, String(partition)))),
          comparable(files),
          `${kind}, partition ${partition}`,
        )
      }
      assert.throws(() => fs.writeFileSync(join(point, '1/new'), ''), { code: 'EROFS' })
      await unmount(point)
      assert.deepEqual(fs.readdirSync(point), [], 'the folders of the partitions are gone')
      assert.equal(fileHash(image), before, `${kind} is as it was`)
      // The whole disk as a file: the same bytes in any format.
      const shown = await mount(image)
      assert.equal(fileHash(join(shown.folder, 'disk.img')), whole, kind)
      await unmount(image)
      await assertGone(place)
      assert.deepEqual(mounts(), [])
    }
  },
)
