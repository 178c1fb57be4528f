import { printable } from '../../errors.js'
import { ExtentReader } from '../../block/read.js'
import type { BlockSource, ByteStore, Extent } from '../../block/types.js'

/** Any number of zeros that count as stored bytes. */
class StoredZeros implements ByteStore {
  readonly name = printable('zeros')
  readonly growable = false
  readonly alignment = 1
  readonly zeroed = true
  readonly size = Number.MAX_SAFE_INTEGER

  read(_position: number, target: Uint8Array): void {
    target.fill(0)
  }

  write(): void {
    throw new TypeError('zeros cannot be written')
  }

  truncate(): void {
    throw new TypeError('zeros have no size')
  }

  flush(): void {
    // Nothing is ever written.
  }

  [Symbol.dispose](): void {
    // Nothing is held.
  }
}

/**
 * The disk below a child whose parent is about to be another one: it reads as the old parent. Zeros of the old parent
 * show as stored where
 * the new one has something: a format may then not leave zeros that the child is to have to what is below.
 */
export class ExchangedParent implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #old: BlockSource
  readonly #next: BlockSource
  readonly #zeros = new StoredZeros()
  readonly #reader = new ExtentReader(this)

  constructor(old: BlockSource, next: BlockSource) {
    this.#old = old
    this.#next = next
    this.capacity = Math.max(old.capacity, next.capacity)
    this.sectorSize = old.sectorSize
    this.grain = Math.min(old.grain, next.grain)
  }

  extentAt(offset: number, limit: number): Extent {
    const inside = Math.min(limit, this.capacity - offset)
    const extent = runOf(this.#old, offset, inside)
    if (extent.kind === 'data' || extent.kind === 'packed') return extent
    const next = runOf(this.#next, offset, extent.length)
    const { length } = next
    if (next.kind === 'zero' || next.kind === 'absent') return { kind: 'zero', offset, length }
    return { kind: 'data', offset, length, store: this.#zeros, position: offset }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  [Symbol.dispose](): void {
    // Both disks belong to the caller.
  }
}

/** A run of a disk; zero past its end. */
function runOf(source: BlockSource, offset: number, limit: number): Extent {
  const available = source.capacity - offset
  return available > 0 ? source.extentAt(offset, Math.min(limit, available)) : { kind: 'zero', offset, length: limit }
}

/** Reads a disk; past its end it is zero. */
export function readPadded(source: BlockSource, offset: number, target: Uint8Array): void {
  const inside = Math.max(0, Math.min(target.length, source.capacity - offset))
  if (inside > 0) source.read(offset, target.subarray(0, inside))
  target.fill(0, inside)
}
