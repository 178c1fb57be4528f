import { ForwardMiss } from '../../codec/stream/forward-miss.js'
import { firstError } from '../../errors.js'
import type { ReadingForward } from '../../formats/member-file.js'

/**
 * Carries out what reads images once, from their start to their end: compressed raw disks are then decoded while they
 * are read. Where the end of one shows that it had to be read in another way (its size was not what it seemed, or it
 * is no raw disk), everything is done once more.
 */
export async function readingForward<T>(
  run: (forward: ReadingForward) => Promise<T>,
  { surveyed = false, keep }: Partial<Pick<ReadingForward, 'surveyed' | 'keep'>> = {},
): Promise<T> {
  const sizes = new Map<string, number>()
  for (;;) {
    try {
      return await run({ surveyed, sizes, keep })
    } catch (thrown) {
      const error = firstError(thrown)
      if (!(error instanceof ForwardMiss)) throw thrown
      if (error.size === undefined || sizes.has(error.file)) return await run({ surveyed, sizes, unpacked: true })
      sizes.set(error.file, error.size)
    }
  }
}
