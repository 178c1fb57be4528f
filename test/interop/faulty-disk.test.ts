import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { pageAlignedMemory } from '../../src/binary/pages.js'
import { FileStore } from '../../src/block/file-store.js'
import { DiskStore } from '../../src/device/disk-store.js'
import { LinuxDisks } from '../../src/device/linux.js'
import { vdisk } from '../support/cli.js'
import { faultyDisk, faultyDiskMissing } from '../support/faulty-disk.js'
import { testFolder } from '../support/folder.js'

const skip = faultyDiskMissing() ?? false

test('a disk with faults fails where it should, and nowhere else', { skip }, async (t) => {
  const medium = join(testFolder(t), 'medium')
  const size = 8 * 1048576
  const content = Buffer.alloc(size)
  for (let at = 0; at < size; at += 4) content.writeUInt32LE(at, at)
  fs.writeFileSync(medium, content)
  for (const sectorSize of [512, 4096] as const) {
    const disk = await faultyDisk(t, medium, { read: [[1048576, 4096]] }, sectorSize)
    const { disk: found } = new LinuxDisks().find(disk.path)
    assert.deepEqual([found.size, found.logicalSectorSize], [size, sectorSize])
    using store = DiskStore.open(disk.path, { size, sectorSize, writable: true })
    const bytes = new Uint8Array(pageAlignedMemory(65536))
    assert.throws(() => store.read(1048576 - 4096, bytes.subarray(0, 8192)), { code: 'E_READ' })
    store.read(1048576 + 4096, bytes)
    assert.equal(Buffer.compare(bytes, content.subarray(1048576 + 4096, 1048576 + 4096 + 65536)), 0)
    disk.setFaults({ write: [[0, 4096]] })
    store.read(1048576, bytes)
    assert.equal(Buffer.compare(bytes, content.subarray(1048576, 1048576 + 65536)), 0)
    assert.throws(() => store.write(0, bytes), { kind: 'target' })
    bytes.fill(0x41)
    store.write(4096, bytes)
    content.fill(0x41, 4096, 4096 + 65536)
    assert.equal(Buffer.compare(fs.readFileSync(medium), content), 0)
  }
})

test('a disk with a sector that cannot be read is no smaller disk', { skip }, async (t) => {
  const folder = testFolder(t)
  const medium = join(folder, 'medium')
  const size = 8 * 1048576
  fs.writeFileSync(medium, Buffer.alloc(size, 'disk'))
  // Where a search for the end looks: the first sector, and those at powers of two.
  const disk = await faultyDisk(t, medium, {
    read: [
      [0, 4096],
      [1048576, 4096],
      [6291456, 4096],
    ],
  })
  const measure = (): number => {
    using store = FileStore.openRead(disk.path)
    return store.size
  }
  assert.equal(measure(), size)
  for (const command of [
    ['convert', disk.path, join(folder, 'out.raw')],
    ['hash', disk.path],
  ]) {
    const { code, stderr } = await vdisk([...command, '--from', 'raw'], { cwd: folder })
    assert.equal(code, 4, stderr)
    assert.match(stderr, /cannot read/)
  }
  assert.deepEqual(fs.readdirSync(folder), ['medium'])
  // Systems, and containers, where nothing records the size.
  const read = fs.readFileSync
  t.mock.method(fs, 'readFileSync', (...given: Parameters<typeof fs.readFileSync>) => {
    if (String(given[0]).startsWith('/sys/dev/block/')) throw Object.assign(new Error('not there'), { code: 'ENOENT' })
    return read(...given)
  })
  assert.equal(measure(), size)
})
