import type { BlockSource } from '../block/types.js'
import { bitlocker } from './bitlocker.js'
import { exfat } from './exfat/index.js'
import { fat } from './fat/index.js'
import { ntfs } from './ntfs/index.js'
import { refs } from './refs.js'
import type { Filesystem, FilesystemFamily } from './types.js'

/** Containers before what may be left of an older filesystem, and FAT last, whose marks are the weakest (the sheet's section 14). */
export const families: readonly FilesystemFamily[] = [bitlocker, ntfs, exfat, refs, fat]

/** All that a volume may be; more than one is ambiguous. Never throws for what it reads. */
export function identifyFilesystems(volume: BlockSource): readonly Filesystem[] {
  return families.flatMap((family) => family.identify(volume))
}
