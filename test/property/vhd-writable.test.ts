import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { BlockSource } from '../../src/block/types.js'
import type { DiskImage, OptionValues, ParentShape } from '../../src/formats/driver.js'
import { createContext, driver, openContext, shape } from '../support/drivers.js'
import { CutStore } from '../support/power-cut.js'
import { writableSuite } from '../support/writable-suite.js'

const vhd = driver('vhd')
const blockSize = 65536
const capacity = 12 * blockSize + 3 * 512

const childId = '0b1c2d3e-4f50-4617-8829-3a4b5c6d7e8f'

interface Content {
  readonly offset: number
  readonly bytes: Uint8Array
}

function make(size: number, options: OptionValues, content: readonly Content[], parent?: ParentShape): Uint8Array {
  const store = new MemoryStore(undefined, 'test.vhd')
  assert.ok(vhd.create !== undefined)
  using writer = vhd.create(
    store,
    shape(
      size,
      parent === undefined ? {} : { parent, identity: { uuid: childId, derive: () => childId, time: 1_700_000_001 } },
    ),
    options,
    createContext,
  )
  for (const { offset, bytes } of content) {
    for (let done = 0; done < bytes.length;) {
      const placed = writer.place(offset + done, bytes.length - done)
      placed.store.write(placed.position, bytes.subarray(done, done + placed.length))
      done += placed.length
    }
  }
  writer.finish()
  return store.contents()
}

const open = (bytes: Uint8Array): DiskImage => vhd.open(new MemoryStore(bytes, 'parent.vhd'), openContext)
const content = [
  { offset: 0, bytes: Buffer.alloc(2 * blockSize, 'below ') },
  { offset: 5 * blockSize, bytes: Buffer.alloc(blockSize, 'more ') },
]
const parentOf = (image: DiskImage): ParentShape => ({
  image,
  path: '/p.vhd',
  relativePath: 'p.vhd',

  time: 1_700_000_000,
})

/** As QEMU reads it: by the copy of the footer at the file's start. */
function byCopy(file: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(file)
  if (Buffer.from(bytes.subarray(0, 8)).toString() === 'conectix') bytes.copyWithin(bytes.length - 512, 0, 512)
  return bytes
}

writableSuite({
  title: 'fixed',
  footerInDisk: true,
  driver: vhd,
  blockSize,
  start: () => ({ bytes: make(capacity, { subformat: 'fixed' }, content) }),
})
writableSuite({
  title: 'dynamic',
  driver: vhd,
  allowedInResize: ['E_FOOTERS_DIFFER'],
  otherReader: byCopy,
  blockSize,
  start: () => ({ bytes: make(capacity, { 'block-size': blockSize }, content) }),
})
writableSuite({
  title: 'differencing',
  driver: vhd,
  allowedInResize: ['E_FOOTERS_DIFFER'],
  otherReader: byCopy,
  blockSize,
  start: () => {
    const parent: DiskImage & BlockSource = open(make(capacity, { 'block-size': blockSize }, content))
    return {
      bytes: make(
        capacity,
        { 'block-size': blockSize },
        [
          { offset: 1024, bytes: Buffer.alloc(4096, 'child ') },
          { offset: 7 * blockSize, bytes: Buffer.alloc(blockSize, 'full ') },
        ],
        parentOf(parent),
      ),
      parent,
    }
  },
})

test('space that is released is used again, and compact brings the last blocks down', () => {
  const store = new CutStore(
    make(capacity, { 'block-size': blockSize }, [{ offset: 0, bytes: Buffer.alloc(12 * blockSize, 9) }]),
    'test.vhd',
  )
  const full = store.size
  const image = vhd.openWritable!(store, openContext)
  image.discard(0, 6 * blockSize)
  image.flush()
  image.write(0, Buffer.alloc(blockSize, 8))
  image.flush()
  assert.equal(store.size, full, 'the place of a discarded block was used')
  const steps = [...image.compact!()]
  assert.ok(steps.length > 0)
  image[Symbol.dispose]()
  assert.ok(store.size <= full - 5 * blockSize, `${full} became ${store.size}`)
  const left = vhd.open(store, openContext)
  const bytes = Buffer.alloc(capacity)
  left.read(0, bytes)
  const expected = Buffer.alloc(capacity)
  expected.fill(8, 0, blockSize)
  expected.fill(9, 6 * blockSize, 12 * blockSize)
  assert.ok(bytes.equals(expected))
  assert.deepEqual(
    [...left.check!()].filter((found) => 'code' in found),
    [],
  )
})
