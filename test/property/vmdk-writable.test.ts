import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { BlockSource, ByteStore } from '../../src/block/types.js'
import type { DiskImage, OptionValues, ParentShape } from '../../src/formats/driver.js'
import { createIn, driver, filesBeside, openContext, shape } from '../support/drivers.js'
import { contentsOf, CutStore, DiskModel, randomOf } from '../support/power-cut.js'
import { writableSuite } from '../support/writable-suite.js'

const vmdk = driver('vmdk')
const grain = 65536
const capacity = 12 * grain + 3 * 512

interface Content {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** The files of an image with some content, by their names; its own first. */
function make(
  size: number,
  options: OptionValues,
  content: readonly Content[],
  parent?: ParentShape,
): Map<string, Uint8Array> {
  const store = new MemoryStore(undefined, 'image.vmdk')
  using writer = vmdk.create!(store, shape(size, parent === undefined ? {} : { parent }), options, createIn(store))
  for (const { offset, bytes } of content)
    for (let done = 0; done < bytes.length;) {
      const placed = writer.place(offset + done, bytes.length - done)
      placed.store.write(placed.position, bytes.subarray(done, done + placed.length))
      done += placed.length
    }
  writer.finish()
  return new Map([
    ['image.vmdk', store.contents()],
    ...[...filesBeside(store)].map(([name, file]) => [name, file.contents()] as const),
  ])
}

const content = [
  { offset: 0, bytes: Buffer.alloc(2 * grain, 'below ') },
  { offset: 5 * grain, bytes: Buffer.alloc(grain, 'more ') },
]
const alone = make(capacity, {}, content).get('image.vmdk')!
const parent: DiskImage = vmdk.open(new MemoryStore(alone, 'parent.vmdk'), openContext)
const child = make(capacity, {}, [{ offset: 3 * grain, bytes: Buffer.alloc(grain, 'child ') }], {
  image: parent,
  path: '/p.vmdk',
  relativePath: 'p.vmdk',
  time: 1_700_000_000,
}).get('image.vmdk')!

writableSuite({ title: 'VMDK sparse', driver: vmdk, blockSize: grain, start: () => ({ bytes: alone }) })
writableSuite({
  title: 'VMDK child',
  driver: vmdk,
  blockSize: grain,
  start: () => ({ bytes: child, parent: parent }),
})

/** Files that are written, and what a cut leaves of each. */
class CutSet {
  readonly stores: ReadonlyMap<string, CutStore>

  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.stores = new Map([...files].map(([name, bytes]) => [name, new CutStore(bytes, name)]))
  }

  get main(): CutStore {
    return this.stores.get('image.vmdk')!
  }

  onChange(look: () => void): void {
    for (const store of this.stores.values()) store.onChange = look
  }

  left(chance: (limit: number) => number): Map<string, ByteStore> {
    return new Map([...this.stores].map(([name, store]) => [name, store.cut(chance)]))
  }
}

function open(files: ReadonlyMap<string, ByteStore>): DiskImage {
  return vmdk.open(files.get('image.vmdk')!, { ...openContext, openReference: ({ path }) => files.get(path) })
}

function all(image: BlockSource): Buffer {
  const bytes = Buffer.alloc(image.capacity)
  image.read(0, bytes)
  return bytes
}

for (const subformat of ['monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'vmfs'])
  test(`VMDK ${subformat}: the power is cut after every write to any of its files`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      const set = new CutSet(make(capacity, { subformat }, content))
      const [random, chance] = [randomOf(seed), randomOf(seed + 50)]
      const model = new DiskModel(all(open(set.stores)))
      let cuts = 0
      set.onChange(() => {
        const image = open(set.left(chance))
        assert.equal(model.fault(all(image)), -1, `seed ${seed}, cut ${++cuts}`)
        for (const found of image.check?.() ?? [])
          assert.ok(!('severity' in found) || found.severity !== 'error', JSON.stringify(found))
      })
      const image = vmdk.openWritable!(set.main, { ...openContext, openReference: ({ path }) => set.stores.get(path) })
      for (let step = 0; step < 20; step++) {
        const offset = random(capacity)
        const length = 1 + random(Math.min(capacity - offset, [700, 70_000, 3 * grain][random(3)] ?? 700))
        if (random(5) === 0) {
          image.flush()
          model.flushed()
        } else if (random(4) === 0) {
          model.change(offset, new Uint8Array(length))
          image.discard(offset, length)
        } else {
          const bytes = Buffer.alloc(length, 1 + random(255))
          model.change(offset, bytes)
          image.write(offset, bytes)
        }
        assert.ok(all(image).equals(model.now), `seed ${seed}, step ${step}`)
      }
      image.flush()
      model.flushed()
      image[Symbol.dispose]()
      set.onChange(() => undefined)
      assert.ok(all(open(set.stores)).equals(model.now))
      assert.ok(cuts > 10)
    }
  })

test('VMDK: the content id changes with the first change, in one sector and without moving anything', () => {
  const store = new CutStore(alone)
  const before = vmdk.open(new MemoryStore(alone), openContext).identity
  const image = vmdk.openWritable!(store, openContext)
  assert.equal(image.identity, before)
  image.write(0, Uint8Array.of(1))
  assert.notEqual(image.identity, before)
  image[Symbol.dispose]()
  assert.equal(vmdk.open(new MemoryStore(contentsOf(store)), openContext).identity, image.identity)
  const kept = vmdk.openWritable!(store, { ...openContext, keepsIdentity: true })
  kept.write(0, Uint8Array.of(2))
  assert.equal(kept.identity, image.identity)
  kept[Symbol.dispose]()
})

test('VMDK: another parent is recorded at once, wherever the power is cut', () => {
  const long = 'a folder with a long name/'.repeat(20)
  for (const relativePath of ['q.vmdk', `${long}q.vmdk`]) {
    const store = new CutStore(child)
    const chance = randomOf(7)
    const names = new Set<string>()
    store.onChange = () => {
      for (let round = 0; round < 4; round++) {
        const left = vmdk.open(store.cut(chance), openContext)
        names.add(left.parentReference?.paths[0] ?? '')
      }
    }
    const image = vmdk.openWritable!(store, openContext, parent)
    image.relink!({ image: parent, path: '/q.vmdk', relativePath, time: 0 })()
    store.onChange = () => undefined
    assert.deepEqual([...names].sort(), ['p.vmdk', relativePath].sort())
    image.relink!(undefined)()
    image[Symbol.dispose]()
    assert.equal(vmdk.open(new MemoryStore(contentsOf(store)), openContext).parentReference, undefined)
  }
})
