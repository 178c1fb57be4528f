import { corrupt, unsupported, type ImageError } from '../errors.js'

/** What is wrong with the bytes of a hive. @param position byte of the file where it was found. */
export function hiveDamaged(title: string, message: string, position?: number): ImageError {
  return corrupt(
    'E_HIVE_CORRUPT',
    `the registry hive ${title} is damaged: ${message}${position === undefined ? '' : ` (byte ${position})`}`,
    { details: position === undefined ? undefined : { position } },
  )
}

/** What a hive may hold, and is not read here. */
export function hiveUnsupported(title: string, message: string): ImageError {
  return unsupported('E_HIVE_FEATURE', `the registry hive ${title} cannot be read: ${message}`)
}
