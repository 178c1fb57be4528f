import { ignoreChecksums, type OptionSpec, type OptionValues } from './option-specs.js'
import { checkOptions, optionsAmong } from './options.js'
import type { Wrapping } from './unwrap.js'

type Outside = readonly Pick<Wrapping, 'verify'>[]

/** Options for reading a disk that was taken out of something that has digests of it. */
export function digestOptions(wrappings: Outside): readonly OptionSpec[] {
  return wrappings.some(({ verify }) => verify !== undefined) ? [ignoreChecksums] : []
}

/** Whether digests that are wrong are only warned of. @throws ImageError usage E_OPTION_VALUE. */
export function ignoresDigests(wrappings: Outside, given: OptionValues = {}): boolean {
  const specs = digestOptions(wrappings)
  return checkOptions(specs, optionsAmong(specs, given), 'reading an appliance')[ignoreChecksums.name] === true
}
