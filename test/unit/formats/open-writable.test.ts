import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { convert } from '../../../src/operations/transfer/convert.js'
import { openFile } from '../../../src/formats/open.js'
import { openWritableImage } from '../../../src/formats/open-writable.js'
import { fixture } from '../../support/fixtures.js'
import { testFolder } from '../../support/folder.js'
import { syscalls } from '../../../src/sys/syscalls.js'

test('a raw image is changed in place, and a discard leaves a hole', (t) => {
  const file = path.join(testFolder(t), 'disk.raw')
  fs.writeFileSync(file, Buffer.alloc(1048576, 7))
  {
    using opened = openWritableImage(file)
    opened.image.write(1000, Buffer.from('changed'))
    opened.image.discard(65536, 131072)
    opened.image.resize?.(2097152)
    opened.image.flush()
    assert.equal(opened.disk.capacity, 2097152)
    assert.throws(() => opened.image.write(2097152, Uint8Array.of(1)), RangeError)
  }
  const bytes = fs.readFileSync(file)
  const expected = Buffer.alloc(2097152)
  expected.fill(7, 0, 1048576)
  expected.write('changed', 1000)
  expected.fill(0, 65536, 65536 + 131072)
  assert.ok(bytes.equals(expected))
})

test(
  'an image that somebody else has open for changes is refused',
  { skip: syscalls() === undefined ? 'there are no system calls here' : undefined },
  (t) => {
    const file = path.join(testFolder(t), 'disk.raw')
    fs.writeFileSync(file, Buffer.alloc(4096))
    using opened = openWritableImage(file)
    assert.throws(() => openWritableImage(file), { code: 'E_LOCKED', kind: 'refused' })
    opened.image.write(0, Uint8Array.of(1))
  },
)

test('what cannot be changed in place is refused, and left as it is', () => {
  assert.throws(() => openWritableImage(fixture('raw/split.001')), { code: 'E_NOT_WRITABLE' })
  assert.throws(() => openWritableImage(fixture('qcow/v1.qcow')), { code: 'E_NOT_WRITABLE' })
})

test('a child is changed over its parents, which stay as they are', async (t) => {
  const folder = testFolder(t)
  const [base, child] = [path.join(folder, 'base.raw'), path.join(folder, 'child.vhdx')]
  const content = Buffer.alloc(4 * 1048576, 3)
  fs.writeFileSync(base, content)
  const parent = path.join(folder, 'parent.vhdx')
  await convert(base, parent)
  await convert(parent, child, { parent })
  const before = fs.readFileSync(parent)
  {
    using opened = openWritableImage(child)
    opened.image.write(1000, Buffer.from('changed'))
    content.write('changed', 1000)
    const sector = Buffer.alloc(2048)
    opened.disk.read(0, sector)
    assert.ok(sector.equals(content.subarray(0, 2048)))
  }
  assert.ok(fs.readFileSync(parent).equals(before))
  using opened = openFile(child)
  const bytes = Buffer.alloc(content.length)
  opened.read(0, bytes)
  assert.ok(bytes.equals(content))
})
