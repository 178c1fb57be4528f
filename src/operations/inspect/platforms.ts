import { namedPlatform, platforms, type Platform } from '../../platforms/index.js'

/** The platforms that --for knows. @param id one alone. @throws ImageError usage E_UNKNOWN_PLATFORM. */
export function listPlatforms(id?: string): readonly Platform[] {
  return id === undefined ? platforms : [namedPlatform(id)]
}
