import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { OverlaySource } from '../../../src/block/overlay.js'
import type { DiskShape, OptionValues } from '../../../src/formats/driver.js'
import { raw } from '../../../src/formats/raw/index.js'
import { vhd } from '../../../src/formats/vhd/index.js'
import { readAll } from '../../support/content.js'
import { createContext, openContext } from '../../support/drivers.js'
import {
  codes,
  expected,
  make,
  makeMemory,
  open,
  parentShape,
  shapeOf,
  throwsCode,
  type Run,
} from '../../support/vhd-make.js'

const gibibyte = 1024 ** 3
const words = (store: MemoryStore, position: number, count: number): number[] => {
  const bytes = Buffer.alloc(count * 4)
  store.read(position, bytes)
  return Array.from({ length: count }, (_, index) => bytes.readUInt32BE(index * 4))
}
const bytesAt = (store: MemoryStore, position: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  store.read(position, bytes)
  return bytes
}
/** A store like a device: a size of its own, not new. */
class DeviceStore extends MemoryStore {
  override readonly growable = false as unknown as true
  override readonly zeroed = false as unknown as true

  constructor(size: number, fill: number) {
    super(new Uint8Array(size).fill(fill), 'device')
  }
}

test('a dynamic disk: where everything lies', () => {
  const store = makeMemory(shapeOf(8 * 1048576), {}, [
    { sector: 2 * 4096, count: 128, fill: 7 },
    { sector: 3 * 4096 + 128, count: 128, fill: 8 },
  ])
  // Copy 512, header 1024, BAT 512, then the bitmap just before a multiple of 4096.
  assert.deepEqual(words(store, 1536, 4), [0xffffffff, 0xffffffff, 7, 7 + 4096 + 8])
  assert.ok(bytesAt(store, 1552, 496).every((byte) => byte === 0xff))
  assert.ok(bytesAt(store, 7 * 512, 512).every((byte) => byte === 0xff))
  assert.equal(bytesAt(store, 4096, 1)[0], 7)
  assert.equal(store.size, (7 + 4096 + 8 + 1 + 4096) * 512 + 512)
  const footer = bytesAt(store, store.size - 512, 512)
  assert.deepEqual(bytesAt(store, 0, 512), footer)
  assert.equal(footer.toString('latin1', 28, 32), 'vdsk')
  assert.deepEqual([footer.readUInt16BE(56), footer[58], footer[59]], [65535, 16, 255])
  assert.equal(footer.readUInt32BE(24), 1_700_000_000 - 946_684_800)
  assert.equal(footer.toString('hex', 68, 84), '00000001222243338444555555555555')
  assert.equal(footer.readUInt32BE(60), 3)
})

test('a fixed disk: the data, then the footer', () => {
  const store = makeMemory(shapeOf(1048576), { subformat: 'fixed' }, [{ sector: 128, count: 128, fill: 5 }])
  assert.equal(store.size, 1048576 + 512)
  assert.equal(bytesAt(store, 65536, 1)[0], 5)
  assert.equal(bytesAt(store, 1048576, 512).readBigUInt64BE(16), 0xffffffffffffffffn)
})

test('the geometry of the specification comes with the creator by which the exact size is trusted', () => {
  const store = makeMemory(shapeOf(64 * 1048576), { geometry: 'spec' })
  const footer = bytesAt(store, 0, 512)
  assert.equal(footer.toString('latin1', 28, 32), 'win ')
  assert.deepEqual([footer.readUInt16BE(56), footer[58], footer[59]], [963, 8, 17])
  assert.equal(footer.readBigUInt64BE(48), 67108864n)
})

test('sizes are exact to the sector; an odd end is rounded up to one', () => {
  for (const [asked, got] of [
    [513, 1024],
    [1048576 - 512, 1048576 - 512],
    [10000001, 10000384],
  ] as const) {
    const writer = vhd.create!(new MemoryStore(), shapeOf(asked), {}, createContext)
    assert.equal(writer.capacity, got)
  }
  assert.equal(vhd.create!(new MemoryStore(), shapeOf(1048577), { azure: true }, createContext).capacity, 2097152)
  assert.equal(open(makeMemory(shapeOf(1048577), { azure: true })).subformat, 'fixed')
})

test('an empty disk of 127.5 GiB and one of 2040 GiB are small files', () => {
  for (const capacity of [127.5 * gibibyte, 2040 * gibibyte]) {
    const store = makeMemory(shapeOf(capacity))
    const image = open(store)
    assert.equal(image.capacity, capacity)
    assert.equal(store.size, 2048 + Math.ceil(capacity / 2097152 / 128) * 512)
    assert.deepEqual(codes(image), [])
    let offset = 0
    for (let calls = 0; offset < capacity; calls++) {
      assert.ok(calls < 100)
      offset += image.extentAt(offset, capacity - offset).length
    }
  }
})

test('small blocks in a large disk lose alignment before addresses run out', () => {
  const writer = vhd.create!(new MemoryStore(), shapeOf(2040 * gibibyte), { 'block-size': 524288 }, createContext)
  const first = writer.place(0, 65536).position
  const second = writer.place(524288, 65536).position
  assert.equal(second - first, 512 + 524288)
  throwsCode('E_OPTION_VALUE', () =>
    vhd.create!(new MemoryStore(), shapeOf(2040 * gibibyte), { 'block-size': 4096 }, createContext),
  )
})

test('what cannot be made is refused by name', () => {
  const create =
    (shape: DiskShape, options: OptionValues = {}) =>
    () =>
      vhd.create!(new MemoryStore(), shape, options, createContext)
  throwsCode('E_TOO_LARGE_FOR_FORMAT', create(shapeOf(2040 * gibibyte + 512)), '2040 GiB')
  throwsCode('E_SECTOR_SIZE', create(shapeOf(4096, 1, { sectorSize: 4096 })), '4096')
  for (const size of [0, 512, 3 * 1048576, 2097151, 512 * 1048576, 'x'])
    throwsCode('E_OPTION_VALUE', create(shapeOf(4096), { 'block-size': size }))
  throwsCode('E_OPTIONS', create(shapeOf(4096), { subformat: 'fixed', 'block-size': 524288 }))
  throwsCode('E_OPTIONS', create(shapeOf(4096), { subformat: 'dynamic', azure: true }))
  throwsCode('E_OPTION_VALUE', create(shapeOf(4096), { subformat: 'sparse' }))
  const parent = open(makeMemory(shapeOf(1048576)))
  throwsCode('E_OPTIONS', create(shapeOf(1048576, 2, { parent: parentShape(parent) }), { subformat: 'fixed' }))
  throwsCode(
    'E_PARENT_FORMAT',
    create(
      shapeOf(1048576, 2, { parent: parentShape(raw.open(new MemoryStore(new Uint8Array(1048576)), openContext)) }),
    ),
    'raw',
  )
  throwsCode(
    'E_PARENT_PATH',
    create(shapeOf(1048576, 2, { parent: parentShape(parent, { relativePath: 'a\\b.vhd' }) })),
  )
})

test("a child: locators, parent's id, name, time and geometry; zeros hide the parent", () => {
  const parent = open(makeMemory(shapeOf(1048576, 1), { geometry: 'spec' }, [{ sector: 0, count: 2048, fill: 1 }]))
  const runs: Run[] = [
    { sector: 3, count: 1, fill: 9 },
    { sector: 10, count: 3 },
    { sector: 1020, count: 8 },
    { sector: 2047, count: 1, fill: 4 },
  ]
  const store = makeMemory(
    shapeOf(1048576, 2, {
      parent: parentShape(parent, {
        path: '/vm/base disks/\u00fcber.vhd',
        relativePath: '../base disks/\u00fcber.vhd',
      }),
    }),
    { 'block-size': 524288 },
    runs,
  )
  const header = bytesAt(store, 512, 1024)
  assert.equal(header.toString('hex', 40, 56), '00000001222243338444555555555555')
  assert.equal(header.readUInt32BE(56), 1_600_000_000 - 946_684_800)
  assert.equal(
    bytesAt(store, 512 + 64, 16)
      .swap16()
      .toString('utf16le'),
    '\u00fcber.vhd',
  )
  assert.deepEqual([header.toString('latin1', 576, 580), header.toString('latin1', 600, 604)], ['W2ru', 'W2ku'])
  const text = (entry: number): string =>
    bytesAt(store, Number(header.readBigUInt64BE(entry + 16)), header.readUInt32BE(entry + 8)).toString('utf16le')
  assert.equal(text(576), '..\\base disks\\\u00fcber.vhd')
  assert.equal(text(600), '\\vm\\base disks\\\u00fcber.vhd')
  const child = open(store)
  assert.deepEqual(child.parentReference!.paths, [
    '..\\base disks\\\u00fcber.vhd',
    '\\vm\\base disks\\\u00fcber.vhd',
    '\u00fcber.vhd',
  ])
  assert.equal(bytesAt(store, 0, 512).toString('hex', 56, 60), '001e0411')
  const [first] = words(store, Number(header.readBigUInt64BE(16)), 1)
  assert.equal(bytesAt(store, first! * 512, 3).toString('hex'), '103800')
  child.parentReference!.verify(parent)
  assert.equal(Buffer.compare(readAll(new OverlaySource(child, parent)), expected(readAll(parent), 1048576, runs)), 0)
})

test('on a store that is not new, what is not placed is zero nevertheless', () => {
  const runs: Run[] = [
    { sector: 128, count: 128, fill: 3 },
    { sector: 4096, count: 128, fill: 4 },
  ]
  const device = make(new DeviceStore(8 * 1048576, 0xee), shapeOf(3 * 1048576), {}, runs)
  const image = open(device)
  assert.deepEqual(codes(image), [])
  assert.equal(Buffer.compare(readAll(image), expected(undefined, 3 * 1048576, runs)), 0)
  throwsCode('E_TOO_SMALL', () => make(new DeviceStore(1048576, 0), shapeOf(3 * 1048576), {}, runs))
  throwsCode('E_TARGET_SIZE', () => make(new DeviceStore(8 * 1048576, 0), shapeOf(3 * 1048576), { subformat: 'fixed' }))
  assert.equal(
    vhd.create!(new DeviceStore(1048576 + 512, 0), shapeOf(1048576), { subformat: 'fixed' }, createContext).placeZeros,
    true,
  )
})

test('the same identity gives the same bytes', () => {
  const runs: Run[] = [{ sector: 128, count: 256, fill: 3 }]
  assert.equal(
    Buffer.compare(
      makeMemory(shapeOf(1048576), {}, runs).contents(),
      makeMemory(shapeOf(1048576), {}, runs).contents(),
    ),
    0,
  )
})

test('calls out of order are refused, not misplaced', () => {
  const parent = open(makeMemory(shapeOf(8 * 1048576)))
  const writer = vhd.create!(
    new MemoryStore(),
    shapeOf(8 * 1048576, 2, { parent: parentShape(parent) }),
    {},
    createContext,
  )
  writer.place(4 * 1048576, 512)
  assert.throws(() => writer.place(0, 512), RangeError)
  assert.throws(() => writer.place(8 * 1048576, 512), RangeError)
})
