import fc from 'fast-check'
import assert from 'node:assert/strict'
import test from 'node:test'
import { ReferenceMap } from '../../../src/binary/reference-map.js'

test('uses and kinds of units, small and large counts', () => {
  const map = new ReferenceMap(1e9)
  for (let times = 0; times < 300; times++) map.add(70_000, 2)
  map.add(70_000, 5, 2 ** 40)
  map.add(3, 7)
  assert.deepEqual([map.uses(70_000), map.kinds(70_000), map.isMixed(70_000)], [300 + 2 ** 40, [2, 5], true])
  assert.deepEqual([map.uses(3), map.kinds(3), map.isMixed(3)], [1, [7], false])
  assert.deepEqual([map.uses(2 ** 44), map.kinds(4), map.uses(4)], [0, [], 0])
  assert.deepEqual([map.next(0), map.next(65_536), map.next(131_072), map.limit], [0, 65_536, Infinity, Infinity])
})

test('beyond its memory it lets the highest units go, and says up to where it is complete', () => {
  const map = new ReferenceMap(3 * 65_536)
  for (const page of [9, 1, 5, 7, 0, 2 ** 30]) map.add(page * 65_536 + 3, 1)
  assert.equal(map.limit, 7 * 65_536)
  assert.deepEqual(
    [0, 1, 5, 7, 9].map((page) => map.uses(page * 65_536 + 3)),
    [1, 1, 1, 0, 0],
  )
  map.add(8 * 65_536, 1)
  assert.equal(map.uses(8 * 65_536), 0)
  map.begin(7 * 65_536)
  map.add(3, 1)
  map.add(8 * 65_536, 1)
  assert.deepEqual([map.uses(3), map.uses(8 * 65_536), map.start, map.limit], [0, 1, 7 * 65_536, Infinity])
  assert.throws(() => map.begin(5), RangeError)
})

test('runs of units count as the units do one by one, whatever was counted before', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          first: fc.oneof(
            fc.nat(40),
            fc.nat(40).map((unit) => unit + 65_520),
          ),
          length: fc.oneof(fc.nat(30), fc.constant(65_600)),
          kind: fc.nat(7),
          times: fc.constantFrom(1, 1, 1, 2, 300),
        }),
        { maxLength: 8 },
      ),
      (runs) => {
        const [whole, single] = [new ReferenceMap(1e9), new ReferenceMap(1e9)]
        for (const { first, length, kind, times } of runs) {
          whole.addRun(first, length, kind, times)
          for (let unit = first; unit < first + length; unit++) single.add(unit, kind, times)
        }
        for (const start of [0, 65_510, 131_060])
          for (let unit = start; unit < start + 130; unit++) {
            assert.equal(whole.uses(unit), single.uses(unit))
            assert.deepEqual(whole.kinds(unit), single.kinds(unit))
            assert.equal(whole.isMixed(unit), single.isMixed(unit))
          }
      },
    ),
    { numRuns: 60 },
  )
})

test('runs stay within what is counted in a round', () => {
  const map = new ReferenceMap(2 * 65_536)
  map.addRun(60_000, 200_000, 3)
  assert.equal(map.limit, 131_072)
  assert.deepEqual(
    [59_999, 60_000, 131_071, 131_072].map((unit) => map.uses(unit)),
    [0, 1, 1, 0],
  )
  map.begin(131_072)
  map.addRun(60_000, 200_000, 3)
  assert.deepEqual(
    [131_071, 131_072, 259_999, 260_000].map((unit) => map.uses(unit)),
    [0, 1, 1, 0],
  )
})
