import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { OverlaySource } from '../../src/block/overlay.js'
import type { BlockSource, ByteStore } from '../../src/block/types.js'
import { targetError } from '../../src/errors.js'
import { readAll } from '../support/content.js'
import { driver, openContext } from '../support/drivers.js'
import { contentsOf, CutStore, randomOf } from '../support/power-cut.js'
import { makeMemory, open, parentShape, shapeOf } from '../support/vhd-make.js'

const vhd = driver('vhd')
const blockSize = 65536
const sectors = blockSize / 512
const blocks = 12
const capacity = blocks * blockSize
const full = Array.from({ length: blocks }, (_, block) => ({
  sector: block * sectors,
  count: sectors,
  fill: block + 1,
}))

const whole = (layer: BlockSource, parent?: BlockSource): BlockSource =>
  parent === undefined ? layer : new OverlaySource(layer, parent)
const read = (store: ByteStore, parent?: BlockSource): Buffer => Buffer.from(readAll(whole(open(store), parent)))
const errors = (store: ByteStore): unknown[] =>
  [...open(store).check!()].filter((found) => 'severity' in found && found.severity === 'error')
const writable = (store: ByteStore, parent?: BlockSource): ReturnType<NonNullable<typeof vhd.openWritable>> =>
  vhd.openWritable!(store, openContext, parent)

/** A full disk of which some blocks were released. */
function withHoles(): CutStore {
  const store = new CutStore(contentsOf(makeMemory(shapeOf(capacity), { 'block-size': blockSize }, full)), 'test.vhd')
  const image = writable(store)
  for (const block of [0, 1, 4, 7, 8]) image.discard(block * blockSize, blockSize)
  image.flush()
  return store
}

/** Compacts and closes; at every cut the disk is what it was. Gives the number of cuts. */
function compactWithCuts(store: CutStore, parent?: BlockSource): number {
  const wanted = read(store, parent)
  const chance = randomOf(11)
  let cuts = 0
  store.onChange = () => {
    cuts++
    const left = store.cut(chance)
    assert.ok(read(left, parent).equals(wanted), `cut ${cuts}: what is read`)
    assert.deepEqual(errors(left), [], `cut ${cuts}`)
  }
  const image = writable(store, parent)
  for (const { done, total } of image.compact!() as Iterable<{ done: number; total: number }>) assert.ok(done <= total)
  assert.ok(Buffer.from(readAll(whole(image, parent))).equals(wanted))
  image[Symbol.dispose]()
  store.onChange = () => undefined
  assert.ok(read(store, parent).equals(wanted))
  assert.deepEqual(
    [...open(store).check!()].filter((found) => 'code' in found),
    [],
  )
  return cuts
}

test('dynamic: the power is cut after every write of compact', () => {
  const store = withHoles()
  const before = store.size
  assert.ok(compactWithCuts(store) > 10)
  assert.ok(store.size <= before - 5 * blockSize, `${before} became ${store.size}`)
})

test('a table that was moved behind the blocks comes back before them, whenever the power is cut', () => {
  const store = withHoles()
  const grown = writable(store)
  grown.resize!(40000 * blockSize)
  grown[Symbol.dispose]()
  // Small again: the table keeps its entries, and the holes are large enough for it.
  const shrunk = writable(store)
  shrunk.resize!(capacity)
  shrunk[Symbol.dispose]()
  const before = store.size
  assert.ok(compactWithCuts(store) > 10)
  assert.ok(store.size < before, `${before} became ${store.size}`)
})

test('differencing: the power is cut after every write of compact', () => {
  const parent = open(makeMemory(shapeOf(capacity), { 'block-size': blockSize }, full, 'parent.vhd'))
  const child = makeMemory(
    shapeOf(capacity, 2, { parent: parentShape(parent) }),
    { 'block-size': blockSize },
    [0, 3, 6].map((block) => ({ sector: block * sectors + 5, count: 20, fill: 99 })),
  )
  const store = new CutStore(contentsOf(child), 'child.vhd')
  const image = writable(store, parent)
  // A table in new space leaves a hole where the old one was; blocks come behind it.
  image.resize!(4000 * blockSize)
  image.write(9 * blockSize, Buffer.alloc(3000, 'later '))
  image.resize!(capacity)
  image[Symbol.dispose]()
  compactWithCuts(store, parent)
})

test('what is written after compact, or after a compact that was stopped, is what is read', () => {
  for (const stop of [0, 1, 2, 3, Infinity]) {
    const store = withHoles()
    const model = read(store)
    const image = writable(store)
    // Space released in this very session.
    image.discard(2 * blockSize, blockSize)
    model.fill(0, 2 * blockSize, 3 * blockSize)
    image.flush()
    let steps = 0
    for (const { done, total } of image.compact!()) {
      assert.ok(done <= total)
      if (++steps > stop) break
    }
    for (const block of [0, 1, 2, 4, 7, 8]) {
      const bytes = Buffer.alloc(512, 200 + block)
      image.write(block * blockSize + 1024, bytes)
      model.set(bytes, block * blockSize + 1024)
    }
    assert.ok(Buffer.from(readAll(image)).equals(model), `stopped after ${stop}`)
    image[Symbol.dispose]()
    assert.ok(read(store).equals(model), `stopped after ${stop}, closed`)
    assert.deepEqual(errors(store), [])
  }
})

test('after a flush that failed nothing is taken any more, and the table leads to nothing that may be lost', () => {
  const store = withHoles()
  const before = read(store)
  const image = writable(store)
  image.write(0, Buffer.alloc(blockSize, 77))
  const flush = store.flush.bind(store)
  store.flush = () => {
    throw targetError('E_WRITE', 'the medium is gone')
  }
  assert.throws(() => image.flush(), { code: 'E_WRITE' })
  // The next one succeeds, as fsync does: what failed before may be lost nevertheless.
  store.flush = flush
  assert.throws(() => image.flush(), { code: 'E_WRITE' })
  assert.throws(() => image.write(0, Uint8Array.of(1)), { code: 'E_WRITE' })
  image[Symbol.dispose]()
  assert.ok(read(new MemoryStore(store.contents(), 'test.vhd')).equals(before))
})
