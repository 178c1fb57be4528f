import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ByteStore, BlockSource } from '../../src/block/types.js'
import type { MemoryStore } from '../../src/block/memory-store.js'
import { OverlaySource } from '../../src/block/overlay.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { openWritableQcow2 } from '../../src/formats/qcow2/writable.js'
import type { WritableQcow2 } from '../../src/formats/qcow2/writable.js'
import { openContext } from '../support/drivers.js'
import { readAll } from '../support/content.js'
import { CutStore, DiskModel, randomOf } from '../support/power-cut.js'
import type { Random } from '../support/power-cut.js'
import { assertSound, sizeOf, startOf, variants } from '../support/qcow2-make.js'
import type { Start, Variant } from '../support/qcow2-make.js'

const open = (store: ByteStore): BlockSource & ReturnType<typeof qcow2.open> => qcow2.open(store, openContext)
const whole = (layer: BlockSource, parent: BlockSource | undefined): BlockSource => (parent === undefined ? layer : new OverlaySource(layer, parent))
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
          if (count % 8 === 0) assert.ok(read(whole(image, start.parent)).equals(model.now), `seed ${seed}, session ${session}, step ${count}`)
        }
        image[Symbol.dispose]()
        const left = store.contents()
        assertSound(left, `seed ${seed}, session ${session}`, 'no leaks')
        store = new CutStore(left)
        assert.ok(read(whole(open(store), start.parent)).equals(model.now), `seed ${seed}, session ${session}`)
        assert.ok(left.length <= start.bytes.length + 3 * sizeOf(start) + 40 * start.clusterSize, `the file grew to ${left.length}: space is not used again`)
      }
    }
  })

  test(`${variant.title}: the power is cut after every write`, () => cuts(variant))
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
