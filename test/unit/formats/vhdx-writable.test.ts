import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlaySource } from '../../../src/block/overlay.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { openWritableVhdx } from '../../../src/formats/vhdx/write/writable.js'
import type { WritableVhdx } from '../../../src/formats/vhdx/write/writable.js'
import { batEntry, headerBytes, imageBytes, logEntryBytes, logGuid, places } from '../../support/vhdx-bytes.js'
import { make, parentShape, shapeOf } from '../../support/vhdx-make.js'
import { contextOf, open, readAll, refuses } from '../../support/vhdx-open.js'
import { contentsOf, CutStore } from '../../support/power-cut.js'

const mib = 1024 * 1024
const { payload } = places

/** Opens bytes to change them, and gives what is left when they are closed. */
function edited(
  bytes: Uint8Array,
  act: (image: WritableVhdx) => void,
  parent?: Parameters<typeof openWritableVhdx>[2],
): Buffer {
  const store = new CutStore(bytes)
  const image = openWritableVhdx(store, contextOf(), parent)
  act(image)
  image[Symbol.dispose]()
  return Buffer.from(store.contents())
}
const fact = (bytes: Uint8Array, name: string): unknown =>
  open(bytes)
    .describe()
    .flatMap((section) => section.facts)
    .find((candidate) => candidate.name === name)?.value
const guidsOf = (bytes: Uint8Array): unknown[] =>
  ['fileWriteGuid', 'dataWriteGuid', 'logGuid'].map((name) => fact(bytes, name))
const nil = '00000000-0000-0000-0000-000000000000'

test('an image that is opened and not changed stays as it is, to the byte', () => {
  const bytes = contentsOf(
    make(shapeOf(4 * mib), { 'block-size': mib }, [{ offset: 0, length: mib, bytes: Buffer.alloc(mib, 5) }]),
  )
  const after = edited(bytes, (image) => {
    readAll(image)
    image.flush()
    image.write(7, new Uint8Array(0))
    image.discard(4 * mib, 0)
  })
  assert.ok(after.equals(bytes))
})

test('the first change gives new FileWriteGuid and DataWriteGuid; closed, no LogGuid is left', () => {
  const bytes = contentsOf(make(shapeOf(4 * mib), { 'block-size': mib }, []))
  const [fileBefore, dataBefore] = guidsOf(bytes)
  const after = edited(bytes, (image) => {
    assert.equal(image.identity, dataBefore)
    image.write(0, Uint8Array.of(1))
    assert.notEqual(image.identity, dataBefore)
  })
  const [file, data, log] = guidsOf(after)
  assert.notEqual(file, fileBefore)
  assert.notEqual(data, dataBefore)
  assert.equal(log, nil)
  assert.equal(fact(after, 'sequenceNumber'), 6n)
})

test('zeros written to a block that is zero take no space; a discard of a whole block gives its space back', () => {
  const bytes = contentsOf(
    make(shapeOf(4 * mib), { 'block-size': mib }, [{ offset: 3 * mib, length: mib, bytes: Buffer.alloc(mib, 5) }]),
  )
  const after = edited(bytes, (image) => {
    image.write(0, new Uint8Array(2 * mib))
    image.discard(3 * mib, mib)
    assert.deepEqual(image.extentAt(3 * mib, mib), { kind: 'zero', offset: 3 * mib, length: mib })
  })
  assert.equal(after.length, bytes.length - mib)
  assert.deepEqual(
    ['zero', 'notPresent', 'fullyPresent'].map((name) => fact(after, name)),
    [1, 3, 0],
  )
})

test('a fixed disk stays fixed: a discard writes zeros in place', () => {
  const bytes = contentsOf(
    make(shapeOf(3 * mib), { subformat: 'fixed', 'block-size': mib }, [
      { offset: 0, length: 3 * mib, bytes: Buffer.alloc(3 * mib, 5) },
    ]),
  )
  const after = edited(bytes, (image) => image.discard(mib, mib))
  assert.equal(after.length, bytes.length)
  assert.equal(fact(after, 'fullyPresent'), 3)
  assert.ok(readAll(open(after)).equals(Buffer.concat([Buffer.alloc(mib, 5), Buffer.alloc(mib), Buffer.alloc(mib, 5)])))
})

test('a child: sectors are taken one by one, and a block that has all of them is fully present', () => {
  const parent = open(
    make(shapeOf(2 * mib), { 'block-size': mib }, [
      { offset: 0, length: 2 * mib, bytes: Buffer.alloc(2 * mib, 'parent ') },
    ]),
  )
  const bytes = contentsOf(make(shapeOf(2 * mib, { parent: parentShape(parent) }), { 'block-size': mib }, []))
  const wanted = readAll(parent)
  let after = edited(
    bytes,
    (image) => {
      image.write(mib + 700, Buffer.from('child'))
      const kinds = [0, 511, 512, 1023, 1024].map((at) => image.extentAt(mib + at, 1).kind)
      assert.deepEqual(kinds, ['absent', 'absent', 'data', 'data', 'absent'])
    },
    parent,
  )
  wanted.write('child', mib + 700)
  assert.ok(readAll(new OverlaySource(open(after), parent)).equals(wanted))
  assert.deepEqual(
    ['partiallyPresent', 'fullyPresent', 'sectorBitmaps'].map((name) => fact(after, name)),
    [1, 0, 1],
  )
  after = edited(after, (image) => image.write(mib + 1024, Buffer.alloc(mib - 1024, 9)), parent)
  after = edited(after, (image) => image.write(mib, Buffer.alloc(512, 8)), parent)
  wanted.fill(9, mib + 1024).fill(8, mib, mib + 512)
  assert.ok(readAll(new OverlaySource(open(after), parent)).equals(wanted))
  assert.deepEqual(
    ['partiallyPresent', 'fullyPresent'].map((name) => fact(after, name)),
    [0, 1],
  )
  // Discarded, it is zero and not the parent's again.
  after = edited(after, (image) => image.discard(mib, mib), parent)
  assert.ok(readAll(new OverlaySource(open(after), parent)).equals(wanted.fill(0, mib)))
})

test('a child without its parent: whole sectors can be written, a part of a sector only where the child has it', () => {
  const parent = open(make(shapeOf(mib), {}, []))
  const image = openWritableVhdx(
    new CutStore(contentsOf(make(shapeOf(mib, { parent: parentShape(parent) }), { 'block-size': mib }, []))),
    contextOf(),
  )
  image.write(512, Buffer.alloc(512, 1))
  image.write(700, Buffer.alloc(10, 2))
  refuses(() => image.write(1030, Buffer.alloc(10, 2)), 'reference', 'E_PARENT_NEEDED')
  image.write(2048, Buffer.alloc(512, 3))
  assert.equal(image.extentAt(1024, 1024).kind, 'absent')
})

test('a dirty log is brought into the file when it is opened to be changed', () => {
  const table = Buffer.alloc(4096)
  table.writeBigUInt64LE(batEntry(6, payload), 0)
  const log = {
    0: logEntryBytes({
      sequence: 7n,
      tail: 0,
      changes: [
        { at: places.bat, data: table },
        { at: payload + 4096, zero: 8192 },
      ],
    }),
  }
  const bytes = imageBytes({
    capacity: BigInt(2 * mib),
    header: { logGuid },
    log,
    bytes: { [payload]: Buffer.alloc(2 * mib, 0x11) },
  })
  const wanted = readAll(open(bytes))
  const after = edited(bytes, (image) => {
    assert.deepEqual(
      image.notes.map(({ code }) => code),
      ['W_LOG_REPLAYED'],
    )
    assert.ok(readAll(image).equals(wanted))
  })
  const disk = open(after)
  assert.deepEqual(disk.notes, [])
  assert.ok(readAll(disk).equals(wanted))
  assert.equal(guidsOf(after)[2], nil)
  refuses(
    () => openWritableVhdx(new MemoryStore(bytes, 'test.vhdx'), contextOf({ 'ignore-log': true })),
    'usage',
    'E_OPTIONS',
  )
})

test('a log that does not open leaves the file as it is', () => {
  const log = {
    0: logEntryBytes({
      sequence: 7n,
      tail: 0,
      changes: [
        { at: 192 * 1024, zero: 65536 },
        { at: 256 * 1024, zero: 65536 },
      ],
    }),
  }
  const bytes = imageBytes({ capacity: BigInt(2 * mib), header: { logGuid }, log })
  const store = new MemoryStore(bytes, 'test.vhdx')
  refuses(() => openWritableVhdx(store, contextOf()), 'corrupt', 'E_REGION_CRC')
  assert.ok(contentsOf(store).equals(bytes))
})

test('blocks that share space, or lie in a structure: not opened for changes', () => {
  const shared = imageBytes({
    capacity: BigInt(2 * mib),
    bat: { 0: batEntry(6, payload), 1: batEntry(6, payload) },
    bytes: { [payload]: Buffer.alloc(2 * mib) },
  })
  refuses(() => openWritableVhdx(new MemoryStore(shared, 'test.vhdx'), contextOf()), 'corrupt', 'E_OVERLAP')
  const inside = imageBytes({ capacity: BigInt(2 * mib), bat: { 0: batEntry(6, places.bat) } })
  refuses(() => openWritableVhdx(new MemoryStore(inside, 'test.vhdx'), contextOf()), 'corrupt', 'E_BAT_RANGE')
})

test('a log of no use gets another place', () => {
  const bytes = imageBytes({ capacity: BigInt(2 * mib), header: { logLength: 4096 } })
  const headers = headerBytes({ logLength: 4096 })
  assert.equal(headers.readUInt32LE(68), 4096)
  const after = edited(bytes, (image) => image.write(0, Buffer.alloc(512, 3)))
  assert.deepEqual(open(after).notes, [])
  assert.equal(fact(after, 'logLength'), mib)
  assert.deepEqual(readAll(open(after), 0, 512), Buffer.alloc(512, 3))
})

test('ranges outside the disk are refused', () => {
  const image = openWritableVhdx(new CutStore(contentsOf(make(shapeOf(mib), {}, []))), contextOf())
  for (const [offset, length] of [
    [-1, 1],
    [mib, 1],
    [mib - 1, 2],
    [0.5, 1],
  ] as const) {
    assert.throws(() => image.write(offset, new Uint8Array(length)), RangeError)
    assert.throws(() => image.discard(offset, length), RangeError)
  }
})

test('a store that fails while something is made durable: everything is refused, and the file opens', () => {
  const store = new CutStore(contentsOf(make(shapeOf(4 * mib), { 'block-size': mib }, [])))
  const image = openWritableVhdx(store, contextOf())
  image.write(0, Buffer.alloc(mib, 1))
  image.flush()
  image.write(mib, Buffer.alloc(mib, 2))
  const flush = store.flush.bind(store)
  store.flush = () => {
    throw new Error('no medium')
  }
  assert.throws(() => image.flush(), /no medium/)
  store.flush = flush
  assert.throws(() => image.write(0, Uint8Array.of(1)), /no medium/)
  assert.throws(() => image.flush(), /no medium/)
  image[Symbol.dispose]()
  const disk = open(store.cut(() => 0))
  assert.deepEqual(readAll(disk, 0, mib), Buffer.alloc(mib, 1))
})
