import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MaskedSource } from '../../../src/block/masked.js'
import { RunMap } from '../../../src/block/run-map.js'
import { MemoryStore } from '../../../src/block/memory-store.js'
import type { BlockSource } from '../../../src/block/types.js'
import { openStore } from '../../../src/formats/open.js'

function disk(bytes: Uint8Array): BlockSource {
  return openStore(new MemoryStore(bytes), undefined, { from: 'raw' })
}

test('outside of its runs a masked disk reads as zero, whatever is asked for in whatever order', () => {
  const capacity = 4096
  const bytes = Uint8Array.from({ length: capacity }, (_, index) => 1 + (index % 255))
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 1, max: 300 })), { maxLength: 20 }),
      fc.array(fc.tuple(fc.nat(capacity - 1), fc.integer({ min: 1, max: 1000 })), { minLength: 1, maxLength: 10 }),
      (gaps, reads) => {
        const runs = new RunMap()
        const expected = new Uint8Array(capacity)
        let at = 0
        for (const [gap, length] of gaps) {
          const start = at + gap
          const end = Math.min(capacity, start + length)
          if (end <= start) break
          runs.add(start, end - start)
          expected.set(bytes.subarray(start, end), start)
          at = end
        }
        const masked = new MaskedSource(disk(bytes), runs)
        for (const [offset, length] of reads) {
          const target = new Uint8Array(Math.min(length, capacity - offset)).fill(77)
          masked.read(offset, target)
          assert.deepEqual(target, expected.subarray(offset, offset + target.length))
        }
        for (let offset = 0; offset < capacity;) {
          const extent = masked.extentAt(offset, capacity)
          assert.ok(extent.length > 0 && extent.offset === offset && offset + extent.length <= capacity)
          assert.equal(extent.kind === 'zero', expected[offset] === 0)
          offset += extent.length
        }
        assert.equal(runs.total, expected.filter((byte) => byte !== 0).length)
      },
    ),
    { numRuns: 150 },
  )
})

test('too many runs fill their smallest gaps, and nothing that was in a run is lost', () => {
  const runs = new RunMap(100)
  const starts: number[] = []
  for (let index = 0; index < 1000; index++) {
    const start = index * 40_000 + (index % 10 === 0 ? 0 : 20_000)
    starts.push(start)
    runs.add(start, 512)
  }
  assert.ok(runs.filledGaps >= 65536)
  for (const start of starts) {
    assert.ok(runs.at(start).inRun)
    assert.ok(runs.at(start + 511).inRun)
  }
  assert.deepEqual(runs.at(1000 * 40_000), { inRun: false, end: Infinity })
})

test('runs that do not ascend are a mistake of the caller', () => {
  const runs = new RunMap()
  runs.add(100, 50)
  runs.add(150, 10)
  assert.deepEqual(runs.at(155), { inRun: true, end: 160 })
  assert.deepEqual(runs.at(20), { inRun: false, end: 100 })
  assert.throws(() => runs.add(159, 1), RangeError)
})
