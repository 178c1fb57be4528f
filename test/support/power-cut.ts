import { printable, type Label } from '../../src/errors.js'
import { MemoryStore } from '../../src/block/memory-store.js'
import type { ByteStore } from '../../src/block/types.js'

type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number }

/** A number from 0 on, below `limit`. The same seed gives the same row. */
export type Random = (limit: number) => number
export function randomOf(seed: number): Random {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/**
 * A store that keeps apart what is on the medium and what was written since the last flush: any part of that may be
 * lost.
 */
export class CutStore implements ByteStore {
  readonly growable = true
  readonly alignment = 1
  readonly zeroed = false
  readonly name: Label
  readonly #now: MemoryStore
  readonly #medium: MemoryStore
  #changes: Change[] = []
  /** Called after every change and flush. */
  onChange: () => void = () => undefined

  constructor(bytes: Uint8Array, name = 'test.vhdx') {
    this.name = printable(name)
    this.#now = new MemoryStore(bytes, name)
    this.#medium = new MemoryStore(bytes, name)
  }

  get size(): number {
    return this.#now.size
  }

  read(position: number, target: Uint8Array): void {
    this.#now.read(position, target)
  }

  write(position: number, bytes: Uint8Array): void {
    this.#changes.push({ kind: 'write', position, bytes: Uint8Array.from(bytes) })
    this.#now.write(position, bytes)
    this.onChange()
  }

  truncate(size: number): void {
    this.#changes.push({ kind: 'truncate', size })
    this.#now.truncate(size)
    this.onChange()
  }

  flush(): void {
    for (const change of this.#changes) apply(this.#medium, change)
    this.#changes = []
    this.onChange()
  }

  /** The file after the power is cut now: of what is not flushed each 512 bytes are there or not, as chance has it. */
  cut(random: Random): MemoryStore {
    const left = new MemoryStore(this.#medium.contents(), this.name)
    // All, nothing, or any part in between.
    const share = [0, 100, 50, 90, 10][random(5)] ?? 50
    for (const change of this.#changes) {
      if (change.kind === 'truncate') {
        if (random(100) < share) apply(left, change)
        continue
      }
      if (change.bytes.length > 65536) {
        const kept = random(100) < share ? change.bytes.length : Math.floor(random(change.bytes.length) / 512) * 512
        if (kept > 0) left.write(change.position, change.bytes.subarray(0, kept))
        continue
      }
      for (let at = 0; at < change.bytes.length; at += 512) {
        if (random(100) < share) left.write(change.position + at, change.bytes.subarray(at, at + 512))
      }
    }
    return left
  }

  /** The file as a program sees it that reads it now. */
  contents(): Uint8Array {
    return this.#now.contents()
  }

  [Symbol.dispose](): void {
    // The bytes are looked at afterwards.
  }
}

/** All bytes of a store that is small. */
export function contentsOf(store: ByteStore): Buffer {
  const bytes = Buffer.alloc(store.size)
  store.read(0, bytes)
  return bytes
}

function apply(store: MemoryStore, change: Change): void {
  if (change.kind === 'write') store.write(change.position, change.bytes)
  else store.truncate(change.size)
}

/** What a disk may hold after a cut: what was flushed, or what any later change put there. */
export class DiskModel {
  readonly now: Buffer
  #flushed: Buffer
  #later: { readonly offset: number; readonly bytes: Uint8Array }[] = []

  constructor(contents: Uint8Array) {
    this.now = Buffer.from(contents)
    this.#flushed = Buffer.from(contents)
  }

  change(offset: number, bytes: Uint8Array): void {
    this.#later.push({ offset, bytes: Uint8Array.from(bytes) })
    this.now.set(bytes, offset)
  }

  flushed(): void {
    this.#flushed = Buffer.from(this.now)
    this.#later = []
  }

  /** The first offset whose byte is none of those it may be, or −1. */
  fault(found: Uint8Array): number {
    for (let offset = 0; offset < found.length; offset += 512) {
      const end = Math.min(offset + 512, found.length)
      if (this.#flushed.compare(found, offset, end, offset, end) === 0) continue
      for (let at = offset; at < end; at++) {
        const byte = found[at]
        if (byte === this.#flushed[at]) continue
        if (
          !this.#later.some(
            (change) =>
              at >= change.offset &&
              at < change.offset + change.bytes.length &&
              change.bytes[at - change.offset] === byte,
          )
        )
          return at
      }
    }
    return -1
  }
}
