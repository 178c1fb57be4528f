import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openFile } from '../../../src/formats/open.js'
import { check } from '../../../src/operations/check/check.js'
import { convert } from '../../../src/operations/transfer/convert.js'
import { openExposed, prepareOverlay } from '../../../src/operations/serve/exposed-disk.js'
import { fixture } from '../../support/fixtures.js'
import { testFolder } from '../../support/folder.js'

const contents = (path: string) => {
  using image = openFile(path)
  const bytes = Buffer.alloc(image.capacity)
  image.read(0, bytes)
  return bytes
}
const copyOfDisk = (folder: string, name: string) => {
  const path = join(folder, name)
  fs.copyFileSync(fixture('partitioned-disk.vhdx'), path)
  return path
}

test('read only: what is read is the image, and nothing can be written', (t: TestContext) => {
  const folder = testFolder(t)
  const path = copyOfDisk(folder, 'read.vhdx')
  using exposed = openExposed(path, { mode: 'read-only' })
  const { disk } = exposed
  assert.equal(disk.writable, false)
  const bytes = Buffer.alloc(disk.capacity)
  disk.read(0, bytes)
  assert.ok(bytes.equals(contents(path)))
  assert.throws(() => disk.write(0, Uint8Array.of(1)), TypeError)
  assert.throws(() => disk.zero(0, 1), TypeError)
})

test('a throwaway layer: the disk changes, the image does not, and no file stays', (t: TestContext) => {
  const folder = testFolder(t)
  const path = copyOfDisk(folder, 'throw.vhdx')
  const before = fs.readFileSync(path)
  const files = fs.readdirSync(folder)
  {
    using exposed = openExposed(path, { mode: 'throwaway' })
    exposed.disk.write(1000, Buffer.from('changed'))
    exposed.disk.flush()
    const seen = Buffer.alloc(7)
    exposed.disk.read(1000, seen)
    assert.equal(seen.toString(), 'changed')
  }
  assert.ok(fs.readFileSync(path).equals(before))
  assert.deepEqual(fs.readdirSync(folder), files)
})

for (const extension of ['qcow2', 'vhd', 'vhdx', 'vdi']) {
  test(`an overlay keeps the changes in a ${extension}, and is taken up again`, async (t: TestContext) => {
    const folder = testFolder(t)
    const path = copyOfDisk(folder, `base-${extension}.vhdx`)
    const base = join(folder, `parent.${extension}`)
    // A child stands upon an image of its own format, except a QCOW2.
    await convert(path, base, {})
    const overlay = join(folder, `changes.${extension}`)
    const before = fs.readFileSync(base)
    for (const made of [true, false]) {
      assert.equal(await prepareOverlay(base, overlay, {}), made)
      using exposed = openExposed(base, { mode: 'overlay', overlay })
      assert.equal(exposed.format, extension)
      const seen = Buffer.alloc(4)
      exposed.disk.read(4098, seen)
      assert.equal(seen.toString() === 'kept', !made)
      exposed.disk.write(4098, Buffer.from('kept'))
      exposed.disk.flush()
    }
    assert.ok(fs.readFileSync(base).equals(before))
    assert.equal((await check(overlay, {})).counts.error, 0)
  })
}

test("a file that is not this image's child is no overlay of it", async (t: TestContext) => {
  const folder = testFolder(t)
  const path = copyOfDisk(folder, 'other.vhdx')
  await assert.rejects(prepareOverlay(path, copyOfDisk(folder, 'single.vhdx'), {}), {
    code: 'E_NOT_ITS_CHILD',
    kind: 'refused',
  })
})

test('write: the image itself changes, its partitions with it, and it is locked meanwhile', async (t: TestContext) => {
  const folder = testFolder(t)
  const path = copyOfDisk(folder, 'write.vhdx')
  {
    using exposed = openExposed(`${path}@1`, { mode: 'write' })
    assert.equal(exposed.part, 'partition 1')
    exposed.disk.write(0, Buffer.from('first of partition'))
    const [first] = exposed.table.partitions
    assert.ok(first)
    const seen = Buffer.alloc(18)
    exposed.slice(0, first.start + 512).read(first.start, seen)
    assert.equal(seen.toString(), 'first of partition')
    assert.throws(() => exposed.disk.write(exposed.disk.capacity - 1, new Uint8Array(2)), RangeError)
    assert.throws(() => openExposed(path, { mode: 'write' }), { code: 'E_LOCKED' })
  }
  using exposed = openExposed(`${path}@1`, { mode: 'read-only' })
  const seen = Buffer.alloc(18)
  exposed.disk.read(0, seen)
  assert.equal(seen.toString(), 'first of partition')
  assert.equal((await check(path, {})).counts.error, 0)
})
