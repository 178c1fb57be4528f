import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { OverlaySource } from '../../../src/block/overlay.js'
import type { ByteStore } from '../../../src/block/types.js'
import { raw } from '../../../src/formats/raw/index.js'
import { vhdx } from '../../../src/formats/vhdx/index.js'
import { mib } from '../../support/vhdx-bytes.js'
import { contextOf, open, readAll, refuses } from '../../support/vhdx-open.js'
import { make, parentShape, shapeOf, writerOf } from '../../support/vhdx-make.js'

const bytesOf = (store: ByteStore): Buffer => {
  const bytes = Buffer.alloc(store.size)
  store.read(0, bytes)
  return bytes
}
const facts = (disk: ReturnType<typeof open>): Map<string, unknown> =>
  new Map(
    disk
      .describe()
      .flatMap((section) => section.facts)
      .map((fact) => [fact.name, fact.value]),
  )
const filled = (offset: number, length: number, fill: number) => ({ offset, length, bytes: Buffer.alloc(length, fill) })

test('dynamic: only what is placed has a block, in the order of placing', () => {
  const store = make(shapeOf(10 * mib), { 'block-size': mib }, [
    filled(3 * mib + 65536, 65536, 1),
    filled(9 * mib - 65536, 131072, 2),
  ])
  // Headers, log, table and metadata are one MiB each.
  assert.equal(store.size, 7 * mib)
  const bytes = bytesOf(store)
  assert.equal(bytes.readBigUInt64LE(2 * mib + 3 * 8), BigInt(4 * mib) + 6n)
  assert.equal(bytes.readBigUInt64LE(2 * mib + 8 * 8), BigInt(5 * mib) + 6n)
  assert.equal(bytes.readBigUInt64LE(2 * mib + 9 * 8), BigInt(6 * mib) + 6n)
  const disk = open(store)
  assert.deepEqual(disk.notes, [])
  assert.equal(disk.subformat, 'dynamic')
  assert.equal(facts(disk).get('virtualDiskId'), '11111111-2222-4333-8444-555555555555')
  assert.equal(facts(disk).get('physicalSectorSize'), 4096)
  const expected = Buffer.alloc(10 * mib)
  expected.fill(1, 3 * mib + 65536, 3 * mib + 131072).fill(2, 9 * mib - 65536, 9 * mib + 65536)
  assert.equal(Buffer.compare(readAll(disk), expected), 0)
})

test('fixed: every block present and in order, the file whole', () => {
  const store = make(shapeOf(5 * mib + 512), { 'block-size': 2 * mib, subformat: 'fixed' }, [filled(4 * mib, 65536, 7)])
  assert.equal(store.size, 4 * mib + 6 * mib)
  const disk = open(store)
  assert.deepEqual(disk.notes, [])
  assert.equal(disk.subformat, 'fixed')
  assert.deepEqual(disk.extentAt(0, 100 * mib), {
    kind: 'data',
    offset: 0,
    length: 5 * mib + 512,
    store,
    position: 4 * mib,
  })
  assert.equal(readAll(disk, 4 * mib, 1)[0], 7)
})

test('the same identity gives the same bytes; another gives other ids', () => {
  const runs = [filled(0, 65536, 9)]
  assert.equal(Buffer.compare(bytesOf(make(shapeOf(mib), {}, runs)), bytesOf(make(shapeOf(mib), {}, runs))), 0)
  const shape = shapeOf(mib)
  const other = shapeOf(mib, { identity: { ...shape.identity, derive: (name) => shape.identity.derive(`${name}!`) } })
  assert.notEqual(open(make(shape, {}, [])).identity, open(make(other, {}, [])).identity)
})

test('the identifier comes last, after a flush', () => {
  const calls: string[] = []
  class Recorder extends MemoryStore {
    override write(position: number, bytes: Uint8Array): void {
      calls.push(position === 0 ? 'identifier' : 'write')
      super.write(position, bytes)
    }
    override flush(): void {
      calls.push('flush')
    }
  }
  const store = new Recorder()
  const writer = writerOf(store, shapeOf(mib))
  writer.place(0, 65536)
  assert.equal(store.size, 0)
  writer.finish()
  assert.deepEqual(calls.slice(-3), ['flush', 'identifier', 'flush'])
  assert.equal(calls.indexOf('identifier'), calls.length - 2)
})

test('capacity is rounded up to the sector', () => {
  assert.equal(writerOf(new MemoryStore(), shapeOf(1000001)).capacity, 1000448)
  assert.equal(writerOf(new MemoryStore(), shapeOf(1000001, { sectorSize: 4096 })).capacity, 1003520)
})

test('64 TiB: the table is as long as it must be, memory and file stay small', () => {
  const capacity = 64 * 2 ** 40
  const store = new MemoryStore()
  make(shapeOf(capacity), {}, [filled(0, 65536, 1), filled(capacity - 65536, 65536, 2)], store)
  assert.equal(store.size, (2 + 9 + 1 + 128) * mib)
  const disk = open(store)
  assert.equal(readAll(disk, capacity - 1, 1)[0], 2)
  assert.deepEqual(disk.extentAt(64 * mib, capacity), {
    kind: 'absent',
    offset: 64 * mib,
    length: capacity - 128 * mib,
  })
})

test('wrong options and shapes are refused by name', () => {
  const parent = open(make(shapeOf(mib), {}, []))
  const create =
    (options: Record<string, string | number>, more = {}) =>
    () =>
      writerOf(new MemoryStore(), shapeOf(mib, more), options)
  refuses(create({ 'block-size': 3 * mib }), 'usage', 'E_OPTION_VALUE', /block-size 3145728/)
  refuses(create({ 'physical-sector-size': '520' }), 'usage', 'E_OPTION_VALUE', /520/)
  refuses(create({ 'physical-sector-size': '512' }, { sectorSize: 4096 }), 'usage', 'E_OPTION_VALUE', /smaller/)
  refuses(create({ subformat: 'fixed' }, { parent: parentShape(parent) }), 'usage', 'E_OPTIONS', /parent/)
  refuses(create({}, { sectorSize: 4096, parent: parentShape(parent) }), 'usage', 'E_SECTOR_SIZE', /512/)
  refuses(
    create({}, { parent: parentShape(raw.open(new MemoryStore(new Uint8Array(mib)), contextOf())) }),
    'usage',
    'E_PARENT_FORMAT',
    /raw/,
  )
  refuses(() => writerOf(new MemoryStore(), shapeOf(64 * 2 ** 40 + 512)), 'usage', 'E_SIZE', /64 TiB/)
})

test('offsets outside the disk or going back are errors of the caller', () => {
  const writer = writerOf(new MemoryStore(), shapeOf(5000 * mib), { 'block-size': mib })
  assert.throws(() => writer.place(5000 * mib, 512), RangeError)
  writer.place(4500 * mib, 512)
  assert.throws(() => writer.place(0, 512), RangeError)
})

test('a store that cannot grow and holds old bytes: refused when too small, cleared where it is used', () => {
  class Device extends MemoryStore {
    override readonly growable = false as unknown as true
    override readonly zeroed = false as unknown as true
  }
  const small = new Device(new Uint8Array(4 * mib))
  refuses(() => make(shapeOf(4 * mib), {}, [filled(0, 65536, 1)], small), 'target', 'E_TOO_SMALL', /needs at least/)
  const device = new Device(Buffer.alloc(16 * mib, 0xdd))
  make(shapeOf(4 * mib), { 'block-size': mib }, [filled(2 * mib, 65536, 1)], device)
  assert.equal(device.size, 16 * mib)
  const disk = vhdx.open(device, contextOf())
  const expected = Buffer.alloc(4 * mib)
  expected.fill(1, 2 * mib, 2 * mib + 65536)
  assert.equal(Buffer.compare(readAll(disk), expected), 0)
  assert.equal(writerOf(device, shapeOf(4 * mib), { subformat: 'fixed' }).placeZeros, true)
  assert.equal(writerOf(new MemoryStore(), shapeOf(4 * mib), { subformat: 'fixed' }).placeZeros, false)
})

test('a child: whole blocks, parts, zeros, and what it leaves to its parent', () => {
  const capacity = 8 * mib
  const parent = open(make(shapeOf(capacity), { 'block-size': mib }, [filled(0, capacity, 0xee)]))
  const uuid = '99999999-2222-4333-8444-555555555555'
  const shape = shapeOf(capacity, {
    parent: parentShape(parent),
    identity: {
      uuid,
      derive: (name) => `00000000-0000-4000-8000-0000000000${name.length.toString(16).padStart(2, '0')}`,
      time: 0,
    },
  })
  const child = open(
    make(shape, { 'block-size': mib }, [
      filled(0, mib, 1), // whole
      filled(mib + 512, 1024, 2), // part
      { offset: 2 * mib, length: mib / 2 }, // zero, in two pieces
      { offset: 2.5 * mib, length: mib / 2 },
      { offset: 3 * mib + 4096, length: 4096 }, // part zero, nothing placed
      filled(4 * mib, mib / 2, 3), // placed and zeroed: whole
      { offset: 4.5 * mib, length: mib / 2 },
      { offset: 5.5 * mib, length: mib }, // zero over a boundary
    ]),
  )
  assert.equal(child.subformat, 'differencing')
  assert.deepEqual(child.notes, [])
  const found = facts(child)
  assert.deepEqual(
    ['fullyPresent', 'partiallyPresent', 'zero', 'notPresent', 'sectorBitmaps'].map((name) => found.get(name)),
    [2, 4, 1, 1, 1],
  )
  assert.equal(found.get('virtualDiskId'), '11111111-2222-4333-8444-555555555555')
  assert.equal(found.get('relative_path'), '.\\parent.vhdx')
  assert.equal(found.get('absolute_win32_path'), '\\images\\parent.vhdx')
  child.parentReference?.verify(parent)
  const expected = Buffer.alloc(capacity, 0xee)
  expected
    .fill(1, 0, mib)
    .fill(2, mib + 512, mib + 1536)
    .fill(0, 2 * mib, 3 * mib)
    .fill(0, 3 * mib + 4096, 3 * mib + 8192)
  expected
    .fill(3, 4 * mib, 4.5 * mib)
    .fill(0, 4.5 * mib, 5 * mib)
    .fill(0, 5.5 * mib, 6.5 * mib)
  assert.equal(Buffer.compare(readAll(new OverlaySource(child, parent)), expected), 0)
})

test('a child on a store with old bytes', () => {
  class Device extends MemoryStore {
    override readonly zeroed = false as unknown as true
  }
  const parent = open(make(shapeOf(2 * mib), {}, [filled(0, 2 * mib, 0xee)]))
  const store = make(
    shapeOf(2 * mib, { parent: parentShape(parent) }),
    { 'block-size': mib },
    [{ offset: 512, length: 512 }, filled(mib, 512, 4), { offset: mib + 512, length: 512 }],
    new Device(Buffer.alloc(16 * mib, 0xdd)),
  )
  const bytes = readAll(new OverlaySource(open(store), parent))
  const expected = Buffer.alloc(2 * mib, 0xee)
  expected
    .fill(0, 512, 1024)
    .fill(4, mib, mib + 512)
    .fill(0, mib + 512, mib + 1024)
  assert.equal(Buffer.compare(bytes, expected), 0)
})

test('paths in the locator', () => {
  const parent = open(make(shapeOf(mib), {}, []))
  const paths = (path: string, relative: string): unknown =>
    open(make(shapeOf(mib, { parent: parentShape(parent, path, relative) }), {}, [])).parentReference?.paths
  assert.deepEqual(paths('/srv/a/p.vhdx', '../a/p.vhdx'), ['..\\a\\p.vhdx', '\\srv\\a\\p.vhdx'])
  assert.deepEqual(paths('C:\\a\\p.vhdx', 'p.vhdx'), ['.\\p.vhdx', '\\\\?\\C:\\a\\p.vhdx'])
  assert.deepEqual(paths('\\\\host\\share\\p.vhdx', 'sub/p.vhdx'), [
    '.\\sub\\p.vhdx',
    '\\\\?\\UNC\\host\\share\\p.vhdx',
  ])
  refuses(() => paths('/a\\b/p.vhdx', 'p.vhdx'), 'usage', 'E_PARENT_PATH', /backslash/)
  refuses(() => paths(`/${'x'.repeat(40000)}`, 'p.vhdx'), 'usage', 'E_PARENT_PATH', /too long/)
})
