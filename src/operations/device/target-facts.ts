import type { Trail } from '../../device/bytes.js'
import type { Disk, DiskPartition, Holder, Place } from '../../device/types.js'
import type { TableScheme } from '../../partition/index.js'
import type { Fitting } from './fit.js'

/** The user's word against one guard each. None of them speaks for another guard. */
export interface TargetOverrides {
  /** The running system needs the disk; the disk's serial must be typed too. */
  readonly allowSystemDisk?: boolean
  /** What is mounted is unmounted first; never by force, never later. */
  readonly unmount?: boolean
  /** What is above the disk (LVM, LUKS, RAID, loops) is not what it seems; the system must still give the disk away. */
  readonly allowHeld?: boolean
  readonly allowSwap?: boolean
  /** The system's mark that a device is read-only is taken away. */
  readonly clearReadOnly?: boolean
  readonly allowSourceOnTarget?: boolean
  /** A smaller target gets what has a place on it. */
  readonly fit?: boolean
  readonly allowSectorSize?: boolean
  /** Content without a partition table goes onto a whole disk. */
  readonly allowNoTable?: boolean
  /** A part of the partition table lies inside the partition that is written. */
  readonly allowTableLoss?: boolean
  /** What is a RAID member now is none on a target of another size. */
  readonly allowMisplacedMetadata?: boolean
}

/** What is to be written, as far as guards go. Bytes. */
export interface ContentFacts {
  readonly name: string
  readonly capacity: number
  readonly scheme: TableScheme
  /** What the table counts in. */
  readonly tableSectorSize: 512 | 4096
  /** Whether it is a partition of a disk, and not the disk. */
  readonly isPartition: boolean
  /** What it would no longer be at the size of the target: `Linux RAID 1.0`. Undefined: nothing that is known. */
  readonly atEnd?: string
  /** Asked only when it is larger than the target. */
  readonly fitting?: Fitting
}

/** What is known of a target before it is opened. */
export interface TargetFacts {
  readonly disk: Disk
  /** Set when only this one is written. */
  readonly partition?: DiskPartition
  /** The disks below the target, and below everything that is read. */
  readonly place: Place
  readonly sourcePlace: Place
  /** Device numbers of what is read, or of the filesystems it lies in. */
  readonly sourceDevices: readonly string[]
  /** The whole disk that is read, by its name, when it is one. */
  readonly sourceDisk?: string
  /** Whether the file behind the target (a loop device) is itself read. */
  readonly targetIsSource?: boolean
  /** Where the bytes of the target lie, and those of everything that is read; absent where the system does not say. */
  readonly trail?: Trail
  readonly sourceTrail?: Trail
  /** Who has bytes of the target, under whatever name. */
  readonly holders?: readonly Holder[]
  /** Whether the system refuses to give the target to one program alone. */
  readonly busy?: boolean
  readonly content: ContentFacts
  /** What of the disk's partition table lies inside the partition that is written, for people. */
  readonly tableInside?: readonly string[]
}

export type GuardName =
  | 'medium'
  | 'kind'
  | 'read-only'
  | 'system'
  | 'source'
  | 'mounted'
  | 'held'
  | 'swap'
  | 'locked'
  | 'shape'
  | 'size'
  | 'sector-size'
  | 'table'
  | 'metadata'
  | 'busy'

/** Why a guard refuses. Without `override` nothing does. */
export interface Refusal {
  readonly guard: GuardName
  readonly code: string
  readonly reasons: readonly string[]
  readonly hint: string
  readonly override?: keyof TargetOverrides
}

/** What messages call a target. */
export function targetPath({ disk, partition }: Pick<TargetFacts, 'disk' | 'partition'>): string {
  return partition?.path ?? disk.path
}
