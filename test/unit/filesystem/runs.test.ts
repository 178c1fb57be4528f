import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { gapsBetween, RunSet, unionRuns } from '../../../src/filesystem/run-union.js'
import type { UnitRun } from '../../../src/filesystem/unit-runs.js'

const size = 200
const anyRuns = fc.array(fc.tuple(fc.nat(size - 1), fc.integer({ min: 1, max: 20 })), { maxLength: 15 })

function units(runs: Iterable<UnitRun>): Set<number> {
  const found = new Set<number>()
  let end = -1
  for (const { first, count } of runs) {
    assert.ok(first > end && count > 0, 'ascending, and not touching')
    end = first + count
    for (let unit = first; unit < end; unit++) found.add(unit)
  }
  return found
}

function setOf(runs: readonly (readonly [number, number])[]): RunSet {
  const set = new RunSet()
  for (const [first, count] of runs) set.add(first, count)
  return set
}

test('a set, a union and its gaps hold exactly the units that were put in', () => {
  fc.assert(
    fc.property(fc.array(anyRuns, { maxLength: 5 }), (all) => {
      const expected = new Set<number>()
      for (const runs of all)
        for (const [first, count] of runs) for (let unit = first; unit < first + count; unit++) expected.add(unit)
      const joined = [...unionRuns(all.map(setOf))]
      assert.deepEqual(
        [...units(joined)].sort((one, other) => one - other),
        [...expected].sort((one, other) => one - other),
      )
      const gaps = units(gapsBetween(joined, 0, size))
      for (let unit = 0; unit < size; unit++) assert.equal(gaps.has(unit), !expected.has(unit))
    }),
  )
})
