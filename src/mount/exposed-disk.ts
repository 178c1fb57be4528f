import type { Extent } from '../block/types.js'

/**
 * A disk that something outside works on: a filesystem driver through FUSE, a client through NBD. Everything is
 * synchronous, since the
 * threads that serve it block. Offsets and lengths are bytes, and need not be whole sectors.
 */
export interface ExposedDisk extends Disposable {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  /** False: `write` and `zero` throw. */
  readonly writable: boolean
  /**
   * The run at `offset`, as {@link BlockSource.extentAt}; `data` and `packed` are content, `zero` and `absent` read as
   * zero.
   */
  extentAt(offset: number, limit: number): Extent
  /**
   * Fills `target` with the bytes at `offset`. @throws ImageError where they cannot be read; RangeError outside the
   * disk.
   */
  read(offset: number, target: Uint8Array): void
  /**
   * Takes effect at once for readers, and for ever with the next flush. @throws ImageError target; TypeError when it is
   * not writable; RangeError outside the disk.
   */
  write(offset: number, bytes: Uint8Array): void
  /** The range reads as zero afterwards; its space is given back where that can be. @throws as `write`. */
  zero(offset: number, length: number): void
  /** Everything written so far outlives a power cut when this returns; of a throwaway layer nothing need. */
  flush(): void
}
