import { isImageError, printable, usage } from '../errors.js'
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

const truths: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ...([true, 'true', 'on', 'yes'] as const).map((word) => [word, true] as const),
  ...([false, 'false', 'off', 'no'] as const).map((word) => [word, false] as const),
])

type OptionValue = string | number | boolean

/** What each type of option makes of a value; undefined where it is none of its. @throws ImageError usage E_SIZE */
const readers: Readonly<Record<OptionSpec['type'], (value: OptionValue, spec: OptionSpec) => OptionValue | undefined>> =
  {
    size: (value) => {
      if (typeof value === 'string') return parseSize(value)
      return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
    },
    integer: (value) => {
      const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value
      return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined
    },
    boolean: (value) => truths.get(value),
    choice: (value, { choices }) =>
      typeof value === 'string' && choices?.includes(value) === true ? value : undefined,
    string: String,
  }

function expected({ type, choices }: OptionSpec): string {
  switch (type) {
    case 'size':
      return 'a size'
    case 'integer':
      return 'a whole number'
    case 'boolean':
      return 'true or false'
    default:
      return `one of ${choices?.join(', ') ?? 'none'}`
  }
}

function optionValue(spec: OptionSpec, value: OptionValue, whose: string): OptionValue {
  const details = { option: spec.name }
  const wrong = `${whose}: the option ${spec.name} is ${expected(spec)}, not ${printable(String(value))}`
  let read: OptionValue | undefined
  try {
    read = readers[spec.type](value, spec)
  } catch (error) {
    if (!isImageError(error)) throw error
    throw usage('E_SIZE', wrong, { hint: error.hint, details, cause: error })
  }
  if (read !== undefined) return read
  throw usage('E_OPTION_VALUE', wrong, { details })
}
