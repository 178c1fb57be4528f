import { ExtentReader } from './read.js'
import type { BlockSource, Extent } from './types.js'

/**
 * A differencing layer over its parent: what the layer leaves absent, the parent answers; past the parent's end it is
 * zero.
 * Closing it closes both.
 */
export class OverlaySource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #layer: BlockSource
  readonly #parent: BlockSource
  readonly #reader = new ExtentReader(this)

  constructor(layer: BlockSource, parent: BlockSource) {
    this.#layer = layer
    this.#parent = parent
    this.capacity = layer.capacity
    this.sectorSize = layer.sectorSize
    this.grain = Math.min(layer.grain, parent.grain)
  }

  extentAt(offset: number, limit: number): Extent {
    const extent = this.#layer.extentAt(offset, limit)
    if (extent.kind !== 'absent') return extent
    const available = this.#parent.capacity - offset
    if (available <= 0) return { kind: 'zero', offset, length: extent.length }
    return this.#parent.extentAt(offset, Math.min(extent.length, available))
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    this.#layer[Symbol.dispose]()
    this.#parent[Symbol.dispose]()
  }
}
