import type { BlockSource } from '../../block/types.js'
import { isImageError } from '../../errors.js'
import {
  identifyFilesystems,
  openLogicalVolume,
  unreadVolumes,
  volumeGroups,
  volumeNames,
} from '../../filesystem/index.js'
import { openPartition, readPartitionTable } from '../../partition/index.js'

/** Of more partitions the content is not looked at. */
const mostVolumes = 256

/**
 * What volumes of LVM2 or members of an array may lie in: the partitions of a disk, or all of it where it has none, and
 * what arrays in them hold. What is damaged is left out.
 */
export function diskVolumes(disk: BlockSource): BlockSource[] {
  const partitions = readPartitionTable(disk)
    .partitions.filter(({ role, start, length }) => role !== 'extended' && start + length <= disk.capacity)
    .slice(0, mostVolumes)
    .map((partition) => openPartition(disk, partition, 'the disk'))
  const volumes = partitions.length === 0 ? [disk] : partitions
  return volumes.flatMap((volume) => [
    volume,
    ...identifyFilesystems(volume).flatMap((found) => {
      const content = attempted(() => found.openContent?.(volumes))
      return content === undefined ? [] : [content]
    }),
  ])
}

/** A logical volume of LVM2. */
export interface LogicalVolumeFound {
  /** `vg/lv`. */
  readonly name: string
  /** @throws ImageError as {@link openDiskVolume}. */
  readonly open: () => BlockSource
}

/** The logical volumes of a disk that can be read. The disk is searched once for all of them. */
export function logicalVolumes(disk: BlockSource): LogicalVolumeFound[] {
  return [...searchedVolumes(disk).found]
}

/** The same, with those that cannot be read. */
export function searchedVolumes(disk: BlockSource): {
  readonly found: readonly LogicalVolumeFound[]
  readonly unread: ReturnType<typeof unreadVolumes>
} {
  const groups = attempted(() => volumeGroups(diskVolumes(disk))) ?? []
  const found = volumeNames(groups).map((name) => ({ name, open: () => openLogicalVolume(groups, name, 'the disk') }))
  return { found, unread: unreadVolumes(groups) }
}

/**
 * A logical volume of LVM2 as a disk of its own. @param wanted `vg/lv`. @param name what messages call the disk.
 * @throws ImageError usage E_NO_VOLUME; unsupported E_FS_FEATURE; reference E_MISSING_MEMBER; corrupt E_FS_CORRUPT.
 */
export function openDiskVolume(disk: BlockSource, wanted: string, name: string): BlockSource {
  return openLogicalVolume(volumeGroups(diskVolumes(disk)), wanted, name)
}

function attempted<Answer>(look: () => Answer): Answer | undefined {
  try {
    return look()
  } catch (error) {
    if (!isImageError(error)) throw error
    return undefined
  }
}
