import { SliceSource } from '../block/slice.js'
import type { BlockSource } from '../block/types.js'
import type { ExposedDisk } from './exposed-disk.js'

/** What can be done with a disk besides reading it. Offsets and lengths are those of the whole disk. */
export interface DiskChanges {
  write(offset: number, bytes: Uint8Array): void
  zero(offset: number, length: number): void
  flush(): void
}

/**
 * Bytes [start, start + length) of a disk, to be exposed: a partition, or all of it. Several may share a disk; closing
 * them leaves it open
 * unless `close` says otherwise.
 */
export class ExposedSlice extends SliceSource implements ExposedDisk {
  readonly writable: boolean
  readonly #start: number
  readonly #changes: DiskChanges | undefined
  readonly #close: () => void

  /** @param changes left out: the disk is only read. */
  constructor(
    disk: BlockSource,
    start: number,
    length: number,
    changes?: DiskChanges,
    close: () => void = () => undefined,
  ) {
    super(disk, start, length)
    this.#start = start
    this.#changes = changes
    this.#close = close
    this.writable = changes !== undefined
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#contained(offset, bytes.length).write(this.#start + offset, bytes)
  }

  zero(offset: number, length: number): void {
    this.#contained(offset, length).zero(this.#start + offset, length)
  }

  flush(): void {
    this.#changes?.flush()
  }

  override [Symbol.dispose](): void {
    this.#close()
  }

  #contained(offset: number, length: number): DiskChanges {
    if (this.#changes === undefined) throw new TypeError('the disk is exposed for reading only')
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.capacity) {
      throw new RangeError(`${length} bytes at offset ${offset} leave the disk of ${this.capacity} bytes`)
    }
    return this.#changes
  }
}
