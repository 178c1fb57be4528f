import { corrupt, type ImageError } from '../errors.js'

/**
 * What is wrong with the bytes of a filesystem.
 * @param title the filesystem's, for people. @param position byte of the volume where it was found.
 */
export function damaged(title: string, message: string, position?: number): ImageError {
  return corrupt(
    'E_FS_CORRUPT',
    `the ${title} filesystem is damaged: ` +
      `${message}${position === undefined ? '' : ` (byte ${position} of the volume)`}`,
    {
      details: position === undefined ? undefined : { position },
    },
  )
}
