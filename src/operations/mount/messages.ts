import type { Note } from '../../block/types.js'
import type { FolderLook } from '../../mount/fuse/folder.js'
import type { PartitionSelector } from '../../partition/index.js'
import type { Progress } from '../progress.js'
import type { ExposureOptions } from '../serve/exposed-disk.js'
import type { MountMode, MountSession, ShownFile } from './session.js'
import type { WireError } from './wire.js'

/** How the image is opened, in whatever process or thread. */
export interface OpenRequest {
  /** The whole image, without a partition; absolute. */
  readonly image: string
  /** The one partition that is wanted. */
  readonly partition?: PartitionSelector
  readonly options: Omit<ExposureOptions, 'registry'>
  /**
   * A module whose default export gives the {@link Registry}: plugins are loaded in each thread. The formats built in
   * when left out.
   */
  readonly registryModule?: string
}

/** What the server is to do, sent by the command when it has started it. */
export interface ServeRequest extends OpenRequest {
  readonly id: string
  /** Of the sessions' states. */
  readonly runtime: string
  readonly mode: MountMode
  readonly all: boolean
  /** Where it is mounted; absent: it is only shown. Absolute, without links. */
  readonly point?: string
  readonly others: boolean
  /** Besides those that are always set. */
  readonly mountOptions: readonly string[]
}

/** What the server answers, once; before that it may report how far it is. */
export type ServeAnswer =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'ready'; readonly session: MountSession; readonly notes: readonly Note[] }
  | { readonly kind: 'failed'; readonly error: WireError }

/** What is known of an image that a thread has opened. */
export interface OpenedDisk {
  readonly format: string
  readonly subformat: string
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly notes: readonly Note[]
  readonly files: readonly ShownFile[]
  /** What of the disk's table lies in partitions, by their numbers, for people. */
  readonly tableInside: Readonly<Record<number, readonly string[]>>
  /** The files of the host that it is read from, absolute. */
  readonly reads: readonly string[]
  /** The number of the partition that was asked for. */
  readonly selected?: number
}

/** From the server to a thread. */
export type ThreadOrder =
  { readonly kind: 'serve'; readonly descriptor: number; readonly look: FolderLook } | { readonly kind: 'close' }

/** From a thread to the server. */
export type ThreadReport =
  | { readonly kind: 'opened'; readonly disk: OpenedDisk }
  /** What must be unpacked before that. */
  | { readonly kind: 'progress'; readonly progress: Progress }
  /** A request that failed, for the log. */
  | { readonly kind: 'trouble'; readonly message: string }
  /** Closed; with an error: not opened, or not all was written. */
  | { readonly kind: 'ended'; readonly error?: WireError }
