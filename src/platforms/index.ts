import { printable, usage } from '../errors.js'
import { clouds } from './clouds.js'
import { hypervisors } from './hypervisors.js'
import { otherPlatforms } from './others.js'
import type { Platform } from './types.js'

export type {
  RuleCertainty,
  DriverSet,
  OtherController,
  Platform,
  PlatformFormat,
  PlatformLimit,
  PlatformRule,
  WindowsNeeds,
} from './types.js'

/** Whether a platform is one of Azure's, which needs more of a guest than others. */
export function isAzure({ id }: Platform): boolean {
  return id.startsWith('azure')
}

/** Every platform, in the order in which they are listed. */
export const platforms: readonly Platform[] = [...clouds, ...hypervisors, ...otherPlatforms]

/**
 * The platform of an id, as --for takes it.
 * @throws ImageError usage E_UNKNOWN_PLATFORM naming those that are close.
 */
export function namedPlatform(id: string): Platform {
  const found = platforms.find((platform) => platform.id === id)
  if (found !== undefined) return found
  const word = id.toLowerCase().slice(0, 4)
  const close = platforms.filter((platform) => word.length > 1 && platform.id.startsWith(word))
  throw usage('E_UNKNOWN_PLATFORM', `no platform is called ${printable(id)}`, {
    hint:
      close.length > 0
        ? `Did you mean ${close.map((platform) => platform.id).join(' or ')}? \`vdisk platforms\` lists all.`
        : `The platforms are ${platforms.map((platform) => platform.id).join(', ')}.`,
    details: { id },
  })
}
