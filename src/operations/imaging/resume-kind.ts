import { printable, usage } from '../../errors.js'
import fs from '../../sys/host-fs.js'
import { hasJournal } from '../resume/file-session.js'

/**
 * What resuming an image means: the ranges that could not be read, where the image is there; else the image that
 * is not finished, or a new one. @param given names of flags that say what a new image is to be.
 * @throws ImageError usage E_RESUME for those where the image is there.
 */
export function whatToResume(target: string, given: readonly string[]): 'bad-ranges' | 'image' {
  if (!fs.existsSync(target) || hasJournal(target)) return 'image'
  const [flag] = given
  if (flag === undefined) return 'bad-ranges'
  throw usage('E_RESUME', `${printable(target)} is complete, and --${flag} is for an image that is to be made`, {
    hint: `Leave out --${flag} to read the ranges again that could not be read, or name another image.`,
  })
}
