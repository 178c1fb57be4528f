import type { DiskPlatform } from '../../device/types.js'
import type { Progress } from '../../engine/index.js'
import { printable, usage } from '../../errors.js'
import type { OptionValues } from '../../formats/driver.js'
import type { Registry } from '../../formats/registry.js'
import type { UsedOnlyOptions } from '../transfer/used-only.js'
import type { SnapshotChoice } from './snapshot-choice.js'
import { noBitmaps } from './virtual-disk.js'

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
  /** Freezes the mounted filesystems of the source while it is read. */
  readonly freeze?: boolean
  /** Reads a snapshot of the source, which is made before and removed afterwards. */
  readonly snapshot?: SnapshotChoice
  /** An image of the same disk, made earlier: the new one is its child, and stores what has changed since. */
  readonly since?: string
  /**
   * A dirty bitmap of the source, the disk of a virtual machine, that was begun before `since` was made: only what it
   * lists is read.
   */
  readonly changed?: string
  /** Goes on although nothing shows that the bitmap is older than `since`. */
  readonly allowUnprovenBitmap?: boolean
  /** Takes another disk than the one that `since` is the image of. */
  readonly allowOtherDisk?: boolean
  /** Bytes that must be free where the image is to lie; `most`: all that it may take. Default: a warning at most. */
  readonly leastFree?: number | 'most'
  /** Lets the image lie on the disk that it is made of. */
  readonly allowSameDisk?: boolean
  /** Replaces an image although something else has it, where that can be overridden. */
  readonly allowInUse?: boolean
  /** Replaces an image although other images have it as their parent. */
  readonly allowOtherChildren?: boolean
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

/** What is read and made, as far as options depend on it. */
interface Kinds {
  /** As given. */
  readonly source: string
  /** Whether the source is the disk of a virtual machine. */
  readonly isVirtual: boolean
  /** Whether the image is to be in a compressed file. */
  readonly isCompressed: boolean
}

/**
 * Refuses options that do not go together, or not with the kind of source or target.
 * @throws ImageError usage E_RESUME, E_STREAM, E_NO_BITMAP, E_NOT_A_DEVICE
 */
export function refuseCombinations(options: ImageDiskOptions, kinds: Kinds): void {
  const { since, changed, usedOnly, parts, snapshot, freeze } = options
  const { source, isVirtual, isCompressed } = kinds
  if (options.resume === true) refuseResume(options, kinds)
  if (isCompressed && since !== undefined)
    throw usage('E_STREAM', 'an image in a compressed file cannot have a parent', {
      hint: 'Give a name that is not one of a compressed file, or leave out --since.',
    })
  if (isVirtual && (snapshot !== undefined || freeze === true))
    throw usage('E_NOT_A_DEVICE', `${printable(source)} is no disk of this computer: nothing of it is frozen`, {
      hint: 'Leave out --snapshot and --freeze; the program that runs the virtual machine makes its snapshots.',
    })
  if (changed === undefined) return
  if (!isVirtual) throw noBitmaps(printable(source))
  if (since === undefined || usedOnly !== undefined || parts !== undefined)
    throw usage('E_NO_BITMAP', 'a bitmap says what has changed of all of the disk since an earlier image of it', {
      hint: 'Name the earlier image by --since, and leave out --used-only and --parts.',
    })
}

function refuseResume({ since, snapshot }: ImageDiskOptions, { isVirtual, isCompressed }: Kinds): void {
  if (since !== undefined)
    throw usage('E_RESUME', '--since and --resume do not go together', {
      hint: 'Leave out --resume: a child holds little, and is made anew.',
    })
  if (snapshot !== undefined)
    throw usage('E_RESUME', '--snapshot and --resume do not go together', {
      hint: 'Leave out one of them: the next snapshot would show the source at another moment.',
    })
  if (isCompressed)
    throw usage('E_RESUME', 'an image in a compressed file cannot be resumed', {
      hint: 'Give a name that is not one of a compressed file (a QCOW2 may be compressed itself: --compress).',
    })
  if (isVirtual)
    throw usage('E_RESUME', 'an image of the disk of a virtual machine cannot be resumed', {
      hint: 'Leave out --resume; vdisk convert SOURCE TARGET --resume can be resumed.',
    })
}
