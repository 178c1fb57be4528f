import type { Loop } from '../../mount/loop.js'

/**
 * How changes are treated: none are taken; they are kept while it is mounted and then gone; they go to a child image;
 * to the image itself.
 */
export type MountMode = 'read-only' | 'throwaway' | 'overlay' | 'write'

/** A file of the folder in which a disk is shown. Bytes. */
export interface ShownFile {
  readonly name: string
  /** The partition's number; absent: the whole disk. */
  readonly partition?: number
  readonly start: number
  readonly length: number
  /** What is in it, when one filesystem or container was recognised. */
  readonly content?: ShownContent
}

export interface ShownContent {
  /** blkid's name: `ext4`. */
  readonly type: string
  readonly title: string
  readonly kind: 'filesystem' | 'swap' | 'container'
  readonly label?: string
  readonly uuid?: string
}

/** A filesystem that was mounted. */
export interface MountedFilesystem {
  readonly point: string
  /** The file of the folder that it is in. */
  readonly file: string
  readonly partition?: number
  readonly type: string
  /** `kernel`, or the program that mounts it. */
  readonly driver: string
  readonly readOnly: boolean
  /** The device number by which the mount is known: `7:3`. */
  readonly device: string
  readonly loop?: Loop
  /** Whether `point` was made for it, and goes with it. */
  readonly madePoint: boolean
}

/** A block device that nothing is mounted from: what is in it has to be opened by its own tools. */
export interface AttachedDevice {
  readonly loop: Loop
  readonly file: string
  readonly partition?: number
  readonly content?: ShownContent
  /** What to do next, one command a line. */
  readonly next: readonly string[]
}

/** One image that is shown or mounted, as its state file has it. */
export interface MountSession {
  readonly id: string
  /** The server's process, and when it started (field 22 of /proc/pid/stat): numbers are given again. */
  readonly pid: number
  readonly startTime: string
  /** The path of the image, absolute. */
  readonly image: string
  readonly format: string
  readonly mode: MountMode
  /** The child that takes the changes. */
  readonly overlay?: string
  /** Every file that is read, absolute: the overlay, the image, its parents. */
  readonly reads?: readonly string[]
  /** Bytes of the disk. */
  readonly capacity: number
  /** When it was mounted, ISO 8601. */
  readonly since: string
  /** Where the disk is shown as files. */
  readonly folder: string
  /**
   * Whether the folder can be seen. Once everything is mounted it is taken away, so that it ends with the last mount.
   */
  readonly shown: boolean
  /** The FUSE connection (/sys/fs/fuse/connections). */
  readonly connection: number
  readonly files: readonly ShownFile[]
  readonly mounts: readonly MountedFilesystem[]
  readonly attached: readonly AttachedDevice[]
  /** Why the end was not good: what was not written to the image. */
  readonly failure?: string
}
