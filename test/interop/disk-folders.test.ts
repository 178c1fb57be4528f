import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parallelsDisk, parallelsStates, sparseBundle } from '../../fixtures/spec-writer/bundles.js'
import { compare, convert, hash, inspect, map, measure, openImage } from '../../src/index.js'
import { diskFolder } from '../support/disk-folder.js'
import { testFolder } from '../support/folder.js'
import { guestSha256 } from '../support/guest-hash.js'
import { startServe } from '../support/nbd.js'
import { have, run } from '../support/tools.js'

/** A disk of two partitions, whose second begins in the middle of a band or cluster. */
function partitioned(): Buffer {
  const disk = Buffer.alloc(2048 * 512)
  for (const [slot, start, length] of [
    [0, 8, 500],
    [1, 700, 900],
  ] as const) {
    disk.writeUInt8(0x83, 446 + slot * 16 + 4)
    disk.writeUInt32LE(start, 446 + slot * 16 + 8)
    disk.writeUInt32LE(length, 446 + slot * 16 + 12)
    disk.fill(slot + 1, start * 512, (start + length / 2) * 512)
  }
  disk.fill(7, 1900 * 512, 1950 * 512)
  disk.writeUInt16LE(0xaa55, 510)
  return disk
}

const disk = partitioned()
const older = Buffer.from(disk)
older.fill(9, 720 * 512, 1600 * 512)
const folders = {
  'disk.hdd': parallelsDisk([older, older, disk], 'disk.hdd'),
  'disk.sparsebundle': sparseBundle(disk, 100 * 512),
}

for (const [name, files] of Object.entries(folders))
  test(`${name}: what holds for every disk holds for one that is a folder`, async (t) => {
    const parent = testFolder(t)
    const folder = diskFolder(parent, name, files)
    const raw = join(parent, 'disk.raw')
    fs.writeFileSync(raw, disk)
    assert.ok((await compare(folder, raw)).sameContent)
    const digest = async (path: string): Promise<string | undefined> => (await hash(`${path}@2`)).digests[0]?.digest
    assert.equal(await digest(folder), await digest(raw))
    const { partitions } = await inspect(folder)
    assert.deepEqual(
      partitions.map(({ start, length }) => [start, length]),
      [
        [8 * 512, 500 * 512],
        [700 * 512, 900 * 512],
      ],
    )
    const target = join(parent, 'disk.qcow2')
    const { required } = await measure(folder, { to: 'qcow2' })
    await convert(folder, target, { verify: true })
    assert.equal(fs.statSync(target).size, required)
    if (have(t, 'qemu-img')) assert.match(run('qemu-img', 'compare', target, raw), /identical/)
    const extents = [...map(folder).extents()]
    assert.equal(
      extents.reduce((sum, { length }) => sum + length, 0),
      disk.length,
    )
    assert.ok(extents.some(({ kind }) => kind === 'zero') || name === 'disk.hdd')
  })

test('a disk that is a folder is served and read by another program', async (t) => {
  if (!have(t, 'nbdcopy')) return
  const parent = testFolder(t)
  for (const [name, files] of Object.entries(folders)) {
    const folder = diskFolder(parent, name, files)
    const copy = join(parent, 'copy')
    const { uri } = await startServe(t, parent, [folder])
    run('nbdcopy', uri, copy)
    assert.ok(fs.readFileSync(copy).equals(disk))
    fs.rmSync(copy)
  }
})

test('qemu-img reads an overlay of Parallels alone, zeros for what lies below; vdisk the disk', async (t) => {
  if (!have(t, 'qemu-img')) return
  const folder = diskFolder(testFolder(t), 'disk.hdd', folders['disk.hdd'])
  const overlay = join(folder, `disk.hdd.1.${parallelsStates[2]}.hds`)
  const alone = join(folder, 'alone.raw')
  run('qemu-img', 'convert', '-f', 'parallels', '-O', 'raw', overlay, alone)
  assert.ok(!fs.readFileSync(alone).equals(disk.subarray(disk.length / 2)), 'what lies below is missing')
  using image = await openImage(overlay)
  assert.deepEqual(Buffer.from(image.read(0, disk.length)), disk)
  assert.ok(image.describe().notes.some(({ code }) => code === 'W_EXTENT_GIVEN'))
  using whole = await openImage(folder)
  assert.equal(guestSha256(whole), guestSha256(image))
})
