import { corrupt } from '../errors.js'

/**
 * A 64-bit word as a `number`, for offsets, lengths and sizes.
 * @throws ImageError corrupt E_TOO_LARGE above 2^53−1, where arithmetic would no longer be exact.
 */
export function safeNumber(value: bigint, what: string): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw corrupt('E_TOO_LARGE', `${what} is ${value}, more than 2^53−1 bytes: no such file can exist`, {
      details: { value },
    })
  }
  return Number(value)
}

/** value rounded up to a multiple of step (both non-negative, step > 0). Exact below 2^53. */
export function roundUp(value: number, step: number): number {
  const rest = value % step
  return rest === 0 ? value : value + (step - rest)
}

/** value rounded down to a multiple of step. */
export function roundDown(value: number, step: number): number {
  return value - (value % step)
}

/** ceil(value / step) for non-negative integers, exact below 2^53. */
export function ceilDivide(value: number, step: number): number {
  return roundUp(value, step) / step
}

/** Whether value is 1, 2, 4, 8 … up to 2^52. */
export function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && 2 ** Math.round(Math.log2(value)) === value
}

/** A view of the same memory, for reading and writing integers. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
