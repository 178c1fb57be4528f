import { roundDown, roundUp } from '../binary/integers.js'
import { SparseBits } from '../binary/sparse-bits.js'
import { ExtentReader } from './read.js'
import type { BlockSource, ByteStore, Extent } from './types.js'

/** What is copied up at least, in bytes: a page, the usual block of filesystems. */
const unit = 4096

/**
 * A disk whose changes go to a scratch file and are gone with it; what lies below is only read. The scratch file holds
 * bytes at the
 * positions they have on the disk. Closing it closes both.
 */
export class ScratchOverlay implements BlockSource {
  readonly capacity: number
  readonly sectorSize: 512 | 4096
  readonly grain: number
  readonly #base: BlockSource
  readonly #scratch: ByteStore
  readonly #reader = new ExtentReader(this)
  /** Units that the scratch file answers for, and those of them that are zero and not in it. */
  readonly #changed = new SparseBits()
  readonly #zero = new SparseBits()

  /** @param scratch an empty file that grows. */
  constructor(base: BlockSource, scratch: ByteStore) {
    this.#base = base
    this.#scratch = scratch
    this.capacity = base.capacity
    this.sectorSize = base.sectorSize
    this.grain = Math.min(base.grain, unit)
  }

  extentAt(offset: number, limit: number): Extent {
    const end = Math.min(offset + limit, this.capacity)
    const first = Math.floor(offset / unit)
    const kind = this.#kindOf(first)
    let next = first + 1
    while (next * unit < end && this.#kindOf(next) === kind) next++
    const length = Math.min(next * unit, end) - offset
    if (kind === 'zero') return { kind, offset, length }
    return kind === 'base'
      ? this.#base.extentAt(offset, length)
      : { kind: 'data', offset, length, store: this.#scratch, position: offset }
  }

  read(offset: number, target: Uint8Array): void {
    this.#reader.read(offset, target)
  }

  /** @throws RangeError outside the disk; ImageError target E_WRITE, E_NO_SPACE; those of reading what lies below. */
  write(offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#contain(offset, bytes.length)
    this.#copyUp(offset)
    this.#copyUp(offset + bytes.length - 1)
    this.#scratch.write(offset, bytes)
    for (let at = roundDown(offset, unit); at < offset + bytes.length; at += unit) {
      this.#changed.set(at / unit)
      this.#zero.clear(at / unit)
    }
  }

  /** The range reads as zero afterwards. @throws as `write`. */
  zero(offset: number, length: number): void {
    if (length === 0) return
    this.#contain(offset, length)
    const end = offset + length
    const start = Math.min(roundUp(offset, unit), end)
    const stop = end === this.capacity ? end : Math.max(roundDown(end, unit), start)
    if (start > offset) this.write(offset, new Uint8Array(start - offset))
    // Where it was written before, the space is given back.
    const stored = Math.min(stop, this.#scratch.size) - start
    if (stored > 0) this.#scratch.zero?.(start, stored)
    for (let at = start; at < stop; at += unit) {
      this.#changed.set(at / unit)
      this.#zero.set(at / unit)
    }
    if (end > stop) this.write(stop, new Uint8Array(end - stop))
  }

  [Symbol.dispose](): void {
    try {
      this.#scratch[Symbol.dispose]()
    } finally {
      this.#base[Symbol.dispose]()
    }
  }

  #kindOf(index: number): 'base' | 'zero' | 'scratch' {
    if (!this.#changed.has(index)) return 'base'
    return this.#zero.has(index) ? 'zero' : 'scratch'
  }

  /** The unit that a write covers in part keeps the rest of what it was. */
  #copyUp(offset: number): void {
    const start = roundDown(offset, unit)
    if (this.#kindOf(start / unit) === 'scratch') return
    const bytes = new Uint8Array(Math.min(unit, this.capacity - start))
    this.read(start, bytes)
    this.#scratch.write(start, bytes)
    this.#changed.set(start / unit)
    this.#zero.clear(start / unit)
  }

  #contain(offset: number, length: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.capacity) {
      throw new RangeError(`${length} bytes at offset ${offset} leave the disk of ${this.capacity} bytes`)
    }
  }
}
