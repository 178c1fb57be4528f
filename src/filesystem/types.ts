import type { BlockSource, Fact } from '../block/types.js'

/**
 * Whether a filesystem was left in order. `hibernated`: a system sleeps in it, and its memory belongs to its content.
 */
export type FilesystemState = 'clean' | 'dirty' | 'hibernated' | 'unknown'

/** What a volume holds. A container of other block devices (LUKS, LVM, mdraid …) is described in the same way. */
export interface Filesystem {
  /**
   * As blkid names it: `ext4`, `vfat`, `exfat`, `ntfs`, `xfs`, `btrfs`, `swap`, `crypto_LUKS`, `LVM2_member`,
   * `linux_raid_member` …
   */
  readonly type: string
  /** For people: `FAT32`, `ext4`, `LUKS 2`. */
  readonly title: string
  /** `filesystem`: files lie in it; `swap`; `container`: other block devices lie in it. */
  readonly kind: 'filesystem' | 'swap' | 'container'
  /** As blkid prints it; undefined where there is none. */
  readonly version?: string
  readonly label?: string
  readonly uuid?: string
  /** Bytes of the unit of allocation. */
  readonly blockSize?: number
  /** Bytes from the volume's start that the filesystem says it has. */
  readonly size?: number
  /** Bytes in use, as the filesystem's own records have it. */
  readonly used?: number
  readonly free?: number
  readonly state: FilesystemState
  /** What else is known (the sheet's section 15), in its order. */
  readonly facts: readonly Fact[]
  /** What is odd about it: a bad checksum, larger than its partition (`W_FS_TRUNCATED`) … */
  readonly issues: readonly FilesystemIssue[]
  /**
   * Where the marks of a container lie (superblocks, labels), in bytes of the volume; some lie at its end. Absent: at
   * its start.
   */
  readonly marks?: readonly ByteRun[]
  /**
   * The map of used blocks: ascending, disjoint runs of volume bytes whose content matters; all else may read as zero.
   * Reaches to the
   * volume's end: a tail outside the filesystem is in use. Lazy, in bounded memory. Absent where no map is known for
   * the type.
   * @throws ImageError unsupported E_FS_FEATURE (a feature that is not known), refused E_FS_DIRTY (the map may be
   * stale), corrupt E_FS_CORRUPT: copy everything then.
   */
  usedRuns?(options?: UsedOptions): Iterable<ByteRun>
  /**
   * Of a container that holds one volume: that volume, without a copy. @param others further volumes of the disk, among
   * which it finds its other members. Closing it leaves them open. @throws ImageError unsupported, reference, corrupt.
   */
  openContent?(others: readonly BlockSource[]): BlockSource
  /**
   * The files in it. Absent where the type is not readable. @throws ImageError corrupt E_FS_CORRUPT; unsupported
   * E_FS_FEATURE.
   */
  openTree?(): FileTree
}

export interface UsedOptions {
  /** Gives the map of a filesystem that is dirty too. */
  readonly allowDirty?: boolean
  /** Leaves out the pages of a swap area; its head (label, uuid) stays. */
  readonly dropSwap?: boolean
}

/** A run of bytes of a volume. */
export interface ByteRun {
  readonly offset: number
  readonly length: number
}

export interface FilesystemIssue {
  /** Stable, upper case: `W_FS_TRUNCATED`. */
  readonly code: string
  readonly severity: 'error' | 'warning'
  readonly message: string
}

/**
 * Recognises the filesystems of one family. `sourceEnd`: bytes of the volume. Pure and bounded, whatever the bytes;
 * never throws for
 * what it reads (`read` of the source itself may). More than one match for one volume is ambiguous, and reported so by
 * the caller.
 */
export interface FilesystemFamily {
  /** Lower case: `ext`. */
  readonly id: string
  /** All that match in this family, the likeliest first. */
  identify(volume: BlockSource): readonly Filesystem[]
}

/** A file or folder of a filesystem, opened by its tree. */
export interface FileNode {
  readonly kind: 'file' | 'directory' | 'link' | 'device' | 'other'
  /** Bytes of content (a file), of the target (a link). */
  readonly size: number
  /** POSIX mode bits without the type, where the filesystem has them. */
  readonly mode?: number
  readonly owner?: number
  readonly group?: number
  /** Nanoseconds since 1970-01-01T00:00:00Z. FAT's local times are taken as UTC. */
  readonly modified: bigint
  readonly accessed?: bigint
  readonly created?: bigint
  /** The same for two names of one file (hard links). */
  readonly id: string
  readonly links?: number
  /** Where a link points, as it is stored; a relative link of NTFS with `/` between its parts. */
  readonly target?: string
  /** Names of further contents (alternate data streams of NTFS), which are not read. */
  readonly otherStreams?: readonly string[]
}

export interface DirectoryEntry {
  /**
   * As stored, never `.` or `..`; it may hold anything but `/` and NUL: to be escaped when printed, checked when made
   * on the host.
   */
  readonly name: string
  /** Where what it leads to is stored: entries that are opened in ascending order read neighbours together. */
  readonly order?: number
  /** @throws ImageError corrupt E_FS_CORRUPT. */
  open(): FileNode
}

/** The files of a filesystem, read only. Bounded in memory and in steps, whatever the bytes. */
export interface FileTree {
  readonly root: FileNode
  /** Whether names that differ in case only are the same file. */
  readonly ignoresCase: boolean
  /**
   * The folder that the system mounts where nothing names another (the default subvolume of btrfs): `/@`. Absent, or
   * empty: the root. @throws ImageError corrupt E_FS_CORRUPT.
   */
  readonly defaultFolder?: string
  /** The entry of a folder with this name. @throws ImageError usage E_NOT_A_DIRECTORY. */
  find(directory: FileNode, name: string): FileNode | undefined
  /** In the order of the disk. @throws ImageError corrupt E_FS_CORRUPT; usage E_NOT_A_DIRECTORY. */
  entries(directory: FileNode): Iterable<DirectoryEntry>
  /**
   * The runs of a file that hold data; between them it reads as zero. Ascending, disjoint, inside its size. @throws
   * ImageError.
   */
  dataRuns(file: FileNode): Iterable<ByteRun>
  /**
   * Fills `target` with the content at `offset`; offset + target.length ≤ size. @throws ImageError unsupported
   * E_FS_FEATURE (encrypted, …).
   */
  read(file: FileNode, offset: number, target: Uint8Array): void
  /**
   * What is to be written to the volume so that a file has other bytes, and perhaps another size, in the blocks that it
   * has already. Nothing is allocated, and nothing is written here. What a group holds is on the medium before the next
   * begins. Absent where nothing is known of writing to the type.
   * @param patches disjoint, ascending, inside the new size. @param size bytes of the file afterwards.
   * @throws ImageError unsupported E_FILE_FIXED: the file cannot be changed in its place; corrupt E_FS_CORRUPT.
   */
  rewrite?(file: FileNode, patches: readonly FilePatch[], size: number): VolumeWrite[][]
  /**
   * What is to be written to the volume so that a file goes on with `bytes`, which takes free blocks where its own have
   * no room. Groups as in `rewrite`; while they are written the filesystem is marked as not left in order. Absent where
   * nothing is known of allocating.
   * @throws ImageError unsupported E_FILE_FIXED: the file cannot grow here; corrupt E_FS_CORRUPT.
   */
  append?(file: FileNode, bytes: Uint8Array): VolumeWrite[][]
}

/** Other bytes for a place in a file. */
export interface FilePatch {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Other bytes for a place in a volume. */
export interface VolumeWrite {
  readonly position: number
  readonly bytes: Uint8Array
}
