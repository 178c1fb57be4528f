import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OverlaySource } from '../../src/block/overlay.js'
import { readAll } from '../support/content.js'
import { expected, makeMemory, open, parentShape, probe, shapeOf, tiled, type Run } from '../support/vhd-make.js'

/** Runs that ascend, in multiples of `grain` sectors; some leave gaps, some are zeros. */
function runsOf(sectors: number, grain: number): fc.Arbitrary<Run[]> {
  const units = Math.ceil(sectors / grain)
  return fc
    .array(fc.record({ at: fc.nat(units), fill: fc.integer({ min: -3, max: 255 }) }), { maxLength: 14 })
    .map((cuts) => {
      const sorted = [...cuts].sort((a, b) => a.at - b.at)
      return sorted.flatMap(({ at, fill }, index): Run[] => {
        const sector = at * grain
        const count = Math.min(sectors, (sorted[index + 1]?.at ?? units) * grain) - sector
        if (count <= 0 || fill < -1) return []
        return [fill < 0 ? { sector, count } : { sector, count, fill }]
      })
    })
}

const disks = fc.record({
  sectors: fc.integer({ min: 1, max: 6000 }),
  blockSize: fc.constantFrom(4096, 65536, 524288, 2097152),
  geometry: fc.constantFrom('max', 'spec'),
})

test('what is written is read back: fixed and dynamic', () => {
  fc.assert(
    fc.property(
      disks.chain((disk) =>
        fc.record({
          disk: fc.constant(disk),
          fixed: fc.boolean(),
          runs: runsOf(disk.sectors, Math.min(128, disk.blockSize / 512)),
          limit: fc.constantFrom(512, 70_000, Infinity),
        }),
      ),
      ({ disk: { sectors, blockSize, geometry }, fixed, runs, limit }) => {
        const store = makeMemory(
          shapeOf(sectors * 512),
          fixed ? { subformat: 'fixed', geometry } : { 'block-size': blockSize, geometry },
          runs,
        )
        const image = open(store)
        const wanted = expected(undefined, sectors * 512, runs)
        assert.equal(probe(store), 'certain')
        assert.deepEqual([image.capacity, image.notes], [sectors * 512, []])
        assert.equal(Buffer.compare(tiled(image, limit), wanted), 0)
        assert.equal(Buffer.compare(readAll(image), wanted), 0)
      },
    ),
    { numRuns: 80 },
  )
})

test('a chain of three is read back through overlays', () => {
  fc.assert(
    fc.property(
      disks.chain((disk) =>
        fc.record({
          disk: fc.constant(disk),
          fixed: fc.boolean(),
          base: runsOf(disk.sectors, 128),
          middle: runsOf(disk.sectors, 1),
          top: runsOf(disk.sectors, 1),
          blocks: fc.tuple(fc.constantFrom(4096, 524288), fc.constantFrom(65536, 2097152)),
        }),
      ),
      ({ disk: { sectors }, fixed, base, middle, top, blocks }) => {
        const capacity = sectors * 512
        const bottom = open(makeMemory(shapeOf(capacity, 1), { subformat: fixed ? 'fixed' : 'dynamic' }, base))
        const second = open(
          makeMemory(shapeOf(capacity, 2, { parent: parentShape(bottom) }), { 'block-size': blocks[0] }, middle),
        )
        second.parentReference!.verify(bottom)
        const third = open(
          makeMemory(shapeOf(capacity, 3, { parent: parentShape(second) }), { 'block-size': blocks[1] }, top),
        )
        third.parentReference!.verify(second)
        const wanted = expected(expected(expected(undefined, capacity, base), capacity, middle), capacity, top)
        const chain = new OverlaySource(third, new OverlaySource(second, bottom))
        assert.equal(Buffer.compare(tiled(chain), wanted), 0)
        assert.equal(Buffer.compare(readAll(chain), wanted), 0)
        // A child answers for exactly the sectors that were placed or zeroed in it.
        const own = new Set(
          top.flatMap(({ sector, count }) => Array.from({ length: count }, (_, index) => sector + index)),
        )
        for (let sector = 0; sector < sectors; sector += 7)
          assert.equal(third.extentAt(sector * 512, 512).kind === 'absent', !own.has(sector))
      },
    ),
    { numRuns: 40 },
  )
})
