const modulus = 65521
/** So many bytes can be added before either sum would leave 32 bits (as zlib's NMAX). */
const longestRun = 5552

/** Adler-32 (RFC 1950, 8.2) of a part of `bytes`. @param start, end its bounds, in bytes. */
export function adler32(bytes: Uint8Array, start = 0, end = bytes.length): number {
  let low = 1
  let high = 0
  /* eslint-disable @typescript-eslint/no-non-null-assertion -- every index is below `end` */
  for (let at = start; at < end;) {
    const stop = Math.min(end, at + longestRun)
    for (; at + 8 <= stop; at += 8) {
      high += low += bytes[at]!
      high += low += bytes[at + 1]!
      high += low += bytes[at + 2]!
      high += low += bytes[at + 3]!
      high += low += bytes[at + 4]!
      high += low += bytes[at + 5]!
      high += low += bytes[at + 6]!
      high += low += bytes[at + 7]!
    }
    for (; at < stop; at++) high += low += bytes[at]!
    low %= modulus
    high %= modulus
  }
  /* eslint-enable @typescript-eslint/no-non-null-assertion */
  return ((high << 16) | low) >>> 0
}
