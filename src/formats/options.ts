import { printable, usage } from '../errors.js'
import type { OptionSpec, OptionValues } from './driver.js'

const factors: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, P: 2 ** 50 }

/**
 * A size as people type it, in bytes: `65536`, `64K`, `1.5G`, `2TiB`. Letters stand for powers of 1024.
 * @throws ImageError usage E_SIZE when it is no size, no whole number of bytes, or more than 2^53−1.
 */
export function parseSize(text: string): number {
  const match = /^(\d{1,16}(?:\.\d{1,9})?)\s*([KMGTP]?)(?:I?B)?$/i.exec(text.trim())
  const [, digits, letter] = match ?? []
  const size = digits === undefined ? NaN : Number(digits) * (factors[(letter ?? '').toUpperCase()] ?? NaN)
  if (!Number.isSafeInteger(size)) {
    throw usage('E_SIZE', `${printable(text)} is no size in whole bytes`, {
      hint: 'Write a number of bytes, or one with K, M, G or T (powers of 1024): 65536, 64K, 1.5G.',
    })
  }
  return size
}

/**
 * What was given, checked against what a format takes: texts become values of the option's type. Defaults are not
 * filled in.
 * @param whose for messages: `the format raw`.
 * @throws ImageError usage E_UNKNOWN_OPTION naming the options there are; E_OPTION_VALUE; E_SIZE.
 */
export function checkOptions(specs: readonly OptionSpec[], given: OptionValues, whose: string): OptionValues {
  const values: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    const spec = specs.find((candidate) => candidate.name === name)
    if (spec === undefined) {
      const names = specs.map((candidate) => candidate.name)
      throw usage('E_UNKNOWN_OPTION', `${whose} has no option ${printable(name)}`, {
        hint: names.length === 0 ? 'It has no options.' : `It has ${names.join(', ')}.`,
        details: { option: name },
      })
    }
    values[name] = optionValue(spec, value, whose)
  }
  return values
}

/** Those of the options given that a format has. */
export function optionsAmong(specs: readonly OptionSpec[], given: OptionValues): OptionValues {
  return Object.fromEntries(Object.entries(given).filter(([name]) => specs.some((spec) => spec.name === name)))
}

function optionValue(spec: OptionSpec, value: string | number | boolean, whose: string): string | number | boolean {
  const wrong = (expected: string): Error =>
    usage('E_OPTION_VALUE', `${whose}: the option ${spec.name} is ${expected}, not ${printable(String(value))}`, {
      details: { option: spec.name },
    })
  switch (spec.type) {
    case 'size':
      if (typeof value === 'string') return parseSize(value)
      if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw wrong('a size')
      return value
    case 'integer': {
      const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value
      if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw wrong('a whole number')
      return number
    }
    case 'boolean':
      if (value === true || value === 'true' || value === 'on' || value === 'yes') return true
      if (value === false || value === 'false' || value === 'off' || value === 'no') return false
      throw wrong('true or false')
    case 'choice':
      if (typeof value !== 'string' || spec.choices?.includes(value) !== true)
        throw wrong(`one of ${spec.choices?.join(', ') ?? 'none'}`)
      return value
    case 'string':
      return String(value)
  }
}
