import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { OverlaySource } from '../../src/block/overlay.js'
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

/** What a disk of another size holds: what the old one had, and zeros. */
function resized(before: Buffer, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  before.copy(bytes, 0, 0, Math.min(before.length, size))
  return bytes
}

function noErrors(image: DiskImage, what: string): void {
  for (const found of image.check?.() ?? [])
    assert.ok(!('severity' in found) || found.severity !== 'error', `${what}: ${JSON.stringify(found)}`)
}

const tableCoverage = 512 * grain

for (const subformat of ['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'vmfs'])
  test(`VMDK ${subformat}: another capacity, also over more tables, with the power cut at every write`, () => {
    const set = new CutSet(make(capacity, { subformat }, content))
    const chance = randomOf(3)
    const reference = { ...openContext, openReference: ({ path }: { path: string }) => set.stores.get(path) }
    let now = all(open(set.stores))
    for (const size of [capacity + 512, tableCoverage + 3 * grain, 9 * grain + 1024, 2 * grain, capacity]) {
      const before = now
      const sizes = new Set<number>()
      let cuts = 0
      set.onChange(() => {
        const image = open(set.left(chance))
        sizes.add(image.capacity)
        assert.ok([before.length, size].includes(image.capacity), `${before.length} → ${size}: ${image.capacity}`)
        assert.ok(all(image).equals(resized(before, image.capacity)), `${before.length} → ${size}, cut ${++cuts}`)
        noErrors(image, `${before.length} → ${size}, cut ${cuts}`)
      })
      const image = vmdk.openWritable!(set.main, reference)
      image.resize!(size)
      now = resized(before, size)
      assert.equal(image.capacity, size)
      assert.ok(all(image).equals(now))
      set.onChange(() => undefined)
      image.write(size - 700, Buffer.alloc(700, 5))
      image.discard(size - 700, 700)
      now.fill(0, size - 700)
      image.flush()
      image[Symbol.dispose]()
      assert.ok(sizes.has(size) && sizes.has(before.length))
      assert.ok(all(open(set.stores)).equals(now), `${before.length} → ${size}`)
      noErrors(open(set.stores), `${before.length} → ${size}`)
    }
    const closed = open(set.stores)
    assert.deepEqual(
      [...closed.notes, ...[...(closed.check?.() ?? [])].filter((found) => 'severity' in found)].filter(
        ({ code }) => code !== 'L_UNREFERENCED',
      ),
      [],
    )
  })

test('VMDK: what a cut shrinking left behind the end does not come back when the disk grows', () => {
  for (let seed = 1; seed <= 12; seed++) {
    const chance = randomOf(seed)
    const store = new CutStore(alone)
    const lefts: ByteStore[] = []
    store.onChange = () => void lefts.push(store.cut(chance))
    const image = vmdk.openWritable!(store, openContext)
    image.resize!(grain)
    image[Symbol.dispose]()
    for (const left of lefts) {
      const small = vmdk.open(left, openContext)
      if (small.capacity !== grain) continue
      for (const step of vmdk.repair!(left, openContext)) assert.ok(step)
      const again = vmdk.openWritable!(left, openContext)
      again.resize!(capacity)
      const found = all(again)
      again[Symbol.dispose]()
      assert.ok(found.equals(resized(Buffer.from(content[0]!.bytes.subarray(0, grain)), capacity)), `seed ${seed}`)
    }
  }
})

test('VMDK: a child that grows hides what its longer parent has there', () => {
  const long = make(tableCoverage + 4 * grain, {}, [
    { offset: 0, bytes: Buffer.alloc(grain, 'first ') },
    { offset: capacity - 600, bytes: Buffer.alloc(4 * grain, 'behind ') },
    { offset: tableCoverage, bytes: Buffer.alloc(4 * grain, 'far behind ') },
  ]).get('image.vmdk')!
  const below = vmdk.open(new MemoryStore(long, 'long.vmdk'), openContext)
  const store = new CutStore(child)
  const before = Buffer.alloc(capacity)
  new OverlaySource(vmdk.open(store, openContext), below).read(0, before)
  const chance = randomOf(1)
  store.onChange = () => {
    const left = vmdk.open(store.cut(chance), openContext)
    assert.ok(all(new OverlaySource(left, below)).equals(resized(before, left.capacity)))
  }
  const image = vmdk.openWritable!(store, openContext, below)
  image.resize!(tableCoverage + 2 * grain)
  image[Symbol.dispose]()
  const disk = new OverlaySource(vmdk.open(store, openContext), below)
  assert.ok(all(disk).equals(resized(before, tableCoverage + 2 * grain)))
})

test('VMDK: compact moves the last grains down and cuts the file off, with the power cut at every write', () => {
  for (const subformat of ['monolithicSparse', 'twoGbMaxExtentSparse']) {
    const full = Buffer.alloc(capacity)
    for (let at = 0; at < capacity; at += grain) full.fill(1 + at / grain, at, Math.min(capacity, at + grain))
    const set = new CutSet(make(capacity, { subformat }, [{ offset: 0, bytes: full }]))
    const chance = randomOf(9)
    const image = vmdk.openWritable!(set.main, {
      ...openContext,
      openReference: ({ path }) => set.stores.get(path),
    })
    // Tables in the middle of the file stay where they are.
    image.resize!(tableCoverage + grain)
    image.write(tableCoverage, Buffer.alloc(grain, 200))
    const expected = resized(full, tableCoverage + grain)
    expected.fill(200, tableCoverage)
    for (const first of [1, 2, 3, 7, 8, 11]) {
      image.discard(first * grain, grain)
      expected.fill(0, first * grain, (first + 1) * grain)
    }
    image.flush()
    const before = [...set.stores.values()].reduce((sum, { size }) => sum + size, 0)
    set.onChange(() => {
      const left = open(set.left(chance))
      assert.ok(all(left).equals(expected))
      noErrors(left, 'cut')
    })
    assert.ok([...image.compact!()].every((step) => 'done' in step))
    assert.ok(all(image).equals(expected))
    image.write(grain, Buffer.alloc(grain, 77))
    expected.fill(77, grain, 2 * grain)
    set.onChange(() => undefined)
    image[Symbol.dispose]()
    const closed = open(set.stores)
    assert.ok(all(closed).equals(expected))
    const after = [...set.stores.values()].reduce((sum, { size }) => sum + size, 0)
    assert.ok(after <= before - 4 * grain, `${before} → ${after}`)
    assert.deepEqual(
      [...(closed.check?.() ?? [])].filter((found) => 'severity' in found),
      [],
    )
  }
})

test('VMDK: compact of flat extents gives zeros back, with the power cut at every write', () => {
  for (const subformat of ['monolithicFlat', 'twoGbMaxExtentFlat', 'vmfs']) {
    const expected = Buffer.alloc(capacity, 'content ')
    for (const zero of [1, 2, 6, 11]) expected.fill(0, zero * grain, (zero + 1) * grain)
    const set = new CutSet(make(capacity, { subformat }, [{ offset: 0, bytes: expected }]))
    const chance = randomOf(11)
    const image = vmdk.openWritable!(set.main, {
      ...openContext,
      openReference: ({ path }) => set.stores.get(path),
    })
    let cuts = 0
    set.onChange(() => {
      cuts++
      const left = open(set.left(chance))
      assert.ok(all(left).equals(expected), subformat)
      noErrors(left, 'cut')
    })
    // As operations/change/compact does: runs of zeros, then what the format can move, then all to the medium.
    for (const zero of [1, 2, 6, 11]) image.discard(zero * grain, grain)
    assert.ok([...image.compact!()].every((step) => 'done' in step))
    image.flush()
    assert.ok(cuts > 0)
    assert.ok(all(image).equals(expected))
    set.onChange(() => undefined)
    image[Symbol.dispose]()
    const closed = open(set.stores)
    assert.ok(all(closed).equals(expected))
    noErrors(closed, 'closed')
  }
})

test('VMDK: what has nothing to give back is not touched by compact', () => {
  const store = new CutStore(alone)
  const image = vmdk.openWritable!(store, openContext)
  assert.ok([...image.compact!()].every((step) => 'done' in step))
  image[Symbol.dispose]()
  assert.ok(Buffer.from(store.contents()).equals(alone))
})

test('VMDK: sizes that cannot be are refused, and change nothing', () => {
  for (const [subformat, size, code] of [
    ['monolithicSparse', 1000, 'E_SIZE'],
    ['monolithicSparse', 0, 'E_SIZE'],
    ['monolithicSparse', 2 ** 42, 'E_TOO_LARGE_FOR_FORMAT'],
    ['twoGbMaxExtentFlat', 3 * 2 ** 30, 'E_NO_RESIZE'],
  ] as const) {
    const set = new CutSet(make(capacity, { subformat }, content))
    const before = [...set.stores.values()].map((store) => Buffer.from(store.contents()))
    const image = vmdk.openWritable!(set.main, { ...openContext, openReference: ({ path }) => set.stores.get(path) })
    assert.throws(() => image.resize!(size), { code })
    image[Symbol.dispose]()
    assert.deepEqual(
      [...set.stores.values()].map((store) => Buffer.from(store.contents())),
      before,
    )
  }
})
