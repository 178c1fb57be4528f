import type { Note } from '../block/types.js'
import type { DiskImage } from './driver.js'
import { ignoreChecksums, type OptionSpec, type OptionValues } from './option-specs.js'
import { checkOptions, optionsAmong } from './options.js'
import type { Wrapping } from './wrapping.js'

/** What a disk was taken out of. */
type Wrappings = readonly Pick<Wrapping, 'verify' | 'capacity'>[]

/** An appliance may record another size than its disk has, which then counts. */
export function capacityNotes(wrappings: Wrappings, { capacity }: DiskImage, name: string): Note[] {
  const recorded = wrappings.find((wrapping) => wrapping.capacity !== undefined)?.capacity
  if (recorded === undefined || recorded === capacity) return []
  return [
    {
      code: 'W_OVF_CAPACITY',
      message: `${name}: the disk has ${capacity} bytes; the description of the machine says ${recorded}`,
    },
  ]
}

/** Options for reading a disk that was taken out of something that has digests of it. */
export function digestOptions(wrappings: Wrappings): readonly OptionSpec[] {
  return wrappings.some(({ verify }) => verify !== undefined) ? [ignoreChecksums] : []
}

/** Whether digests that are wrong are only warned of. @throws ImageError usage E_OPTION_VALUE. */
export function ignoresDigests(wrappings: Wrappings, given: OptionValues = {}): boolean {
  const specs = digestOptions(wrappings)
  return checkOptions(specs, optionsAmong(specs, given), 'reading an appliance')[ignoreChecksums.name] === true
}
