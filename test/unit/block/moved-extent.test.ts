import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryStore } from '../../../src/block/memory-store.js'
import { movedExtent, movedPacked } from '../../../src/block/moved-extent.js'
import type { Extent } from '../../../src/block/types.js'

const store = new MemoryStore(new Uint8Array(16), 'store')
const codec = { id: 'none', decode: () => undefined }
const extents: readonly Extent[] = [
  { kind: 'zero', offset: 100, length: 20 },
  { kind: 'absent', offset: 100, length: 20 },
  { kind: 'data', offset: 100, length: 20, store, position: 7 },
  {
    kind: 'packed',
    offset: 100,
    length: 20,
    store,
    position: 7,
    storedLength: 5,
    codec,
    unitOffset: 96,
    unitLength: 64,
    decoded: { lend: () => undefined },
  },
]

test('a moved run keeps everything but its place, and its unit moves with it', () => {
  for (const extent of extents) {
    assert.deepEqual(
      movedExtent(extent, 60, -40),
      extent.kind === 'packed' ? { ...extent, offset: 60, unitOffset: 56 } : { ...extent, offset: 60 },
    )
  }
})

test('a part of a unit is of the same unit', () => {
  for (const extent of extents)
    if (extent.kind === 'packed') assert.deepEqual(movedPacked(extent, 110, 3), { ...extent, offset: 110, length: 3 })
})
