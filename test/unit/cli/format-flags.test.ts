import assert from 'node:assert/strict'
import test from 'node:test'
import { copyFlags, formatFlags, formatValues } from '../../../src/cli/format-flags.js'
import { isImageError } from '../../../src/errors.js'
import { builtinDrivers } from '../../../src/formats/registry.js'

test('every option of a format that asks for a flag has one, and its value is that option', () => {
  const names = builtinDrivers.flatMap(({ options }) => options.flatMap(({ name, flag }) => (flag ? [name] : [])))
  assert.ok(names.includes('block-size') && names.includes('compress'))
  for (const name of names) {
    assert.ok(name in formatFlags || name in copyFlags, name)
    const flags = { to: 'x', option: ['other=1'], 'sector-size': undefined, [name]: 'value' }
    assert.deepEqual(formatValues(flags).options, { [name]: 'value', other: '1' })
  }
})

test('an option given by its flag and by -o is refused', () => {
  const flags = { to: undefined, option: ['block-size=1M'], 'sector-size': undefined, 'block-size': '2M' }
  assert.throws(
    () => formatValues(flags),
    (error) => isImageError(error) && error.code === 'E_OPTION',
  )
})
