import { ExtentReader } from './read.js'
import type { RunMap } from './run-map.js'
import type { BlockSource, Extent } from './types.js'

/**
 * A disk of which a list says where it has changed since another: everywhere else it is that other disk, and is read
 * there. Closing it leaves both open.
 */
export class ChangedOver implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  /** A change may begin at any sector. */
  readonly grain = 512
  readonly #disk: BlockSource
  readonly #base: BlockSource
  readonly #changes: RunMap
  readonly #reader = new ExtentReader(this)

  constructor(disk: BlockSource, base: BlockSource, changes: RunMap) {
    this.capacity = disk.capacity
    this.sectorSize = disk.sectorSize
    this.#disk = disk
    this.#base = base
    this.#changes = changes
  }

  extentAt(offset: number, limit: number): Extent {
    const { inRun, end } = this.#changes.at(offset)
    const length = Math.min(limit, end - offset, this.capacity - offset)
    if (inRun) return this.#disk.extentAt(offset, length)
    if (offset >= this.#base.capacity) return { kind: 'zero', offset, length }
    return this.#base.extentAt(offset, Math.min(length, this.#base.capacity - offset))
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // Both disks belong to the caller.
  }
}
