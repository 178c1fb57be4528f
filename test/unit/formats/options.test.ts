import assert from 'node:assert/strict'
import test from 'node:test'
import { isImageError } from '../../../src/errors.js'
import type { OptionSpec } from '../../../src/formats/driver.js'
import { checkOptions, parseSize } from '../../../src/formats/options.js'

function code(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isImageError(error)) return `${error.kind} ${error.code}`
    throw error
  }
  return 'nothing thrown'
}

test('sizes as people type them', () => {
  const cases: [string, number][] = [
    ['0', 0],
    ['65536', 65536],
    ['64K', 65536],
    ['64k', 65536],
    ['64KiB', 65536],
    ['64KB', 65536],
    ['1.5G', 1610612736],
    ['2T', 2199023255552],
    ['1 M', 1048576],
    ['9007199254740991', 9007199254740991],
    ['0.5K', 512],
    ['4P', 4503599627370496],
  ]
  for (const [text, size] of cases) assert.equal(parseSize(text), size, text)
  for (const text of [
    '',
    'x',
    '-1',
    '1.5',
    '0.3K',
    '1e3',
    '9007199254740992',
    '9P',
    '1 2',
    '0x10',
    'K',
    '1KK',
    'NaN',
    'Infinity',
    '1'.repeat(400),
  ])
    assert.equal(
      code(() => parseSize(text)),
      'usage E_SIZE',
      text,
    )
})

test('options become values of their type, and what is wrong is named', () => {
  const specs: OptionSpec[] = [
    { name: 'block', type: 'size', summary: '' },
    { name: 'bits', type: 'integer', summary: '' },
    { name: 'lazy', type: 'boolean', summary: '' },
    { name: 'mode', type: 'choice', choices: ['a', 'b'], summary: '' },
    { name: 'name', type: 'string', summary: '' },
  ]
  assert.deepEqual(checkOptions(specs, { block: '1M', bits: '-3', lazy: 'on', mode: 'b', name: 'x' }, 'it'), {
    block: 1048576,
    bits: -3,
    lazy: true,
    mode: 'b',
    name: 'x',
  })
  assert.deepEqual(checkOptions(specs, { block: 4096, bits: 16, lazy: false, name: undefined }, 'it'), {
    block: 4096,
    bits: 16,
    lazy: false,
  })
  assert.equal(
    code(() => checkOptions(specs, { other: '1' }, 'it')),
    'usage E_UNKNOWN_OPTION',
  )
  assert.equal(
    code(() => checkOptions(specs, { toString: '1' }, 'it')),
    'usage E_UNKNOWN_OPTION',
  )
  for (const [name, value] of [
    ['block', true],
    ['block', -1],
    ['bits', '1.5'],
    ['bits', true],
    ['lazy', 'perhaps'],
    ['lazy', 1],
    ['mode', 'c'],
  ] as const) {
    assert.equal(
      code(() => checkOptions(specs, { [name]: value }, 'it')),
      'usage E_OPTION_VALUE',
      `${name}=${String(value)}`,
    )
  }
  assert.equal(
    code(() => checkOptions(specs, { block: 'x' }, 'it')),
    'usage E_SIZE',
  )
})
