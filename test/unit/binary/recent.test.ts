import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Recent } from '../../../src/binary/recent.js'

test('values are made once while they are kept, and the one unused longest is dropped', () => {
  const made: number[] = []
  const recent = new Recent(2, (key) => {
    made.push(key)
    return key * 10
  })
  assert.deepEqual(
    [1, 2, 1, 1, 3, 1, 2].map((key) => recent.get(key)),
    [10, 20, 10, 10, 30, 10, 20],
  )
  // 2 was unused longest when 3 came, and 3 when 2 came again.
  assert.deepEqual(made, [1, 2, 3, 2])
})

test('what is forgotten, or set from outside, is not what was kept', () => {
  let times = 0
  const recent = new Recent(4, (key) => key + ++times)
  assert.equal(recent.get(10), 11)
  recent.forget(10)
  assert.equal(recent.get(10), 12)
  recent.set(10, 5)
  assert.equal(recent.get(10), 5)
  recent.clear()
  assert.equal(recent.get(10), 13)
})

test('nothing is kept of a value that could not be made', () => {
  let fails = true
  const recent = new Recent(2, (key) => {
    if (fails) throw new Error('not now')
    return key
  })
  assert.throws(() => recent.get(1), /not now/)
  fails = false
  assert.equal(recent.get(1), 1)
})
