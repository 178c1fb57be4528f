import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../src/block/memory-store.js'
import { driver, openContext } from '../support/drivers.js'
import { writableSuite } from '../support/writable-suite.js'

const raw = driver('raw')
const blockSize = 65536

/** What a device looks like: it has the size that it has, and nothing that makes zeros for it. */
class DeviceStore extends MemoryStore {
  override readonly growable: true = false as never

  override truncate(): void {
    throw new Error('a device keeps its size')
  }
}

writableSuite({
  title: 'raw',
  driver: raw,
  blockSize,
  start: () => ({ bytes: Buffer.alloc(12 * blockSize + 3 * 512, 'content ') }),
})

test('a device is changed within its size, and keeps it', () => {
  const store = new DeviceStore(Buffer.alloc(4 * blockSize, 7), 'device')
  const image = raw.openWritable!(store, openContext)
  image.write(1000, Buffer.from('changed'))
  image.discard(blockSize + 100, blockSize)
  image.flush()
  const expected = Buffer.alloc(4 * blockSize, 7)
  expected.write('changed', 1000)
  expected.fill(0, blockSize + 100, 2 * blockSize + 100)
  assert.ok(Buffer.from(store.contents()).equals(expected))
  assert.throws(() => image.resize!(8 * blockSize), { code: 'E_NO_RESIZE', kind: 'unsupported' })
  assert.throws(() => image.write(4 * blockSize, Uint8Array.of(1)), RangeError)
  assert.equal(image.capacity, 4 * blockSize)
})
