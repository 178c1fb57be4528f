import assert from 'node:assert/strict'
import { test } from 'node:test'
import { barLegend, diskBar, type BarPart } from '../../../src/cli/view/disk-bar.js'

const line = (parts: readonly BarPart[], width: number) =>
  diskBar(parts, width)
    ?.map(({ text }) => text)
    .join('')

test('a disk is drawn to scale, names where there is room, and how much is used', () => {
  assert.equal(
    line(
      [{ number: 1, name: 'EFI', length: 25 }, { number: 2, name: 'root', length: 50, used: 0.5 }, { length: 25 }],
      40,
    ),
    '[1 EFI ==][2 root ######-----]..........',
  )
  assert.equal(line([{ number: 1, name: '[x]=#', length: 1, used: 0 }], 12), '[1 x ------]')
  // What is not empty is not drawn as empty.
  assert.equal(line([{ number: 1, length: 1, used: 0.0001 }], 12), '[1#--------]')
})

test('small parts are still seen, the line keeps its width, and too many parts are not drawn', () => {
  assert.equal(
    line([{ number: 1, length: 1 }, { length: 1 }, { number: 2, length: 1e12 }], 30),
    '[1].[2=======================]',
  )
  for (const width of [20, 33, 76, 120]) {
    for (const lengths of [
      [1, 2, 3],
      [1e9, 1, 1, 1],
      [7, 7, 7, 7],
    ]) {
      assert.equal(
        line(
          lengths.map((length, index) => ({ number: index + 1, name: 'name', length })),
          width,
        )?.length,
        width,
      )
    }
  }
  assert.equal(
    line(
      Array.from({ length: 30 }, (_, index) => ({ number: index + 1, length: 1 })),
      76,
    ),
    undefined,
  )
})

test('the legend names the marks that were drawn, and no letters of names', () => {
  const segments = diskBar([{ number: 1, name: 'a-b', length: 10, used: 1 }, { length: 5 }], 40)!
  assert.equal(barLegend(segments), '# used   . no partition')
})
