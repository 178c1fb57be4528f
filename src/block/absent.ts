import type { BlockSource, Extent } from './types.js'

/** A range of a disk of which a backup says nothing. */
export class AbsentSource implements BlockSource {
  readonly grain = 1048576

  constructor(
    readonly capacity: number,
    readonly sectorSize: 512 | 4096,
  ) {}

  extentAt(offset: number, limit: number): Extent {
    return { kind: 'absent', offset, length: Math.min(limit, this.capacity - offset) }
  }

  read(_offset: number, target: Uint8Array): void {
    target.fill(0)
  }

  [Symbol.dispose](): void {
    // Nothing is held.
  }
}
