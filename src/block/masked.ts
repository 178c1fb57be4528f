import { ExtentReader } from './read.js'
import type { RunMap } from './run-map.js'
import type { BlockSource, Extent } from './types.js'

/**
 * A disk of which only some runs count: the rest reads as zero, whatever it holds. Closing it leaves the inner disk
 * open.
 */
export class MaskedSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  /** A run may begin at any sector. */
  readonly grain = 512
  readonly #inner: BlockSource
  readonly #runs: RunMap
  readonly #reader = new ExtentReader(this)

  constructor(inner: BlockSource, runs: RunMap) {
    this.#inner = inner
    this.#runs = runs
    this.capacity = inner.capacity
    this.sectorSize = inner.sectorSize
  }

  extentAt(offset: number, limit: number): Extent {
    const { inRun, end } = this.#runs.at(offset)
    const length = Math.min(limit, end - offset, this.capacity - offset)
    return inRun ? this.#inner.extentAt(offset, length) : { kind: 'zero', offset, length }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // The inner disk belongs to the caller.
  }
}
