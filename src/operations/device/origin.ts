import type { Note } from '../../block/types.js'
import { isImageError } from '../../errors.js'
import type { DeviceTarget } from './argument.js'
import { readImageRecord, type RecordedSource } from '../imaging/record.js'
import { differencesFrom } from '../imaging/source-identity.js'

/** Whether a target is the disk that an image was made of, as the record beside the image has it. */
export interface TargetOrigin {
  /** `unknown`: neither of the two has a serial number or world-wide name to be known by. */
  readonly verdict: 'same' | 'other' | 'unknown'
  /** The disk or partition that the image was made of, and when that was done (ISO 8601, UTC). */
  readonly source: RecordedSource
  readonly ended: string
  /** For people: `this is the disk the image was made of …`. */
  readonly message: string
  /** What tells the two apart, or what has become of the same disk since, a sentence each. */
  readonly differences: readonly string[]
}

/** What the record of an image says of a target; undefined when there is none. A record that cannot be read is told. */
export function originOf(imagePath: string, target: DeviceTarget, notes: Note[]): TargetOrigin | undefined {
  try {
    const record = readImageRecord(imagePath)
    if (record === undefined) return undefined
    const now = target.recorded
    const { source, ended } = record
    const [verdict, differences] = [verdictOf(source, now), differencesFrom(source, now)]
    return {
      verdict,
      message: messageOf(
        verdict,
        `${source.kind} the image was made of (${source.path}, ${ended.slice(0, 10)})`,
        differences,
      ),
      source,
      ended,
      differences,
    }
  } catch (error) {
    // It only tells where the image came from.
    if (!isImageError(error)) throw error
    notes.push({ code: 'W_RECORD', message: `which disk the image was made of is not known: ${error.message}` })
    return undefined
  }
}

function messageOf(verdict: TargetOrigin['verdict'], what: string, differences: readonly string[]): string {
  const why = differences.length === 0 ? '' : `: ${differences.join('; ')}`
  if (verdict === 'same') return `this is the ${what}${why}`
  return verdict === 'other' ? `this is not the ${what}${why}` : `whether this is the ${what} cannot be told${why}`
}

function verdictOf(then: RecordedSource, now: RecordedSource): TargetOrigin['verdict'] {
  for (const [before, after] of [
    [then.serial, now.serial],
    [then.wwn, now.wwn],
  ] as const) {
    if (before !== undefined && after !== undefined)
      return before === after && then.size === now.size ? 'same' : 'other'
  }
  return then.size === now.size && (then.model === now.model || then.model === undefined || now.model === undefined)
    ? 'unknown'
    : 'other'
}
