import type { DiskPlatform } from '../../device/types.js'
import type { Progress } from '../../engine/index.js'
import { usage } from '../../errors.js'
import type { OptionValues } from '../../formats/driver.js'
import type { Registry } from '../../formats/registry.js'
import type { UsedOnlyOptions } from '../transfer/used-only.js'
import type { SnapshotChoice } from './snapshot-choice.js'

export interface ImageDiskOptions {
  readonly registry?: Registry
  /** Format of the image; by its extension when left out. */
  readonly to?: string
  readonly options?: OptionValues
  /** The id of a platform: format, options and size are what it takes. */
  readonly for?: string
  readonly sectorSize?: 512 | 4096
  /** Leaves out what the filesystems of the disk do not use. */
  readonly usedOnly?: Omit<UsedOnlyOptions, 'signal' | 'parts'>
  /** The partitions to keep, by number; the others read as zero. */
  readonly parts?: readonly number[]
  /** Holds the mounted filesystems of the source still while it is read. */
  readonly freeze?: boolean
  /** Reads a snapshot of the source, which is made before and removed afterwards. */
  readonly snapshot?: SnapshotChoice
  /** An image of the same disk, made earlier: the new one is its child, and stores what has changed since. */
  readonly since?: string
  /** Takes another disk than the one that `since` is the image of. */
  readonly allowOtherDisk?: boolean
  /** Bytes that must be free where the image is to lie; `most`: all that it may take. Default: a warning at most. */
  readonly leastFree?: number | 'most'
  /** Lets the image lie on the disk that it is made of. */
  readonly allowSameDisk?: boolean
  /** Replaces an image although something else has it, where that can be overridden. */
  readonly allowInUse?: boolean
  /** Reads the image back and compares its digest with what was read from the disk. */
  readonly verify?: boolean
  readonly force?: boolean
  readonly flush?: boolean
  /** Checks everything, and writes nothing. */
  readonly dryRun?: boolean
  readonly threads?: number
  readonly sparse?: number
  /** Most bytes of the disk that are read a second. */
  readonly rate?: number
  /** Keeps a journal beside the unfinished image, and goes on with what an earlier run left (docs/resuming.md). */
  readonly resume?: boolean
  readonly uuid?: string
  readonly time?: number
  /** Version of the program, for the record. */
  readonly toolVersion?: string
  readonly platform?: DiskPlatform
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/**
 * What does not go together. @param isCompressed whether the image is to be in a compressed file.
 * @throws ImageError usage E_RESUME, E_STREAM.
 */
export function refuseCombinations({ resume, since, snapshot }: ImageDiskOptions, isCompressed: boolean): void {
  if (resume === true && since !== undefined)
    throw usage('E_RESUME', '--since and --resume do not go together', {
      hint: 'Leave out --resume: a child holds little, and is made anew.',
    })
  if (resume === true && snapshot !== undefined)
    throw usage('E_RESUME', '--snapshot and --resume do not go together', {
      hint: 'Leave out one of them: the next snapshot would show the source at another moment.',
    })
  if (isCompressed && resume === true)
    throw usage('E_RESUME', 'an image in a compressed file cannot be gone on with', {
      hint: 'Give a name that is not one of a compressed file (a QCOW2 may be compressed itself: --compress).',
    })
  if (isCompressed && since !== undefined)
    throw usage('E_STREAM', 'an image in a compressed file cannot have a parent', {
      hint: 'Give a name that is not one of a compressed file, or leave out --since.',
    })
}
