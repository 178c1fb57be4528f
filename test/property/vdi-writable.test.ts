import assert from 'node:assert/strict'
import { test } from 'node:test'
import { vdiImage, type VdiRecipe } from '../../fixtures/spec-writer/vdi.js'
import { isZero } from '../../src/binary/zero.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { driver, openContext } from '../support/drivers.js'
import { CutStore, randomOf } from '../support/power-cut.js'
import { readAll } from '../support/content.js'
import { writableSuite } from '../support/writable-suite.js'

const vdi = driver('vdi')
const blockSize = 65536
const capacity = 12 * blockSize + 3 * 512

const content = Buffer.alloc(capacity)
content.fill('below ', 0, 2 * blockSize)
content.fill('more ', 5 * blockSize, 6 * blockSize)
const childContent = Buffer.alloc(capacity)
childContent.fill('child ', 1024, 5120)
childContent.fill('full ', 7 * blockSize, 8 * blockSize)

const image = (more: Partial<VdiRecipe>): Buffer =>
  vdiImage({ capacity, blockSize, content, uuids: { image: '11'.repeat(16), modification: '22'.repeat(16) }, ...more })
const childImage = (): Buffer =>
  image({
    type: 4,
    content: childContent,
    uuids: {
      image: '33'.repeat(16),
      modification: '44'.repeat(16),
      link: '11'.repeat(16),
      parentModification: '22'.repeat(16),
    },
  })

writableSuite({ title: 'VDI dynamic', driver: vdi, blockSize, start: () => ({ bytes: image({}) }) })
writableSuite({
  title: 'VDI dynamic, with room behind its map and extra bytes before its blocks',
  driver: vdi,
  blockSize,
  start: () => ({ bytes: image({ extra: 512, mapAt: 4096, dataAt: 65536 }) }),
})
writableSuite({
  title: 'VDI fixed',
  driver: vdi,
  blockSize,
  start: () => ({ bytes: image({ type: 2, block: () => 'stored' }) }),
})
writableSuite({
  title: 'VDI differencing',
  driver: vdi,
  blockSize,
  start: () => ({ bytes: childImage(), parent: vdi.open(new MemoryStore(image({}), 'parent.vdi'), openContext) }),
})

test('a larger disk whose map has no room: the first blocks move, and the power is cut at every write', () => {
  for (const type of [1, 2]) {
    // 128 entries fill the sector of the map.
    const blocks = 128
    const full = Buffer.alloc(blocks * 4096)
    for (let block = 0; block < blocks; block++) full.fill(block + 1, block * 4096, (block + 1) * 4096)
    const store = new CutStore(
      vdiImage({ capacity: full.length, blockSize: 4096, content: full, type, uuids: { image: '11'.repeat(16) } }),
      'test.vdi',
    )
    const chance = randomOf(type)
    const capacities = new Set<number>()
    store.onChange = () => {
      const left = store.cut(chance)
      const found = vdi.open(left, openContext)
      capacities.add(found.capacity)
      const bytes = readAll(found)
      assert.ok(Buffer.from(bytes.subarray(0, full.length)).equals(full))
      assert.ok(isZero(bytes.subarray(full.length)))
      for (const finding of found.check!())
        if ('severity' in finding && finding.severity === 'error') assert.fail(`${finding.code}: ${finding.message}`)
    }
    const larger = full.length * 5
    const opened = vdi.openWritable!(store, openContext)
    opened.resize!(larger)
    store.onChange = () => undefined
    opened.write(larger - 4096, Buffer.alloc(4096, 7))
    opened.discard(larger - 4096, 4096)
    opened[Symbol.dispose]()
    assert.deepEqual([...capacities], [full.length, larger])
    const closed = vdi.open(store, openContext)
    assert.deepEqual(
      [...closed.check!()].filter((item) => 'severity' in item),
      [],
    )
  }
})

test('a child that becomes larger does not show what its parent has behind its old end', () => {
  const long = Buffer.alloc(2 * capacity, 9)
  const parent = vdi.open(
    new MemoryStore(vdiImage({ capacity: long.length, blockSize, content: long, uuids: { image: '11'.repeat(16) } })),
    openContext,
  )
  const store = new CutStore(childImage(), 'test.vdi')
  const opened = vdi.openWritable!(store, openContext, parent)
  opened.resize!(2 * capacity)
  opened[Symbol.dispose]()
  const child = vdi.open(store, openContext)
  for (let offset = capacity; offset < child.capacity;) {
    const { kind, length } = child.extentAt(offset, child.capacity - offset)
    assert.notEqual(kind, 'absent', `offset ${offset}`)
    const bytes = new Uint8Array(length)
    child.read(offset, bytes)
    assert.ok(isZero(bytes))
    offset += length
  }
})

test(
  'the modification UUID changes with the first change of a session, and before it; without one ' + 'nothing does',
  () => {
    const store = new CutStore(image({}), 'test.vdi')
    const uuid = (): string => Buffer.from(store.contents().subarray(408, 424)).toString('hex')
    const before = uuid()
    vdi.openWritable!(store, openContext)[Symbol.dispose]()
    assert.equal(uuid(), before)
    const changes: string[] = []
    store.onChange = () => void changes.push(uuid())
    const opened = vdi.openWritable!(store, openContext)
    opened.write(0, Uint8Array.of(1))
    opened[Symbol.dispose]()
    assert.notEqual(uuid(), before)
    assert.ok(changes.every((each) => each === uuid()))
  },
)

test('space that is released is used again, and compact brings the last blocks down', () => {
  const store = new CutStore(image({ content: Buffer.alloc(capacity, 9), ascending: true }), 'test.vdi')
  const full = store.size
  const opened = vdi.openWritable!(store, openContext)
  opened.discard(0, 6 * blockSize)
  opened.flush()
  opened.write(0, Buffer.alloc(blockSize, 8))
  opened.flush()
  assert.equal(store.size, full, 'the place of a discarded block was used')
  assert.ok([...opened.compact!()].length > 0)
  opened[Symbol.dispose]()
  assert.equal(store.size, full - 5 * blockSize)
  const left = vdi.open(store, openContext)
  const expected = Buffer.alloc(capacity)
  expected.fill(8, 0, blockSize)
  expected.fill(9, 6 * blockSize)
  assert.ok(Buffer.from(readAll(left)).equals(expected))
  assert.deepEqual(
    [...left.check!()].filter((found) => 'severity' in found),
    [],
  )
})
