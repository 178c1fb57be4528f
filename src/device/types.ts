import type { HostPath } from '../errors.js'
import type { Trail } from './bytes.js'

/** What a trail is for: an overlay keeps what is written to it elsewhere than what it reads. */
export type Purpose = 'read' | 'write'

/** Who has some of the bytes that are to be written, and would see them change. */
export interface Holder {
  /**
   * `mount`: a mounted filesystem. `swap`: swap space in use. `device`: a block device over them (a loop, a volume, a
   * RAID). `server`: a program that shows them to others. `lock`: a program that says by a lock that it uses them.
   */
  readonly kind: 'mount' | 'swap' | 'device' | 'server' | 'lock'
  /** One sentence: `/dev/loop3 (over /srv/disk.raw) is mounted at /mnt (ext4)`. */
  readonly reason: string
  /** The block device concerned, by the system's name: `loop3`. */
  readonly device?: string
  readonly mount?: { readonly point: string; readonly filesystem: string; readonly readOnly: boolean }
}

/**
 * What a block device is to the system. Only `disk` and `loop` are listed as disks of their own; the rest lies above or
 * beside them.
 */
export type DiskKind = 'disk' | 'loop' | 'mapped' | 'raid' | 'ram' | 'optical' | 'network'

/** Who uses a disk or partition. */
export type DeviceUse =
  | { readonly kind: 'mount'; readonly point: string; readonly filesystem: string; readonly readOnly: boolean }
  | { readonly kind: 'swap' }
  /**
   * A device above: a volume of LVM, an opened LUKS volume, a RAID, a loop. `name` is the system's (`dm-0`), `title`
   * people's.
   */
  | { readonly kind: 'holder'; readonly name: string; readonly title: string; readonly role: HolderRole }

export type HolderRole = 'LVM' | 'LUKS' | 'RAID' | 'multipath' | 'bcache' | 'loop' | 'APFS' | 'device mapper' | 'device'

/** A partition as the system sees it (its own table reading may know more). */
export interface DiskPartition {
  /** `sda1` */
  readonly name: string
  readonly path: string
  /** `8:1` */
  readonly deviceNumber: string
  readonly number: number
  /** Bytes from the disk's start. */
  readonly start: number
  /** Bytes. */
  readonly size: number
  readonly readOnly: boolean
  readonly uses: readonly DeviceUse[]
}

/** A physical disk, or what acts as one. */
export interface Disk {
  readonly kind: DiskKind
  /** `sda` */
  readonly name: string
  /** `/dev/sda` */
  readonly path: string
  /** Major and minor: `8:0`. */
  readonly deviceNumber: string
  /** Counts up whenever a medium or device comes; distinguishes a disk from another that took its name. */
  readonly sequence?: number
  /** Bytes; 0 without a medium. */
  readonly size: number
  readonly model?: string
  readonly vendor?: string
  readonly serial?: string
  /** World-wide name. */
  readonly wwn?: string
  /** How it is attached: `usb`, `nvme`, `ata`, `mmc`, `virtio`, `iscsi`, `fc` … */
  readonly bus?: string
  readonly removable: boolean
  readonly readOnly: boolean
  readonly rotational: boolean
  /** Whether ranges of the device can be marked as unused (discard). */
  readonly discards: boolean
  /** Bytes. */
  readonly logicalSectorSize: number
  readonly physicalSectorSize: number
  /** The file behind a loop device. */
  readonly backingFile?: string
  /** The devices below a mapped or RAID device, by name. */
  readonly slaves: readonly string[]
  /** Of the whole disk, not of its partitions. */
  readonly uses: readonly DeviceUse[]
  readonly partitions: readonly DiskPartition[]
  /** Why the running system needs it; empty when it does not. One sentence each: `holds / (through dm-0)`. */
  readonly system: readonly string[]
}

/** The disks below something: which physical disks die with it. */
export interface Place {
  /** Names of whole disks: `sda`. Several for RAID, LVM over two disks … */
  readonly disks: readonly string[]
  /**
   * Names of all whole devices on the way down to them, themselves too: `loop0`, `dm-1`, `sda`. What is written to one
   * of these changes it.
   */
  readonly through?: readonly string[]
  /** What is no disk of this machine: `nfs server:/export`, `tmpfs`. */
  readonly elsewhere: readonly string[]
  /** Why part of it is not known. */
  readonly unknown: readonly string[]
}

/** A disk or a partition, found by the path a user gave. */
export interface FoundDevice {
  readonly disk: Disk
  /** Set when the path names a partition. */
  readonly partition?: DiskPartition
}

/** What a platform knows of its disks. */
export interface DiskPlatform {
  /** Every disk with its uses. */
  list(): Disk[]
  /** @throws ImageError usage E_NOT_A_DEVICE when the path is no block device. */
  find(path: string): FoundDevice
  /** The disks that a file (which need not exist yet) or a device lies on. */
  place(path: string): Place
  /**
   * Where the bytes of a file or device lie, for one that is read or written; of a device perhaps only a range, in
   * bytes. Absent where the system does not say.
   */
  trail?(path: HostPath, purpose: Purpose, range?: { readonly start: number; readonly length: number }): Trail
  /** Who holds bytes that writing to a trail changes. Absent where the system does not say. */
  holders?(written: Trail): readonly Holder[]
  /**
   * Whether the system refuses to give a device to one program alone, as it does when something of it is mounted or
   * held. Absent where the system does not say.
   */
  isBusy?(path: HostPath): boolean
}
