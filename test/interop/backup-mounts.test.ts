import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { ffuEntries, ffuImage } from '../../fixtures/spec-writer/ffu.js'
import { MacriumSet } from '../../fixtures/spec-writer/macrium.js'
import { datastore } from '../../fixtures/spec-writer/pbs.js'
import { convert } from '../../src/index.js'
import { fixture } from '../support/fixtures.js'
import { diskFolder } from '../support/disk-folder.js'
import { hashes, mountingMissing, mountPlace } from '../support/mounted.js'
import { vmaBytes } from '../support/vma-bytes.js'
import { xvaBytes } from '../support/xva-bytes.js'

const skip = mountingMissing()
const mebibyte = 1048576
/** The root of the fixture's disk. */
const partition = { number: 2, start: 13 * mebibyte, length: 26 * mebibyte }

/** Backups of one disk, by what makes them. @returns the image's path. */
const kinds: Readonly<Record<string, (disk: Buffer, folder: string) => string>> = {
  ffu: (disk, folder) => {
    const path = join(folder, 'disk.ffu')
    fs.writeFileSync(path, ffuImage([{ capacity: disk.length, entries: ffuEntries(disk, 4096) }]))
    return path
  },
  pbs: (disk, folder) => {
    const files = datastore(disk)
    return join(diskFolder(folder, 'store', files), Object.keys(files)[0] ?? '')
  },
  macrium: (disk, folder) => {
    const { number, start, length } = partition
    const files = new MacriumSet().add({
      disks: [
        {
          number: 0,
          table: 'gpt',
          size: disk.length,
          trackZero: disk.subarray(0, 34 * 512),
          partitions: [{ number, start, content: disk.subarray(start, start + length) }],
        },
      ],
      kind: 'full',
    })
    return join(diskFolder(folder, 'reflect', files), Object.keys(files)[0] ?? '')
  },
  vma: (disk, folder) => {
    const path = join(folder, 'vm.vma')
    fs.writeFileSync(path, vmaBytes({ disks: { 'drive-scsi0': disk } }))
    return path
  },
  xva: (disk, folder) => {
    const path = join(folder, 'vm.xva')
    fs.writeFileSync(path, xvaBytes({ disks: { 'Ref:4': disk } }))
    return path
  },
}

test('backups of every kind are mounted and listed: each file is whole', { skip: skip ?? false }, async (t) => {
  const { at, folder, mount, unmount, vdisk } = mountPlace(t)
  const raw = at('disk.raw')
  await convert(fixture('partitioned-disk.vhdx'), raw)
  const disk = fs.readFileSync(raw)
  const point = at('point')
  fs.mkdirSync(point)
  const filesOf = async (image: string): Promise<Map<string, string>> => {
    await mount(`${image}@${partition.number}`, point)
    const files = hashes(point)
    await unmount(point)
    return files
  }
  const expected = await filesOf(raw)
  assert.ok(expected.size > 3)
  for (const [kind, make] of Object.entries(kinds)) {
    const image = make(disk, folder)
    assert.deepEqual(await filesOf(image), expected, kind)
    const copied = await vdisk('cp', '-r', `${image}@${partition.number}:/`, `copied-${kind}`)
    assert.equal(copied.code, 0, copied.stderr)
    assert.deepEqual(hashes(at(`copied-${kind}`)), expected, kind)
  }
})
