import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cases, fuzzedFormats } from '../fuzz/cases.js'
import { wrapperOf } from '../fuzz/wrapped-seeds.js'

for (const format of fuzzedFormats) {
  test(`${format}: a short run of the fuzzer finds nothing`, () => {
    const cases = new Cases(format, 20261122)
    const failures = []
    // What lies around images is decoded whole in each case.
    const count = wrapperOf(format) === undefined ? 400 : 150
    for (let index = 0; index < count; index++) {
      const outcome = cases.run(index)
      if (typeof outcome !== 'string') failures.push(outcome)
    }
    assert.deepEqual(failures, [])
  })
}

test('the same seed and index give the same case', () => {
  const [first, second] = [new Cases('vhd', 7), new Cases('vhd', 7)]
  for (let index = 0; index < 40; index++) assert.deepEqual(first.run(index), second.run(index))
})
