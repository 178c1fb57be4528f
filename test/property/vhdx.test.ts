import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OverlaySource } from '../../src/block/overlay.js'
import type { BlockSource } from '../../src/block/types.js'
import { mib } from '../support/vhdx-bytes.js'
import { assertTiles, open, readAll } from '../support/vhdx-open.js'
import { expected, make, parentShape, shapeOf } from '../support/vhdx-make.js'
import type { Run } from '../support/vhdx-make.js'

/** Runs that ascend, in units of `grain`, some of them zeros; the last may end at the disk's odd end. */
function runsOf(capacity: number, grain: number): fc.Arbitrary<Run[]> {
  const units = Math.ceil(capacity / grain)
  const cut = fc.record({ at: fc.nat(units), fill: fc.integer({ min: -3, max: 255 }) })
  return fc.array(cut, { maxLength: 14 }).map((cuts) => {
    const sorted = [...cuts].sort((left, right) => left.at - right.at)
    return sorted.flatMap(({ at, fill }, index): Run[] => {
      const offset = at * grain
      const length = Math.min(capacity, (sorted[index + 1]?.at ?? units) * grain) - offset
      if (length <= 0 || fill < -1) return []
      return [fill < 0 ? { offset, length } : { offset, length, bytes: Buffer.alloc(length, fill) }]
    })
  })
}

const disks = fc
  .record({
    sectors: fc.integer({ min: 1, max: 6 * 2048 }),
    sectorSize: fc.constantFrom<512 | 4096>(512, 4096),
    blockSize: fc.constantFrom(mib, 2 * mib, 4 * mib),
  })
  .map(({ sectors, sectorSize, blockSize }) => ({
    capacity: Math.ceil((sectors * 512) / sectorSize) * sectorSize,
    sectorSize,
    blockSize,
  }))

function same(disk: BlockSource, wanted: Buffer): void {
  assertTiles(disk)
  assert.equal(Buffer.compare(readAll(disk), wanted), 0)
}

test('what is written is read back: fixed and dynamic', () => {
  fc.assert(
    fc.property(
      disks.chain((disk) =>
        fc.record({ disk: fc.constant(disk), runs: runsOf(disk.capacity, 65536), fixed: fc.boolean() }),
      ),
      ({ disk: { capacity, sectorSize, blockSize }, runs, fixed }) => {
        const store = make(
          shapeOf(capacity, { sectorSize }),
          { 'block-size': blockSize, subformat: fixed ? 'fixed' : 'dynamic' },
          runs,
        )
        assert.equal(store.size % mib, 0)
        same(open(store), expected(undefined, capacity, runs))
      },
    ),
    { numRuns: 40 },
  )
})

test('a chain of three is read back', () => {
  fc.assert(
    fc.property(
      disks.chain((disk) =>
        fc.record({
          disk: fc.constant(disk),
          base: runsOf(disk.capacity, 65536),
          middle: runsOf(disk.capacity, disk.sectorSize),
          top: runsOf(disk.capacity, disk.sectorSize),
          blocks: fc.tuple(fc.constantFrom(mib, 2 * mib), fc.constantFrom(mib, 4 * mib)),
        }),
      ),
      ({ disk: { capacity, sectorSize, blockSize }, base, middle, top, blocks }) => {
        const bottom = open(make(shapeOf(capacity, { sectorSize }), { 'block-size': blockSize }, base))
        const second = open(
          make(shapeOf(capacity, { sectorSize, parent: parentShape(bottom) }), { 'block-size': blocks[0] }, middle),
        )
        second.parentReference?.verify(bottom)
        const wanted = expected(bottom, capacity, middle)
        const two = new OverlaySource(second, bottom)
        same(two, wanted)
        const third = open(
          make(shapeOf(capacity, { sectorSize, parent: parentShape(second) }), { 'block-size': blocks[1] }, top),
        )
        same(new OverlaySource(third, two), expected(two, capacity, top))
      },
    ),
    { numRuns: 30 },
  )
})
