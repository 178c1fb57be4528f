import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OverlaySource } from '../../src/block/overlay.js'
import type { Work } from '../../src/block/work.js'
import type { BlockSource, ByteStore } from '../../src/block/types.js'
import type { OpenContext } from '../../src/formats/driver.js'
import { qcow2 } from '../../src/formats/qcow2/index.js'
import { openWritableQcow2 } from '../../src/formats/qcow2/write/writable.js'
import { readAll } from '../support/content.js'
import { openContext } from '../support/drivers.js'
import { CutStore, randomOf, type Random } from '../support/power-cut.js'
import { assertSound, clustersInUse, startOf, variants } from '../support/qcow2-make.js'

function content(store: ByteStore, parent: BlockSource | undefined, snapshot?: string): Buffer {
  const context: OpenContext = snapshot === undefined ? openContext : { ...openContext, snapshot }
  const layer = qcow2.open(store, context)
  return Buffer.from(readAll(parent === undefined ? layer : new OverlaySource(layer, parent)))
}

function run<Result>(steps: Work<Result>): Result {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    assert.ok(step.value.done <= step.value.total)
  }
}

/** Every disk in a file: the active one under '', snapshots under their names. */
function disks(store: ByteStore, parent: BlockSource | undefined): Map<string, Buffer> {
  const names = qcow2.open(store, openContext).snapshots!.map(({ name }) => name)
  return new Map(['', ...names].map((name) => [name, content(store, parent, name === '' ? undefined : name)]))
}

function change(image: ReturnType<typeof openWritableQcow2>, random: Random): void {
  for (let step = 0; step < 6; step++) {
    const offset = random(image.capacity)
    const length = 1 + random(Math.min(60_000, image.capacity - offset))
    if (random(4) === 0) image.discard(offset, length)
    else image.write(offset, Buffer.alloc(length, 1 + random(255)))
  }
}

/** Variants whose refcounts hold more than one. */
for (const variant of variants.filter(({ title }) => title !== 'refcounts of one bit')) {
  test(`${variant.title}: snapshots are taken and deleted, with the power cut at every write`, async () => {
    const { bytes, parent } = await startOf(variant)
    const random = randomOf(variant.title.length)
    const chance = randomOf(3)
    const store = new CutStore(bytes)
    const known = disks(store, parent)
    let cuts = 0
    let expected: readonly string[][] = []
    const names = (): string[] => [...known.keys()].filter((name) => name !== '')
    for (let round = 0; round < 5; round++) {
      const image = openWritableQcow2(store, openContext, parent)
      change(image, random)
      image.flush()
      known.set('', content(store, parent))
      const victim = round % 3 === 2 || round > 3 ? names()[random(names().length)] : undefined
      const after = victim === undefined ? [...names(), `s${round}`] : names().filter((name) => name !== victim)
      expected = [names(), after]
      store.onChange = () => {
        if (cuts++ > 20 && chance(6) > 0) return
        const left = store.cut(chance)
        const found = disks(left, parent)
        const list = [...found.keys()].slice(1)
        assert.ok(
          expected.some((names) => names.join() === list.join()),
          `a cut leaves the snapshots ${list.join()}`,
        )
        for (const [name, disk] of found)
          assert.ok(disk.equals(known.get(name) ?? known.get('')!), `after a cut, ${name}`)
        assertSound(left.contents(), `round ${round}, cut ${cuts}`)
        for (const finding of qcow2.open(left, openContext).check!())
          if ('severity' in finding && finding.severity === 'error')
            assert.fail(`${finding.code} ${finding.structure}: ${finding.message}`)
      }
      if (victim === undefined) {
        const taken = run(image.takeSnapshot({ name: `s${round}`, time: 1_700_000_000 + round }))
        assert.deepEqual(
          [taken.name, taken.time, taken.capacity, taken.vmStateSize],
          [`s${round}`, 1_700_000_000 + round, variant.capacity, 0],
        )
        known.set(`s${round}`, known.get('')!)
      } else {
        run(image.deleteSnapshot(victim))
        known.delete(victim)
      }
      store.onChange = () => undefined
      assert.deepEqual([...disks(store, parent)], [['', known.get('')!], ...[...known].filter(([name]) => name !== '')])
      // The same session goes on.
      change(image, random)
      image[Symbol.dispose]()
      known.set('', content(store, parent))
      assertSound(store.contents(), `round ${round}`, 'no leaks')
      for (const [name, disk] of disks(store, parent))
        assert.ok(disk.equals(known.get(name)!), `round ${round}: ${name}`)
      assert.deepEqual(
        [...qcow2.open(store, openContext).check!()].filter((item) => 'severity' in item),
        [],
      )
    }
    assert.ok(cuts > 20, `${cuts} writes`)
  })
}

test('what only a snapshot uses is what deleting it gives back', async () => {
  const { bytes } = await startOf({ title: 'v3', capacity: 800 * 1024, options: { 'cluster-size': 4096 }, filled: 0.5 })
  const store = new CutStore(bytes)
  const image = openWritableQcow2(store, openContext)
  const own = (name: string): number => run(qcow2.open(store, openContext).snapshotUse!(name))
  run(image.takeSnapshot({ name: 'a', time: 0 }))
  // Its L1 table: everything else is the disk's as well.
  assert.equal(own('a'), 4096)
  const settle = (): void => {
    // The first flush releases, the second writes that down.
    image.flush()
    image.write(799 * 1024, Uint8Array.of(1))
    image.flush()
  }
  image.write(0, Buffer.alloc(40960, 9))
  run(image.takeSnapshot({ name: 'b', time: 0 }))
  image.write(0, Buffer.alloc(8192, 8))
  settle()
  assert.ok(own('a') > own('b') && own('b') >= 4096 + 4096 + 8192, `${own('a')} and ${own('b')}`)
  const used = clustersInUse(store.contents())
  assert.throws(() => run(image.takeSnapshot({ name: 'a', time: 0 })), { code: 'E_SNAPSHOT_EXISTS' })
  assert.throws(() => run(image.takeSnapshot({ name: '', time: 0 })), { code: 'E_SNAPSHOT_NAME' })
  assert.throws(() => run(image.deleteSnapshot('nobody')), { code: 'E_SNAPSHOT_UNKNOWN' })
  // A step that is not gone on with leaves nothing.
  const size = store.size
  const stopped = image.takeSnapshot({ name: 'c', time: 0 })
  stopped.next()
  stopped.return(undefined as never)
  assert.equal(store.size, size)
  const given = own('a')
  run(image.deleteSnapshot('a'))
  assert.equal((used - clustersInUse(store.contents())) * 4096, given)
  run(image.deleteSnapshot('b'))
  image[Symbol.dispose]()
  assertSound(store.contents(), 'at the end', 'no leaks')
})

test('a refcount that is too narrow takes no snapshot, and nothing is changed', async () => {
  const { bytes } = await startOf(variants.find(({ title }) => title === 'refcounts of one bit')!)
  const store = new CutStore(bytes)
  const before = content(store, undefined)
  const image = openWritableQcow2(store, openContext)
  assert.throws(() => run(image.takeSnapshot({ name: 'a', time: 0 })), { code: 'E_REFCOUNT_WIDTH', kind: 'target' })
  image.write(0, Uint8Array.of(1))
  image[Symbol.dispose]()
  before[0] = 1
  assert.ok(content(store, undefined).equals(before))
  assertSound(store.contents(), 'after it', 'no leaks')
})
