import { viewOf } from '../../../binary/integers.js'
import { isZero } from '../../../binary/zero.js'

/** Payload block states (MS-VHDX 2.5.1.1). 4 and 5 are reserved. */
export const payloadState = {
  notPresent: 0,
  undefined: 1,
  zero: 2,
  unmapped: 3,
  fullyPresent: 6,
  partiallyPresent: 7,
} as const
/** Sector bitmap block states (2.5.1.2). */
export const bitmapState = { notPresent: 0, present: 6 } as const

/** What a BAT entry says of a payload block, decoded. Positions are bytes in the file, multiples of 1 MiB. */
export type PayloadEntry =
  | { readonly kind: 'absent' }
  | { readonly kind: 'zero' }
  | { readonly kind: 'full'; readonly position: number }
  | { readonly kind: 'partial'; readonly position: number }
  | { readonly kind: 'reserved'; readonly state: number }

/**
 * Entries of the block allocation table (2.5): 8 bytes each, little-endian; state in bits 0–2, position in MiB in bits
 * 20–63.
 */
export class EntryTable {
  readonly #view: DataView
  readonly length: number
  /** Whether every entry is zero, as it is where a large disk was never written: no need to look at each. */
  empty: boolean

  constructor(bytes: Uint8Array) {
    this.#view = viewOf(bytes)
    this.empty = isZero(bytes)
    this.length = Math.floor(bytes.length / 8)
  }

  /** The state, 0–7. */
  state(slot: number): number {
    return this.#view.getUint8(slot * 8) & 7
  }

  /** The position in the file in bytes. Exact: a multiple of 2^20 below 2^64 is a double. */
  position(slot: number): number {
    return (this.#view.getUint32(slot * 8 + 4, true) * 4096 + (this.#view.getUint32(slot * 8, true) >>> 20)) * 1048576
  }

  /** Whether any of the reserved bits 3–19 is set. */
  reserved(slot: number): boolean {
    return (this.#view.getUint32(slot * 8, true) & 0xffff8) !== 0
  }

  payload(slot: number): PayloadEntry {
    const state = this.state(slot)
    switch (state) {
      case payloadState.notPresent:
        return { kind: 'absent' }
      case payloadState.undefined:
      case payloadState.zero:
      case payloadState.unmapped:
        return { kind: 'zero' }
      case payloadState.fullyPresent:
        return { kind: 'full', position: this.position(slot) }
      case payloadState.partiallyPresent:
        return { kind: 'partial', position: this.position(slot) }
      default:
        return { kind: 'reserved', state }
    }
  }

  /** The bytes of one entry. */
  entry(slot: number): Uint8Array {
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + slot * 8, 8)
  }

  /** @param position bytes, a multiple of 1 MiB below 2^53. */
  set(slot: number, state: number, position: number): void {
    const mebibytes = position / 1048576
    this.empty = false
    this.#view.setUint32(slot * 8, (((mebibytes % 4096) << 20) | state) >>> 0, true)
    this.#view.setUint32(slot * 8 + 4, Math.floor(mebibytes / 4096), true)
  }
}

/** Whether bit `index` (below 2^32) is set; the least significant bit of a byte comes first (2.5.1.2: unlike VHD). */
export function testBit(bits: Uint8Array, index: number): boolean {
  return ((bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0
}

/** The first set bit of [from, to), or `to`. */
export function nextSetBit(bits: Uint8Array, from: number, to: number): number {
  for (let index = from; index < to;) {
    if (index % 8 === 0 && to - index >= 8 && bits[index / 8] === 0) index += 8
    else if (testBit(bits, index)) return index
    else index++
  }
  return to
}

/** Sets bits [from, to). */
export function setBits(bits: Uint8Array, from: number, to: number): void {
  for (let index = from; index < to;) {
    if (index % 8 === 0 && to - index >= 8) {
      const whole = Math.floor((to - index) / 8)
      bits.fill(0xff, index / 8, index / 8 + whole)
      index += whole * 8
    } else {
      const byte = Math.floor(index / 8)
      bits[byte] = (bits[byte] ?? 0) | (1 << (index % 8))
      index++
    }
  }
}

/** Clears bits [from, to). */
export function clearBits(bits: Uint8Array, from: number, to: number): void {
  for (let index = from; index < to;) {
    if (index % 8 === 0 && to - index >= 8) {
      const whole = Math.floor((to - index) / 8)
      bits.fill(0, index / 8, index / 8 + whole)
      index += whole * 8
    } else {
      const byte = Math.floor(index / 8)
      bits[byte] = (bits[byte] ?? 0) & ~(1 << (index % 8))
      index++
    }
  }
}

/** Sets in `bits` every bit that is set in `others`, which has as many. */
export function addBits(bits: Uint8Array, others: Uint8Array): void {
  for (let index = 0; index < others.length; index++) bits[index] = (bits[index] ?? 0) | (others[index] ?? 0)
}

/** The end (≤ to) of the run of equal bits that begins at `from` < `to`. */
export function bitRunEnd(bits: Uint8Array, from: number, to: number): number {
  const value = testBit(bits, from)
  const whole = value ? 0xff : 0
  let index = from + 1
  while (index < to) {
    if (index % 8 === 0 && to - index >= 8 && bits[index / 8] === whole) index += 8
    else if (testBit(bits, index) === value) index++
    else break
  }
  return index
}
