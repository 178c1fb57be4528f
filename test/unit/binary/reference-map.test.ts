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
  const map = new ReferenceMap(3 * 131_072)
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
