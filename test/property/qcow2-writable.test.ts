import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ByteStore, BlockSource } from '../../src/block/types.js'
import type { MemoryStore } from '../../src/block/memory-store.js'
import { OverlaySource } from '../../src/block/overlay.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { openWritableQcow2 } from '../../src/formats/qcow2/write/writable.js'
import type { WritableQcow2 } from '../../src/formats/qcow2/write/writable.js'
import { openContext } from '../support/drivers.js'
import { readAll } from '../support/content.js'
import { CutStore, DiskModel, randomOf } from '../support/power-cut.js'
import type { Random } from '../support/power-cut.js'
import { assertSound, clustersInUse, sizeOf, startOf, variants } from '../support/qcow2-make.js'
import type { Start, Variant } from '../support/qcow2-make.js'

const open = (store: ByteStore): BlockSource & ReturnType<typeof qcow2.open> => qcow2.open(store, openContext)
const whole = (layer: BlockSource, parent: BlockSource | undefined): BlockSource =>
  parent === undefined ? layer : new OverlaySource(layer, parent)
const read = (source: BlockSource): Buffer => Buffer.from(readAll(source))

/** One change at random, of the image and the model; the model first, for cuts while it is made. */
function step(image: WritableQcow2, model: DiskModel, random: Random, clusterSize: number): void {
  // Weights: 0–6 writes, 7 discards, 8 and 10 discards of whole clusters, 9 flushes.
  const kind = random(11)
  const most = [600, 600, 5000, clusterSize, clusterSize * 3, clusterSize * 20][random(6)] ?? 600
  const capacity = image.capacity
  let offset = random(capacity)
  if (random(3) === 0) offset -= offset % clusterSize
  let length = 1 + random(Math.min(most, capacity - offset, 200_000))
  if (kind === 8 || kind === 10) {
    offset -= offset % clusterSize
    length = Math.min(capacity - offset, clusterSize * (1 + random(6)))
  }
  if (kind < 7) {
    const bytes = Buffer.alloc(length, random(8))
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

/** Opens what a cut left: nothing may be wrong with it, nothing flushed may be lost, and it can be changed on. */
function judge(left: MemoryStore, { parent }: Start, model: DiskModel, what: string): void {
  const found = read(whole(open(left), parent))
  assert.equal(model.fault(found), -1, `${what}: what is read`)
  assertSound(left.contents(), what)
  const copy = new CutStore(left.contents())
  const image = openWritableQcow2(copy, openContext, parent)
  image.write(0, Uint8Array.of(1, 2, 3))
  image[Symbol.dispose]()
  found.set([1, 2, 3])
  assert.ok(read(whole(open(copy), parent)).equals(found), `${what}: changed on`)
}

for (const variant of variants) {
  test(`${variant.title}: what is written is read, now and after it is closed`, async () => {
    for (let seed = 1; seed <= 2; seed++) {
      const random = randomOf(seed)
      const start = await startOf(variant)
      let store = new CutStore(start.bytes)
      const model = new DiskModel(read(whole(open(store), start.parent)))
      for (let session = 0; session < 3; session++) {
        const image = openWritableQcow2(store, openContext, start.parent)
        for (let count = 0; count < 40; count++) {
          step(image, model, random, start.clusterSize)
          if (count % 8 === 0)
            assert.ok(
              read(whole(image, start.parent)).equals(model.now),
              `seed ${seed}, session ${session}, step ${count}`,
            )
        }
        image[Symbol.dispose]()
        const left = store.contents()
        assertSound(left, `seed ${seed}, session ${session}`, 'no leaks')
        store = new CutStore(left)
        assert.ok(read(whole(open(store), start.parent)).equals(model.now), `seed ${seed}, session ${session}`)
        assert.ok(
          left.length <= start.bytes.length + 3 * sizeOf(start) + 40 * start.clusterSize,
          `the file grew to ${left.length}: space is not used again`,
        )
      }
    }
  })

  test(`${variant.title}: the power is cut after every write`, () => cuts(variant))
  test(`${variant.title}: another size, with the power cut`, () => resizes(variant))
  test(`${variant.title}: compacted, with the power cut`, () => compacts(variant))
}

async function cuts(variant: Variant): Promise<void> {
  const start = await startOf(variant)
  const random = randomOf(77)
  const chance = randomOf(99)
  const store = new CutStore(start.bytes)
  const model = new DiskModel(read(whole(open(store), start.parent)))
  let count = 0
  store.onChange = () => {
    count++
    if (count > 40 && chance(8) > 0) return
    judge(store.cut(chance), start, model, `cut ${count}`)
  }
  const image = openWritableQcow2(store, openContext, start.parent)
  for (let index = 0; index < 50; index++) step(image, model, random, start.clusterSize)
  image.flush()
  model.flushed()
  image[Symbol.dispose]()
  assert.ok(read(whole(open(store), start.parent)).equals(model.now))
}

async function resizes(variant: Variant): Promise<void> {
  const { bytes, parent, clusterSize } = await startOf(variant)
  const store = new CutStore(bytes)
  const chance = randomOf(5)
  const { capacity } = variant
  for (const next of [capacity + 3 * clusterSize + 512, capacity * 5, capacity, capacity - clusterSize - 512, 512]) {
    const image = openWritableQcow2(store, openContext, parent)
    const had = read(whole(image, parent))
    let count = 0
    store.onChange = () => {
      if (count++ > 10 && chance(4) > 0) return
      const left = store.cut(chance)
      const layer = open(left)
      assert.ok([had.length, next].includes(layer.capacity), `a cut leaves ${layer.capacity} bytes`)
      // The old disk with all it held, or the new one; what is added reads as zero.
      const expected = Buffer.alloc(layer.capacity)
      had.copy(expected, 0, 0, Math.min(had.length, layer.capacity))
      assert.ok(read(whole(layer, parent)).equals(expected), `${had.length} → ${next}: cut ${count}: ${layer.capacity}`)
      assertSound(left.contents(), `${next}, cut ${count}`)
    }
    image.resize(next)
    image.flush()
    image[Symbol.dispose]()
    store.onChange = () => undefined
    assertSound(store.contents(), `resized to ${next}`, 'no leaks')
    const expected = Buffer.alloc(next)
    had.copy(expected, 0, 0, Math.min(had.length, next))
    const disk = whole(open(store), parent)
    assert.equal(disk.capacity, next)
    assert.ok(read(disk).equals(expected), `resized to ${next}`)
  }
}

async function compacts(variant: Variant): Promise<void> {
  const { bytes, parent, clusterSize, capacity } = await startOf(variant)
  const store = new CutStore(bytes)
  const chance = randomOf(6)
  {
    using image = openWritableQcow2(store, openContext, parent)
    const end = image.capacity - (image.capacity % clusterSize)
    image.write(0, Buffer.alloc(end, 'filled '))
    image.flush()
    for (let at = 0; at < end; at += clusterSize) if (chance(3) === 0) image.discard(at, clusterSize)
    image.discard(0, Math.floor(capacity / 3))
  }
  const model = new DiskModel(read(whole(open(store), parent)))
  let count = 0
  store.onChange = () => {
    if (count++ > 10 && chance(10) > 0) return
    judge(store.cut(chance), { bytes, parent, clusterSize, capacity }, model, `cut ${count}`)
  }
  const image = openWritableQcow2(store, openContext, parent)
  const steps = [...image.compact()]
  assert.equal(steps.at(-1)?.done, steps.at(-1)?.total)
  assert.ok(read(whole(image, parent)).equals(model.now))
  image[Symbol.dispose]()
  store.onChange = () => undefined
  const left = store.contents()
  assertSound(left, 'compacted', 'no leaks')
  assert.ok(read(whole(open(store), parent)).equals(model.now))
  // Refcounts of the places that were moved away from are released at the very end, and leave holes: a few in a
  // thousand.
  const needed = clustersInUse(left) * clusterSize
  if (variant.snapshot !== true)
    assert.ok(left.length - needed <= needed / 100, `${left.length - needed} bytes are left to give back`)
}
