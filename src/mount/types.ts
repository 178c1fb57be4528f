import type { BlockSource } from '../block/types.js'

/** A disk as it is offered to others, synchronous throughout: a thread that serves it can wait for nothing but the host's own calls. */
export interface ServedDisk extends Pick<BlockSource, 'capacity' | 'extentAt' | 'read'> {
  readonly writable: boolean
  /** @throws RangeError outside the disk; ImageError target. */
  write(offset: number, bytes: Uint8Array): void
  /** The range reads as zero afterwards. */
  zero(offset: number, length: number): void
  /** Everything written so far outlives a power cut when this returns. */
  flush(): void
}

/** One file that is shown: the whole disk, or a partition of it. Bytes throughout. */
export interface ServedFile {
  readonly name: string
  /** Where on the disk it begins. */
  readonly start: number
  readonly length: number
}
