import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { PatchedStore } from '../../../src/block/patched-store.js'
import { isImageError } from '../../../src/errors.js'

test('later patches cover earlier ones, as if written one after the other', () => {
  const patch = fc.record({
    position: fc.nat(120),
    length: fc.integer({ min: 1, max: 40 }),
    fill: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
  })
  fc.assert(
    fc.property(fc.array(patch, { maxLength: 20 }), (patches) => {
      const base = Buffer.alloc(100, 0xbb)
      const expected = Buffer.alloc(200)
      base.copy(expected)
      for (const { position, length, fill } of patches) expected.fill(fill ?? 0, position, position + length)
      const store = new PatchedStore(
        new MemoryStore(base),
        patches.map(({ position, length, fill }) =>
          fill === undefined ? { position, length } : { position, length, bytes: Buffer.alloc(length, fill) },
        ),
        200,
      )
      const found = Buffer.alloc(200)
      store.read(0, found)
      assert.deepEqual(found, expected)
      for (let position = 0; position < 200;) {
        const run = store.runAt(position, 200 - position)
        assert.ok(run.length > 0)
        if (run.origin === 'base') assert.ok(position + run.length <= 100)
        if (run.origin !== 'patch')
          assert.ok(
            expected
              .subarray(position, position + run.length)
              .every((byte) => byte === (run.origin === 'zero' ? 0 : 0xbb)),
          )
        position += run.length
      }
    }),
  )
})

test('reading past its end and writing are refused', () => {
  const store = new PatchedStore(new MemoryStore(new Uint8Array(10)), [], 20)
  assert.throws(
    () => store.read(15, new Uint8Array(6)),
    (error) => isImageError(error) && error.code === 'E_TRUNCATED',
  )
  assert.throws(
    () => store.write(),
    (error) => isImageError(error) && error.code === 'E_WRITE',
  )
})
