import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstSegmentName, segmentName } from '../../../src/formats/ewf/segment-names.js'

test('the names of segments, as libewf describes them', () => {
  const names = (first: string, ...numbers: readonly number[]): (string | undefined)[] =>
    numbers.map((number) => segmentName(first, number))
  const zzz = 99 + 22 * 676
  assert.deepEqual(names('x.E01', 2, 99, 100, 101, 126, 775, 776, zzz, zzz + 1), [
    'x.E02',
    'x.E99',
    'x.EAA',
    'x.EAB',
    'x.EBA',
    'x.EZZ',
    'x.FAA',
    'x.ZZZ',
    undefined,
  ])
  assert.deepEqual(names('a.b.e01', 2, 100, 776), ['a.b.e02', 'a.b.eaa', 'a.b.faa'])
  assert.deepEqual(names('x.s01', 2, 100), ['x.s02', 'x.saa'])
  assert.deepEqual(names('x.Ex01', 2, 99, 100, 775, 776, 1452, 2128), [
    'x.Ex02',
    'x.Ex99',
    'x.ExAA',
    'x.ExZZ',
    'x.EyAA',
    'x.EzAA',
    undefined,
  ])
  assert.deepEqual(names('x.img', 2), [undefined])
  assert.deepEqual(['x.E02', 'x.EAB', 'x.FZZ', 'x.s44', 'x.Ex03', 'x.EzAA', 'x.image'].map(firstSegmentName), [
    'x.E01',
    'x.E01',
    'x.E01',
    'x.s01',
    'x.Ex01',
    'x.Ex01',
    undefined,
  ])
})
