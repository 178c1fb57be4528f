import type { BlockSource } from '../block/types.js'
import { apfs } from './apfs.js'
import { bcachefs } from './bcachefs.js'
import { biosRaid } from './bios-raid.js'
import { bitlocker } from './bitlocker.js'
import { blockKinds } from './block-kinds.js'
import { btrfs } from './btrfs/index.js'
import { erofs } from './erofs/index.js'
import { exfat } from './exfat/index.js'
import { ext } from './ext/index.js'
import { f2fs } from './f2fs.js'
import { fat } from './fat/index.js'
import { hfs } from './hfs/index.js'
import { linuxKinds } from './linux-kinds.js'
import { luks } from './luks.js'
import { lvm2 } from './lvm2/index.js'
import { mdraid } from './mdraid/index.js'
import { ntfs } from './ntfs/index.js'
import { refs } from './refs.js'
import { squashfs } from './squashfs/index.js'
import { resizedSwap, swap } from './swap.js'
import type { Filesystem, FilesystemFamily } from './types.js'
import { opticalDiscs } from './udf/index.js'
import { unixKinds } from './unix-kinds.js'
import { vmfs } from './vmfs.js'
import { xfs } from './xfs/index.js'
import { zfs } from './zfs.js'

export { resizedSwap }
export { openLogicalVolume, unreadVolumes, volumeGroups, volumeNames } from './lvm2/volume.js'

/**
 * What holds other volumes, or is spread over several: its mark wins over what an older filesystem left (the sheet's
 * section 14).
 */
const containers: readonly FilesystemFamily[] = [luks, bitlocker, lvm2, mdraid, biosRaid, zfs, bcachefs, blockKinds]

/** The others, FAT last: its marks are the weakest. */
const filesystems: readonly FilesystemFamily[] = [
  ntfs,
  exfat,
  refs,
  ext,
  xfs,
  btrfs,
  f2fs,
  hfs,
  apfs,
  opticalDiscs,
  squashfs,
  erofs,
  swap,
  vmfs,
  linuxKinds,
  unixKinds,
  fat,
]

/** Every family, in the order of probing. */
export const families: readonly FilesystemFamily[] = [...containers, ...filesystems]

/**
 * All that a volume may be, the likeliest first; empty: nothing known. Several are ambiguous: each then has the issue
 * W_FS_AMBIGUOUS, and
 * neither a map of used blocks nor a tree. Reads a bounded part of the volume, and never throws for what it reads
 * there.
 *
 * Some marks of mdraid and ZFS lie at a volume's end, where they may belong to the last partition: a disk that has a
 * partition table is
 * no volume, and is not asked.
 */
export function identifyFilesystems(volume: BlockSource): readonly Filesystem[] {
  const found = matches(volume, containers)
  return withoutGuesses(found.length > 0 ? found : matches(volume, filesystems))
}

function matches(volume: BlockSource, of: readonly FilesystemFamily[]): readonly Filesystem[] {
  return of.flatMap((family) => family.identify(volume))
}

function withoutGuesses(found: readonly Filesystem[]): readonly Filesystem[] {
  if (found.length < 2) return found
  const titles = found.map(({ title }) => title).join(', ')
  return found.map((filesystem) => {
    const ambiguous: Filesystem = {
      ...filesystem,
      issues: [
        ...filesystem.issues,
        {
          code: 'W_FS_AMBIGUOUS',
          severity: 'warning',
          message: `the volume has the marks of several filesystems: ${titles}`,
        },
      ],
    }
    delete ambiguous.usedRuns
    delete ambiguous.openTree
    delete ambiguous.openContent
    return ambiguous
  })
}
