import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { OverlaySource } from '../../../src/block/overlay.js'
import { SliceSource } from '../../../src/block/slice.js'
import { deflateRaw } from '../../../src/codec/deflate.js'
import { isImageError } from '../../../src/errors.js'
import { diskLike, readAll } from '../../support/content.js'
import { ToyImage } from '../../support/toy-image.js'

function flat(content: Uint8Array): ToyImage {
  const store = new MemoryStore()
  const image = new ToyImage(store, content.length)
  store.write(image.place(0, content.length).position, content)
  return image
}

test('an overlay answers from the layer, then the parent, then zero beyond the parent', () => {
  const parent = flat(new Uint8Array(8192).fill(1))
  const store = new MemoryStore()
  const layer = new ToyImage(store, 16384)
  store.write(layer.place(4096, 1024).position, new Uint8Array(1024).fill(2))
  layer.zero(6144, 512)
  const all = readAll(new OverlaySource(layer, parent))
  const expected = new Uint8Array(16384).fill(1, 0, 8192).fill(2, 4096, 5120).fill(0, 6144, 6656)
  assert.equal(Buffer.compare(all, expected), 0)
})

test('a slice is the part and nothing else, compressed units across its edges included', () => {
  const content = diskLike(256 * 1024, 4)
  const store = new MemoryStore()
  const whole = new ToyImage(store, content.length, { packedUnit: { length: 65536, codec: 'deflate' } })
  for (let offset = 0; offset < content.length; offset += 65536) {
    const packed = deflateRaw(content.subarray(offset, offset + 65536))
    store.write(whole.placePacked(offset, packed.length).position, packed)
  }
  const slice = new SliceSource(whole, 70_000, 100_000)
  assert.equal(Buffer.compare(readAll(slice), content.subarray(70_000, 170_000)), 0)
  assert.throws(() => slice.read(99_999, new Uint8Array(2)), RangeError)
  assert.throws(() => new SliceSource(whole, 200_000, 100_000), RangeError)
})

test('a damaged compressed unit is reported with file, position and offset', () => {
  const store = new MemoryStore(undefined, 'disk.toy')
  const image = new ToyImage(store, 65536, { packedUnit: { length: 65536, codec: 'deflate' } })
  store.write(image.placePacked(0, 5).position, Uint8Array.of(0xff, 1, 2, 3, 4))
  assert.throws(
    () => image.read(0, new Uint8Array(512)),
    (error) =>
      isImageError(error) && error.code === 'E_COMPRESSED' && /disk\.toy.*byte 0.*guest offset 0/.test(error.message),
  )
})

test('a memory store is sparse, grows, shrinks and does not read past its end', () => {
  const store = new MemoryStore()
  store.write(2 ** 40, Uint8Array.of(1))
  assert.equal(store.size, 2 ** 40 + 1)
  const target = new Uint8Array(4).fill(9)
  store.read(2 ** 40 - 3, target)
  assert.deepEqual([...target], [0, 0, 0, 1])
  assert.throws(
    () => store.read(2 ** 40, new Uint8Array(2)),
    (error) => isImageError(error) && error.code === 'E_TRUNCATED',
  )
  store.write(0, Uint8Array.of(5, 6, 7))
  store.truncate(1)
  store.truncate(3)
  assert.deepEqual([...store.contents()], [5, 0, 0])
})
