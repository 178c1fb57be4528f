import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlaySource } from '../../../src/block/overlay.js'
import type { BlockSource } from '../../../src/block/types.js'
import { openWritableVhdx } from '../../../src/formats/vhdx/write/writable.js'
import { make, parentShape, shapeOf } from '../../support/vhdx-make.js'
import { contextOf, open, readAll, refuses } from '../../support/vhdx-open.js'
import { contentsOf, CutStore, randomOf } from '../../support/power-cut.js'

const mib = 1024 * 1024
const gib = 1024 * mib
const fact = (bytes: Uint8Array, name: string): unknown =>
  open(bytes)
    .describe()
    .flatMap((section) => section.facts)
    .find((candidate) => candidate.name === name)?.value
const whole = (layer: BlockSource, parent: BlockSource | undefined): BlockSource =>
  parent === undefined ? layer : new OverlaySource(layer, parent)
const fit = (bytes: Uint8Array, length: number): Buffer => {
  const fitted = Buffer.alloc(length)
  fitted.set(bytes.subarray(0, length))
  return fitted
}

/** Resizes through several capacities; after each, and after a cut at any write, the disk is the old or the new one. */
function resize(bytes: Uint8Array, capacities: readonly number[], parent?: BlockSource): Buffer {
  let left = Buffer.from(bytes)
  const chance = randomOf(11)
  for (const capacity of capacities) {
    const store = new CutStore(left)
    const before = readAll(whole(open(left), parent))
    const after = fit(before, capacity)
    let cuts = 0
    store.onChange = () => {
      if (cuts++ > 12 && chance(8) > 0) return
      const cut = store.cut(chance)
      const found = readAll(whole(open(cut), parent))
      assert.ok(
        found.equals(found.length === capacity ? after : before),
        `cut ${cuts} on the way to ${capacity}: ${found.length}`,
      )
      const again = openWritableVhdx(new CutStore(cut.contents()), contextOf(), parent)
      assert.ok(readAll(whole(again, parent)).equals(found))
    }
    const image = openWritableVhdx(store, contextOf(), parent)
    image.resize(capacity)
    assert.equal(image.capacity, capacity)
    assert.ok(readAll(whole(image, parent)).equals(after), `${capacity}: at once`)
    image[Symbol.dispose]()
    left = Buffer.from(store.contents())
    assert.deepEqual(open(left).notes, [])
    assert.ok(readAll(whole(open(left), parent)).equals(after), `${capacity}: opened again`)
  }
  return left
}

const runs = [
  { offset: 0, length: mib + 65536, bytes: Buffer.alloc(mib + 65536, 'first ') },
  { offset: 4 * mib, length: mib + 65536, bytes: Buffer.alloc(mib + 65536, 'last ') },
]

test('dynamic: grows with zeros, shrinks, and what was cut off does not come back', () => {
  const bytes = contentsOf(make(shapeOf(6 * mib), { 'block-size': mib }, runs))
  const left = resize(bytes, [4 * mib + 1024, 6 * mib, 12 * mib + 512, 5 * mib - 512, 512, 5 * mib])
  assert.equal(left.length, bytes.length - 3 * mib)
})

test('fixed: every new block has its place', () => {
  const bytes = contentsOf(make(shapeOf(5 * mib + 512), { subformat: 'fixed', 'block-size': mib }, runs.slice(0, 1)))
  const left = resize(bytes, [8 * mib, 3 * mib + 512, 4 * mib])
  assert.equal(fact(left, 'fullyPresent'), 4)
  assert.ok(left.length <= bytes.length)
})

test('a child: what its parent has behind its old end stays hidden', () => {
  const parent = open(make(shapeOf(6 * mib), { 'block-size': mib }, runs))
  const bytes = contentsOf(
    make(shapeOf(6 * mib, { parent: parentShape(parent) }), { 'block-size': mib }, [
      { offset: 5 * mib, length: 4096, bytes: Buffer.alloc(4096, 'child ') },
    ]),
  )
  const left = resize(bytes, [4 * mib + 1024, 9 * mib, 1536, 6 * mib, 5 * mib + 2048, 6 * mib], parent)
  assert.equal(
    readAll(whole(open(left), parent), mib, 5 * mib).findIndex((byte) => byte !== 0),
    -1,
  )
})

test('the table moves when it is too short, and a disk of 64 TiB has room', () => {
  const bytes = contentsOf(make(shapeOf(6 * mib), { 'block-size': mib }, runs))
  const store = new CutStore(bytes)
  const image = openWritableVhdx(store, contextOf())
  const before = readAll(image)
  const moved = 200 * gib
  const chance = randomOf(3)
  let cuts = 0
  store.onChange = () => {
    cuts++
    const disk = open(store.cut(chance))
    assert.ok(disk.capacity === 6 * mib || disk.capacity === moved, `cut ${cuts}: ${disk.capacity}`)
    assert.ok(readAll(disk, 0, 6 * mib).equals(before), `cut ${cuts}`)
  }
  image.resize(moved)
  image.write(moved - 512, Buffer.alloc(512, 7))
  image.flush()
  image[Symbol.dispose]()
  const left = store.contents()
  assert.deepEqual(open(left).notes, [])
  assert.equal(fact(left, 'batLength'), 2 * mib)
  assert.ok(readAll(open(left), 0, 6 * mib).equals(before))
  assert.deepEqual(readAll(open(left), moved - 512, 512), Buffer.alloc(512, 7))

  const again = new CutStore(left)
  using large = openWritableVhdx(again, contextOf())
  refuses(() => large.resize(64 * 1024 * gib + 1), 'usage', 'E_SIZE', /64 TiB/)
  large.resize(moved + 1)
  assert.equal(large.capacity, moved + 512)
})
