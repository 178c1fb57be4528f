import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { DiskStore } from '../../../src/device/disk-store.js'
import { LinuxDisks } from '../../../src/device/linux.js'
import { loopDevice, loopsMissing } from '../../support/loop.js'
import { testFolder } from '../../support/folder.js'

const skip = loopsMissing()
const mebibyte = 1048576

for (const sectorSize of [512, 4096] as const) {
  test(`a disk with sectors of ${sectorSize} bytes: any position and length, past the page cache`, { skip }, (t) => {
    const folder = testFolder(t)
    const file = join(folder, 'disk.raw')
    const content = Buffer.alloc(4 * mebibyte)
    for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(at, at)
    writeFileSync(file, content)
    const path = loopDevice(t, file, sectorSize)
    const { disk } = new LinuxDisks().find(path)
    assert.deepEqual(
      [disk.size, disk.logicalSectorSize, disk.kind, disk.backingFile],
      [content.length, sectorSize, 'loop', file],
    )
    using store = DiskStore.open(path, { size: disk.size, sectorSize, writable: true })
    assert.equal(store.direct, true)
    for (const [position, length] of [
      [0, 10],
      [sectorSize - 1, 2],
      [1000, 70000],
      [content.length - 3, 3],
      [5, 3 * mebibyte + 7],
    ] as const) {
      const target = Buffer.alloc(length)
      store.read(position, target)
      assert.deepEqual(target, content.subarray(position, position + length))
      target.fill(position % 256)
      store.write(position, target)
      target.copy(content, position)
    }
    store.zero(mebibyte, mebibyte)
    content.fill(0, mebibyte, 2 * mebibyte)
    store.flush()
    assert.ok(readFileSync(file).equals(content))
    assert.throws(() => store.read(content.length - 1, Buffer.alloc(2)), { code: 'E_TRUNCATED' })
    assert.throws(() => store.write(content.length - 1, Buffer.alloc(2)), { code: 'E_WRITE' })
    assert.throws(() => DiskStore.open(path, { size: disk.size, sectorSize, exclusive: true }), {
      code: 'E_DEVICE_BUSY',
      kind: 'refused',
    })
  })
}
