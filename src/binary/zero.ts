const zeros = Buffer.alloc(1024 * 1024)

/** Whether `length` bytes from `start` are all zero. memcmp speed on zeros; ends at once on most data. */
export function isZero(bytes: Uint8Array, start = 0, length = bytes.length - start): boolean {
  if (length <= 0) return true
  // Most data differs at one of these three; the comparison then costs nothing.
  if (bytes[start] !== 0 || bytes[start + length - 1] !== 0 || bytes[start + Math.floor(length / 2)] !== 0) return false
  for (let at = 0; at < length; at += zeros.length) {
    const piece = Math.min(zeros.length, length - at)
    if (zeros.compare(bytes, start + at, start + at + piece, 0, piece) !== 0) return false
  }
  return true
}
