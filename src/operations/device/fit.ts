import type { BlockSource } from '../../block/types.js'
import { isImageError } from '../../errors.js'
import { identifyFilesystems } from '../../filesystem/index.js'
import { planMendFor, readPartitionTable } from '../../partition/index.js'

/** Whether what is used of a disk ends before a smaller capacity does. */
export type Fitting =
  | { readonly fits: true }
  | {
      readonly fits: false
      readonly why: string
      /** What to do about it, where shrinking partitions does not help. */
      readonly hint?: string
    }

/** What helps where partitions are too large. */
export const shrinkFirst =
  'Shrink the last partition and its filesystem first, or take a larger target. No flag overrides this.'

/**
 * Looks whether a disk can be cut to a capacity without touching its partitions, or the filesystem that takes all of
 * it.
 */
export function judgeFit(source: BlockSource, capacity: number): Fitting {
  const table = readPartitionTable(source)
  const { scheme, partitions } = table
  // The partition of a hybrid CD is the CD, from the sector of the table on: neither can be shrunk or moved.
  const hint = partitions.some(({ start }) => start === 0)
    ? 'A partition begins with the first sector, as on a hybrid CD: such an image cannot be shrunk. Take a target of ' +
      `at least ${source.capacity} bytes. No flag overrides this.`
    : undefined
  const no = (why: string): Fitting => ({ fits: false, why, hint })
  const member = identifyFilesystems(source).find(
    ({ kind, marks = [] }) => kind === 'container' && marks.some(({ offset, length }) => offset + length > capacity),
  )
  if (member !== undefined)
    return {
      fits: false,
      why: `it is a member of ${member.title}, whose mark lies at its end`,
      hint: `Take a target of ${source.capacity} bytes. No flag overrides this.`,
    }
  if (scheme === 'none') {
    const found = identifyFilesystems(source)
    const [filesystem] = found
    if (filesystem?.size === undefined || found.length > 1)
      return no('it has no partition table, and where its content ends is not known')
    return filesystem.size <= capacity ? { fits: true } : no(`its ${filesystem.title} has ${filesystem.size} bytes`)
  }
  if (scheme !== 'gpt' && scheme !== 'mbr')
    return no(`where the content ends is not known of a disk with a table of the kind ${scheme.toUpperCase()}`)
  const past = partitions.find(({ start, length }) => start + length > capacity)
  if (past !== undefined) return no(`partition ${past.number} ends at byte ${past.start + past.length}`)
  if (scheme === 'mbr') return { fits: true }
  try {
    planMendFor(source, capacity)
    return { fits: true }
  } catch (error) {
    if (!isImageError(error)) throw error
    return no(error.message)
  }
}
