import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlaySource } from '../../src/block/overlay.js'
import type { BlockSource } from '../../src/block/types.js'
import type { MemoryStore } from '../../src/block/memory-store.js'
import { openWritableVhdx } from '../../src/formats/vhdx/write/writable.js'
import type { WritableVhdx } from '../../src/formats/vhdx/write/writable.js'
import { make, parentShape, shapeOf } from '../support/vhdx-make.js'
import { contextOf, open, readAll } from '../support/vhdx-open.js'
import { contentsOf, CutStore, DiskModel, randomOf } from '../support/power-cut.js'
import type { Random } from '../support/power-cut.js'

const mib = 1024 * 1024
const capacity = 6 * mib + 3 * 512

interface Start {
  readonly bytes: Uint8Array
  readonly parent: BlockSource | undefined
}

function start(subformat: 'dynamic' | 'fixed' | 'differencing'): Start {
  const shape = shapeOf(capacity)
  const runs = [
    { offset: mib / 2, length: 2 * mib, bytes: Buffer.alloc(2 * mib, 'below ') },
    { offset: 5 * mib, length: 65536, bytes: Buffer.alloc(65536, 'more ') },
  ]
  if (subformat !== 'differencing')
    return { bytes: contentsOf(make(shape, { subformat, 'block-size': mib }, runs)), parent: undefined }
  const parent = open(make(shapeOf(capacity - mib), { 'block-size': 2 * mib }, [runs[0]!]))
  const child = [
    { offset: 65536, length: 4096, bytes: Buffer.alloc(4096, 'child ') },
    { offset: 2 * mib, length: mib },
    { offset: 3 * mib, length: mib, bytes: Buffer.alloc(mib, 'full ') },
  ]
  return {
    bytes: contentsOf(make(shapeOf(capacity, { parent: parentShape(parent) }), { 'block-size': mib }, child)),
    parent,
  }
}

const whole = (layer: BlockSource, parent: BlockSource | undefined): BlockSource =>
  parent === undefined ? layer : new OverlaySource(layer, parent)

/** One change at random, of the image and the model; the model first, for cuts while it is made. */
function step(image: WritableVhdx, model: DiskModel, random: Random): void {
  // Weights: 0–6 writes, 7 discards, 8 and 10 discards of whole blocks, 9 flushes.
  const kind = random(11)
  const sectors = kind < 5 || kind === 9
  const most = [600, 600, 5000, 5000, 70000, 2 * mib + 5000, mib][random(7)] ?? 600
  let offset = random(capacity)
  let length = 1 + random(Math.min(most, capacity - offset))
  if (sectors) {
    offset -= offset % 512
    length = Math.min(capacity - offset, Math.ceil(length / 512) * 512)
  }
  if (kind === 8 || kind === 10) {
    offset -= offset % mib
    length = Math.min(capacity - offset, mib * (1 + random(2)))
  }
  if (kind < 7) {
    const bytes = Buffer.alloc(length, 1 + random(255))
    model.change(offset, bytes)
    image.write(offset, bytes)
  } else if (kind !== 9) {
    model.change(offset, new Uint8Array(length))
    image.discard(offset, length)
  } else {
    image.flush()
    model.flushed()
  }
}

/**
 * Opens what a cut left: nothing may be wrong with it, nothing flushed may be lost, neither for a reader nor after the
 * replay.
 */
function judge(left: MemoryStore, parent: BlockSource | undefined, model: DiskModel, what: string): void {
  const layer = open(left)
  const disk = whole(layer, parent)
  const found = readAll(disk)
  assert.equal(model.fault(found), -1, `${what}: what is read`)
  for (const finding of layer.check?.() ?? [])
    assert.ok(!('severity' in finding) || finding.severity !== 'error', `${what}: ${JSON.stringify(finding)}`)
  const copy = new CutStore(left.contents())
  const image = openWritableVhdx(copy, contextOf(), parent)
  assert.ok(readAll(whole(image, parent)).equals(found), `${what}: the log is replayed into the file`)
  image[Symbol.dispose]()
  const clean = open(copy)
  assert.deepEqual(
    clean.notes.filter(({ code }) => code !== 'W_TRAILING_PARTIAL_MIB'),
    [],
    what,
  )
  assert.ok(readAll(whole(clean, parent)).equals(found), `${what}: read again`)
}

for (const subformat of ['dynamic', 'fixed', 'differencing'] as const) {
  test(`${subformat}: what is written is read, now and after it is closed`, () => {
    for (let seed = 1; seed <= 4; seed++) {
      const random = randomOf(seed)
      const { bytes, parent } = start(subformat)
      let store = new CutStore(bytes)
      const model = new DiskModel(readAll(whole(open(store), parent)))
      for (let session = 0; session < 3; session++) {
        const image = openWritableVhdx(store, contextOf(), parent)
        for (let count = 0; count < 25; count++) {
          step(image, model, random)
          if (count % 8 === 0)
            assert.ok(
              readAll(whole(image, parent)).equals(model.now),
              `seed ${seed}, session ${session}, step ${count}`,
            )
        }
        image[Symbol.dispose]()
        const left = store.contents()
        store = new CutStore(left)
        const disk = open(store)
        assert.deepEqual(disk.notes, [])
        assert.ok(readAll(whole(disk, parent)).equals(model.now), `seed ${seed}, session ${session}`)
        assert.ok(left.length <= 20 * mib, `the file grew to ${left.length}: space is not used again`)
      }
    }
  })

  test(`${subformat}: the power is cut after every write`, () => {
    const { bytes, parent } = start(subformat)
    for (let seed = 1; seed <= 2; seed++) {
      const random = randomOf(seed * 77)
      const chance = randomOf(seed * 99)
      const store = new CutStore(bytes)
      const model = new DiskModel(readAll(whole(open(store), parent)))
      let count = 0
      store.onChange = () => {
        count++
        if (count > 30 && chance(10) > 0) return
        judge(store.cut(chance), parent, model, `seed ${seed}, cut ${count}`)
      }
      const image = openWritableVhdx(store, contextOf(), parent)
      for (let index = 0; index < 30; index++) step(image, model, random)
      image.flush()
      model.flushed()
      image[Symbol.dispose]()
      assert.ok(readAll(whole(open(store), parent)).equals(model.now))
    }
  })
}

test('space that a discard gave up is not used again before the discard is durable', () => {
  const { bytes, parent } = start('dynamic')
  const store = new CutStore(bytes)
  const model = new DiskModel(readAll(open(store)))
  const image = openWritableVhdx(store, contextOf(), parent)
  const chance = randomOf(5)
  store.onChange = () => judge(store.cut(chance), parent, model, 'a cut')
  model.change(mib, new Uint8Array(mib))
  image.discard(mib, mib)
  const size = store.size
  for (const block of [3, 4]) {
    const filled = Buffer.alloc(mib, `new ${block} `)
    model.change(block * mib, filled)
    image.write(block * mib, filled)
  }
  image.flush()
  model.flushed()
  assert.equal(store.size, size + 2 * mib)
  model.change(mib, Uint8Array.of(1))
  image.write(mib, Uint8Array.of(1))
  assert.equal(store.size, size + 2 * mib, 'now it is')
  image[Symbol.dispose]()
})
