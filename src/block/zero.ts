import type { BlockSource, Extent } from './types.js'

/** A disk without content: all zero. */
export class ZeroSource implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain = 1048576

  constructor(capacity: number, sectorSize: 512 | 4096 = 512) {
    this.capacity = capacity
    this.sectorSize = sectorSize
  }

  extentAt(offset: number, limit: number): Extent {
    return { kind: 'zero', offset, length: Math.min(limit, this.capacity - offset) }
  }

  read(_offset: number, target: Uint8Array): void {
    target.fill(0)
  }

  [Symbol.dispose](): void {
    // Nothing is held.
  }
}
