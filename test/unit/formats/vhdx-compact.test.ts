import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlaySource } from '../../../src/block/overlay.js'
import type { BlockSource } from '../../../src/block/types.js'
import { openWritableVhdx } from '../../../src/formats/vhdx/write/writable.js'
import { make, parentShape, shapeOf } from '../../support/vhdx-make.js'
import { contextOf, open, readAll } from '../../support/vhdx-open.js'
import { contentsOf, CutStore, randomOf } from '../../support/power-cut.js'

const mib = 1024 * 1024
const capacity = 10 * mib
const whole = (layer: BlockSource, parent: BlockSource | undefined): BlockSource =>
  parent === undefined ? layer : new OverlaySource(layer, parent)

/** Compacts; at every cut the disk is what it was. */
function compacted(bytes: Uint8Array, parent?: BlockSource): Buffer {
  const store = new CutStore(bytes)
  const wanted = readAll(whole(open(bytes), parent))
  const { identity } = open(bytes)
  const chance = randomOf(6)
  let cuts = 0
  store.onChange = () => {
    if (cuts++ > 10 && chance(4) > 0) return
    const cut = store.cut(chance)
    assert.ok(readAll(whole(open(cut), parent)).equals(wanted))
    const again = new CutStore(cut.contents())
    openWritableVhdx(again, contextOf(), parent)[Symbol.dispose]()
    assert.ok(readAll(whole(open(again), parent)).equals(wanted), 'after the replay')
  }
  const image = openWritableVhdx(store, contextOf(), parent)
  const steps = [...image.compact()]
  assert.equal(steps.at(-1)?.done, steps.at(-1)?.total)
  assert.ok(readAll(whole(image, parent)).equals(wanted))
  image[Symbol.dispose]()
  const left = open(store)
  assert.deepEqual(left.notes, [])
  assert.equal(left.identity, identity, 'children of this image must find it')
  assert.ok(readAll(whole(left, parent)).equals(wanted))
  return Buffer.from(store.contents())
}

test('blocks move into the holes before them, and the end is cut off', () => {
  const filled = [
    {
      offset: 0,
      length: capacity,
      bytes: Buffer.concat(Array.from({ length: 10 }, (_, index) => Buffer.alloc(mib, `block ${index} `))),
    },
  ]
  const store = new CutStore(contentsOf(make(shapeOf(capacity), { 'block-size': mib }, filled)))
  const before = store.size
  const image = openWritableVhdx(store, contextOf())
  for (const block of [0, 1, 4, 7]) image.discard(block * mib, mib)
  image[Symbol.dispose]()
  assert.equal(store.size, before)
  assert.equal(compacted(store.contents()).length, before - 4 * mib)
})

test('blocks of 4 MiB: holes that are too small stay', () => {
  const filled = [{ offset: 0, length: 5 * 4 * mib, bytes: Buffer.alloc(20 * mib, 'blocks of four ') }]
  const store = new CutStore(contentsOf(make(shapeOf(20 * mib + 512), { 'block-size': 4 * mib }, filled)))
  const before = store.size
  const image = openWritableVhdx(store, contextOf())
  image.discard(4 * mib, 8 * mib)
  image[Symbol.dispose]()
  assert.equal(compacted(store.contents()).length, before - 8 * mib)
})

test('a child: sector bitmaps move too, and go when no block needs them', () => {
  const parent = open(
    make(shapeOf(capacity), { 'block-size': mib }, [
      { offset: 0, length: capacity, bytes: Buffer.alloc(capacity, 'parent ') },
    ]),
  )
  const store = new CutStore(
    contentsOf(make(shapeOf(capacity, { parent: parentShape(parent) }), { 'block-size': mib }, [])),
  )
  const empty = store.size
  let image = openWritableVhdx(store, contextOf(), parent)
  for (const block of [0, 1, 2]) image.write(block * mib, Buffer.alloc(mib, block + 1))
  image.write(3 * mib + 512, Buffer.alloc(1024, 4))
  image.write(4 * mib, Buffer.alloc(mib, 5))
  image.discard(0, 2 * mib)
  image[Symbol.dispose]()
  const left = compacted(store.contents(), parent)
  assert.equal(left.length, empty + 4 * mib)

  const again = new CutStore(left)
  image = openWritableVhdx(again, contextOf(), parent)
  image.discard(3 * mib, mib)
  image[Symbol.dispose]()
  assert.equal(compacted(again.contents(), parent).length, empty + 2 * mib)
})

test('an unused end is cut off, no matter what left it', () => {
  const bytes = contentsOf(make(shapeOf(capacity), { 'block-size': mib }, []))
  assert.equal(compacted(Buffer.concat([bytes, Buffer.alloc(7 * mib, 1)])).length, bytes.length)
})
