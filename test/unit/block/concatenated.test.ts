import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BytesSource } from '../../../src/block/bytes-source.js'
import { ConcatenatedSource, patchedSource } from '../../../src/block/concatenated.js'
import { SliceSource } from '../../../src/block/slice.js'
import type { BlockSource } from '../../../src/block/types.js'
import { ZeroSource } from '../../../src/block/zero.js'

const bytes = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value)

/** Everything, by extents and by read, which must agree and tile the disk. */
function all(source: BlockSource): number[] {
  const whole = new Uint8Array(source.capacity)
  source.read(0, whole)
  for (let offset = 0; offset < source.capacity;) {
    const extent = source.extentAt(offset, 7)
    assert.ok(extent.offset === offset && extent.length > 0 && extent.length <= 7)
    const piece = new Uint8Array(extent.length)
    if (extent.kind === 'data') extent.store.read(extent.position, piece)
    assert.deepEqual(piece, whole.slice(offset, offset + extent.length))
    offset += extent.length
  }
  return [...whole]
}

test('pieces stand one behind the other, and empty ones are nothing', () => {
  const source = new ConcatenatedSource(
    [
      new ZeroSource(3),
      new BytesSource(bytes(5, 1), 'a'),
      new ZeroSource(0),
      new SliceSource(new BytesSource(bytes(9, 2), 'b'), 4, 4),
    ],
    4096,
  )
  assert.deepEqual([source.capacity, source.sectorSize], [12, 4096])
  assert.deepEqual(all(source), [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2])
  assert.throws(() => source.extentAt(12, 1), RangeError)
})

test('units of compression keep their place', () => {
  const packed: BlockSource = {
    capacity: 100,
    sectorSize: 512,
    grain: 10,
    read: () => undefined,
    [Symbol.dispose]: () => undefined,
    extentAt: (offset, limit) => ({
      kind: 'packed',
      offset,
      length: Math.min(limit, 100 - offset),
      store: undefined as never,
      position: 0,
      storedLength: 1,
      codec: undefined as never,
      unitOffset: 0,
      unitLength: 100,
    }),
  }
  const extent = new ConcatenatedSource([new ZeroSource(10), packed], 512).extentAt(30, 1000)
  assert.deepEqual(
    [extent.kind, extent.offset, extent.length, extent.kind === 'packed' && extent.unitOffset],
    ['packed', 30, 80, 10],
  )
})

test('changes lie over the disk, the later over the earlier, and its capacity may be another', () => {
  const disk = new BytesSource(bytes(8, 9), 'disk')
  const patches = [
    { position: 2, bytes: bytes(4, 1) },
    { position: 4, bytes: bytes(1, 2) },
    { position: 10, bytes: bytes(2, 3) },
  ]
  assert.deepEqual(
    all(patchedSource(disk, patches, { capacity: 13, sectorSize: 512 })),
    [9, 9, 1, 1, 2, 1, 9, 9, 0, 0, 3, 3, 0],
  )
  assert.deepEqual(all(patchedSource(disk, [], { capacity: 3, sectorSize: 512 })), [9, 9, 9])
})
