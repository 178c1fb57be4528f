import type { ErrorKind } from '../../errors.js'
import type { Advice } from './advice.js'
import { corruptAdvice } from './corrupt.js'
import { abortedAdvice, internalAdvice, mismatchAdvice, referenceAdvice, targetAdvice } from './others.js'
import { refusedAdvice } from './refused.js'
import { unsupportedAdvice } from './unsupported.js'
import { usageAdvice } from './usage.js'

/** The advice for every code, under its kind. */
const allAdvice = {
  negative: {},
  partial: {},
  usage: usageAdvice,
  refused: refusedAdvice,
  corrupt: corruptAdvice,
  unsupported: unsupportedAdvice,
  reference: referenceAdvice,
  target: targetAdvice,
  mismatch: mismatchAdvice,
  internal: internalAdvice,
  aborted: abortedAdvice,
} as const satisfies Readonly<Record<ErrorKind, Readonly<Record<string, Advice>>>>

/** Why an error of a code ends the command, and what can be done; undefined for codes of plug-ins. */
export function errorAdvice(kind: ErrorKind, code: string): Advice | undefined {
  const ofKind: Readonly<Record<string, Advice | undefined>> = allAdvice[kind]
  return Object.hasOwn(ofKind, code) ? ofKind[code] : undefined
}
