import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BytesSource } from '../../src/block/bytes-source.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import { ScratchOverlay } from '../../src/block/scratch-overlay.js'
import { randomOf } from '../support/power-cut.js'

for (const capacity of [200 * 4096, 200 * 4096 + 512, 100]) {
  test(`changes go to the scratch file, whatever their places: a disk of ${capacity} bytes`, () => {
    for (let seed = 1; seed <= 5; seed++) {
      const random = randomOf(seed)
      const below = Buffer.alloc(capacity, 'below ')
      const model = Buffer.from(below)
      using overlay = new ScratchOverlay(new BytesSource(below, 'below'), new MemoryStore(new Uint8Array(), 'scratch'))
      for (let count = 0; count < 200; count++) {
        const offset = random(capacity)
        const length = Math.min(random(4) === 0 ? random(40_000) : random(600), capacity - offset)
        if (random(3) === 0) {
          overlay.zero(offset, length)
          model.fill(0, offset, offset + length)
        } else {
          const bytes = Buffer.alloc(length, count + 1)
          overlay.write(offset, bytes)
          model.set(bytes, offset)
        }
        const from = random(capacity)
        const seen = Buffer.alloc(Math.min(random(50_000), capacity - from))
        overlay.read(from, seen)
        assert.ok(seen.equals(model.subarray(from, from + seen.length)), `seed ${seed}, step ${count}`)
      }
      // Extents cover the disk, and what they call zero is.
      for (let offset = 0; offset < capacity;) {
        const extent = overlay.extentAt(offset, capacity)
        assert.ok(extent.length > 0 && extent.offset === offset)
        if (extent.kind === 'zero')
          assert.ok(model.subarray(offset, offset + extent.length).every((byte) => byte === 0))
        offset += extent.length
      }
      assert.ok(below.equals(Buffer.alloc(capacity, 'below ')), 'what lies below is as it was')
    }
  })
}

test('zeros over what was written give its space back, and read as zero', () => {
  const store = new MemoryStore(new Uint8Array(), 'scratch')
  using overlay = new ScratchOverlay(new BytesSource(new Uint8Array(65536).fill(7), 'below'), store)
  overlay.write(0, new Uint8Array(65536).fill(9))
  overlay.zero(0, 65536)
  assert.deepEqual(overlay.extentAt(0, 65536), { kind: 'zero', offset: 0, length: 65536 })
})

test('changes outside the disk are refused', () => {
  using overlay = new ScratchOverlay(
    new BytesSource(new Uint8Array(8192), 'below'),
    new MemoryStore(new Uint8Array(), 'scratch'),
  )
  for (const offset of [-1, 8191, 2 ** 53]) {
    assert.throws(() => overlay.write(offset, new Uint8Array(2)), RangeError)
    assert.throws(() => overlay.zero(offset, 2), RangeError)
  }
})
